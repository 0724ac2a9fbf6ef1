"""A proxy before a store that holds, delays, cuts and garbles what passes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading

# No answer that the store could give: a script's answer to Redis is 0, 1 or 2.
REDIS_LIES = (
    b":7\r\n",
    b"+OK\r\n",
    b"$-1\r\n",
    b"*2\r\n:0\r\n:1\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x00" * 16 + b"\r\n",
)
HOLD = 0.8
# A database is asked several times for each step.
LATE = {"redis": 0.7, "django": 0.15}


class Proxy:
    """One port on loopback; what happens to what passes is its mode.

    ``pass``, ``late`` (each answer waits), ``hold`` (none comes, and in the end the
    connection closes), ``cut`` (a request or a part of its answer is lost with the
    connection), ``garble`` (an answer is replaced or repeated), ``refuse``.
    """

    def __init__(self, upstream: str, kind: str, seed: int) -> None:
        self.mode = "pass"
        self.done = 0
        self._upstream = upstream
        self._kind = kind
        self._random = random.Random(seed)  # noqa: S311  # repeatable faults
        self._open: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        # Ends the tasks that are left, too.
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        self._cut_all()

    def cut_all(self) -> None:
        """Close every connection."""
        self._loop.call_soon_threadsafe(self._cut_all)

    def _cut_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def close(self) -> None:
        """End every connection, and the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self.mode == "refuse":
            self.done += 1
            writer.transport.abort()
            return
        try:
            above, below = await asyncio.open_unix_connection(self._upstream)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, below}
        self._open |= both
        halves = [
            asyncio.ensure_future(self._pump(reader, below, answers=False)),
            asyncio.ensure_future(self._pump(above, writer, answers=True)),
        ]
        try:
            # Cancelled at the end of all, which is no error.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open -= both
            for each in both:
                each.transport.abort()
            for half in halves:
                half.cancel()
            await asyncio.gather(*halves, return_exceptions=True)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        answers: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                changed, ends = await self._change(data, answers=answers)
                writer.write(changed)
                await writer.drain()
                if ends:
                    return

    async def _change(self, data: bytes, *, answers: bool) -> tuple[bytes, bool]:
        """Return what passes in place of *data*, and whether it is the last."""
        mode = self.mode
        if mode == "hold":
            self.done += 1
            await asyncio.sleep(HOLD)
            return b"", True
        if mode == "late" and answers:
            self.done += 1
            await asyncio.sleep(self._random.uniform(0, LATE[self._kind]))
        if mode == "cut" and self._random.random() < 0.3:
            self.done += 1
            return data[: self._random.randrange(len(data))] if answers else b"", True
        if mode == "garble" and answers and self._random.random() < 0.5:
            self.done += 1
            return self._garble(data), False
        return data, False

    def _garble(self, data: bytes) -> bytes:
        if self._kind == "redis":
            return self._random.choice((*REDIS_LIES, data + data))
        # The kind of a message of PostgreSQL's; MariaDB counts packets in the fourth
        # byte. No client takes them for an answer.
        changed = bytearray(data)
        for place in (0, 3):
            if place < len(changed):
                changed[place] ^= 0xA5
        return bytes(changed)
