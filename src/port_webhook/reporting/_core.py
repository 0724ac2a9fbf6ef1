"""The logic of both clients.

The logic is asynchronous. What differs, sending, sleeping and locking, is the `IO`
that it is given; for the synchronous client that is one whose methods block and never
suspend, so that `drive` runs a coroutine to its end in the calling thread.
"""

from __future__ import annotations

import asyncio
import math
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import httpx2
import stamina

from port_webhook.exceptions import ReportingError
from port_webhook.reporting._requests import fetch_token
from port_webhook.reporting._retry import (
    FailedRequestError,
    Reply,
    may_repeat,
    read_response,
    unanswered,
    wait_for,
)
from port_webhook.reporting._token import Hidden, TokenCache

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Iterator,
    )
    from contextlib import AbstractAsyncContextManager

    from port_webhook.reporting._options import Settings
    from port_webhook.reporting._requests import Request
    from port_webhook.reporting._token import Token

__all__ = ["IO", "AsyncIO", "BlockingIO", "Core", "drive", "is_reporting"]

T = TypeVar("T")

_UNAUTHORIZED = 401
# Port takes at most 1 MiB, and what it answers repeats that.
_MAX_RESPONSE = 4 * 1024 * 1024
# How many of the client's read timeouts a response may take in all.
_PATIENCE = 6
_is_reporting: ContextVar[bool] = ContextVar("port_webhook_is_reporting", default=False)


def is_reporting() -> bool:
    """Tell whether this context is in a call of Port's API."""
    return _is_reporting.get()


class IO(Protocol):
    """The operations that differ: sending, sleeping and locking."""

    @property
    def lock(self) -> AbstractAsyncContextManager[object]:
        """A lock that lets one in at a time."""
        ...

    @property
    def patience(self) -> float:
        """How long a response may take in all, in seconds."""
        ...

    async def send(
        self, method: str, url: str, body: _Body, **options: Any
    ) -> httpx2.Response:
        """Send a request, and read the response into *body*."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class _ThreadLock:
    """A lock for threads in the form of one for tasks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


class BlockingIO:
    """The `IO` of threads; its coroutines never suspend."""

    def __init__(
        self, http_client: httpx2.Client, sleep: Callable[[float], object]
    ) -> None:
        self.lock = _ThreadLock()
        self.patience = _read_patience(http_client)
        self._http = http_client
        self._sleep = sleep

    async def send(
        self, method: str, url: str, body: _Body, **options: Any
    ) -> httpx2.Response:
        """Send a request, and read the response into *body*."""
        with self._http.stream(method, url, **options) as response:
            response.stream = _Watched(response.stream, body.check_time)
            for piece in response.iter_bytes():
                body.take(response, piece)
        return response

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)


class AsyncIO:
    """The `IO` of tasks."""

    def __init__(
        self,
        http_client: httpx2.AsyncClient,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self.lock = asyncio.Lock()
        self.patience = _read_patience(http_client)
        self._http = http_client
        self._sleep = sleep

    async def send(
        self, method: str, url: str, body: _Body, **options: Any
    ) -> httpx2.Response:
        """Send a request, and read the response into *body*."""
        async with asyncio.timeout(None) as deadline:

            async def trace(event: str, _: object) -> None:
                # The wait for a free connection does not count.
                if event.endswith("send_request_headers.started"):
                    now = asyncio.get_running_loop().time()
                    deadline.reschedule(now + self.patience)

            async with self._http.stream(
                method, url, extensions={"trace": trace}, **options
            ) as response:
                response.stream = _Watched(response.stream, body.check_time)
                async for piece in response.aiter_bytes():
                    body.take(response, piece)
        return response

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._sleep(seconds)


class _Body:
    """The body of a response, which may be neither too large nor too slow.

    httpx2 decodes at most 1 MiB at a time, so that a compressed body is stopped, too.
    """

    def __init__(
        self, request: Request, clock: Callable[[], float], patience: float
    ) -> None:
        self.content: bytearray = bytearray()
        self._request = request
        self._clock = clock
        self._patience = patience
        self._end: float | None = None

    def check_time(self) -> None:
        """Look at the clock; the first look starts the time.

        Raises:
            ReadTimeout: The response takes too long.
        """
        now = self._clock()
        if self._end is None:
            self._end = now + self._patience
        if now > self._end:
            raise httpx2.ReadTimeout("the whole response took too long")

    def take(self, response: httpx2.Response, piece: bytes) -> None:
        """Add a piece of the decoded body.

        Raises:
            FailedRequestError: There are too many of them.
        """
        self.content += piece
        if len(self.content) > _MAX_RESPONSE:
            limit = f"{_MAX_RESPONSE // 1024 // 1024} MiB"
            raise FailedRequestError(
                ReportingError(
                    f"Port's response to {self._request.what} is larger than {limit}",
                    status_code=response.status_code,
                ),
                repeat=False,
            )


class _Watched(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body as it arrives, before it is decoded.

    A compressed body can go on for ever and be decoded to nothing.
    """

    def __init__(self, stream: Any, check: Callable[[], None]) -> None:
        self._stream = stream
        self._check = check

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._check()
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._check()
            yield piece

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()


class Core:
    """Calls Port's API with a token, and again where that is safe."""

    def __init__(
        self, client_id: str, client_secret: str, settings: Settings, io: IO
    ) -> None:
        self.settings = settings
        self._credentials = Hidden(client_id), Hidden(client_secret)
        self._io = io
        self._tokens = TokenCache(self._fetch_token, io.lock, settings.clock)

    async def call(self, request: Request) -> dict[str, Any]:
        """Send *request* and return the body of the response.

        Raises:
            ReportingError: It failed.
        """
        mark = _is_reporting.set(True)
        try:
            return await self._call(request)
        except FailedRequestError as failure:
            raise failure.error
        finally:
            _is_reporting.reset(mark)

    async def _call(self, request: Request) -> dict[str, Any]:
        wait = 0.0
        left = self.settings.max_wait
        answer: dict[str, Any] = {}
        # stamina counts and announces the attempts. The waits are ours: Port says how
        # long they are, and a test does not wait. Its loop for coroutines would have
        # to know the event loop, and with no wait the other one does the same.
        for attempt in stamina.retry_context(
            may_repeat,
            attempts=self.settings.attempts,
            timeout=None,
            wait_initial=0,
            wait_max=0,
            wait_jitter=0,
        ):
            with attempt:
                if attempt.num > 1:
                    await self._io.sleep(wait)
                    left -= wait
                try:
                    answer = await self._authorized(request)
                except FailedRequestError as failure:
                    wait = wait_for(failure, attempt.num, self.settings.clock())
                    # Earlier than Port said would be of no use.
                    failure.repeat = failure.repeat and wait <= left
                    raise
        return answer

    async def _authorized(self, request: Request) -> dict[str, Any]:
        token = await self._tokens.get()
        reply = await self._send(request, token)
        if reply.response.status_code == _UNAUTHORIZED:
            token = await self._tokens.get(refused=token)
            reply = await self._send(request, token)
        return read_response(reply, request, self._hide)

    async def _fetch_token(self) -> tuple[str, float]:
        client_id, secret = (each.reveal() for each in self._credentials)
        request = fetch_token(client_id, secret)
        body = read_response(await self._send(request, None), request, self._hide)
        value: Any = body.get("accessToken")
        seconds: Any = body.get("expiresIn")
        if isinstance(value, str) and value and value.isprintable() and value.isascii():
            # Without a time it is used until Port refuses it. A dying one is used, too.
            # The bound of some 30 years keeps `float` from overflowing.
            is_number = isinstance(seconds, int | float)
            return value, float(min(max(seconds, 1), 1e9)) if is_number else math.inf
        raise FailedRequestError(
            ReportingError("Port's response holds no access token"), repeat=False
        )

    async def _send(self, request: Request, token: Token | None) -> Reply:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.value.reveal()}"
        body = _Body(request, self.settings.clock, self._io.patience)
        try:
            response = await self._io.send(
                request.method,
                self.settings.base_url + request.path,
                body,
                params=request.params or None,
                content=request.body,
                headers=headers,
                # Neither the caller's client may put another one in the place of the
                # token, nor follow a redirect, which takes token or secret along.
                auth=None,
                follow_redirects=False,
            )
        except FailedRequestError:
            raise
        except Exception as error:  # whatever a transport of the caller's raises
            raise unanswered(error, request, self.settings.base_url, self._hide)
        return Reply(response, bytes(body.content))

    def _hide(self, text: str) -> str:
        """Remove the secret, and the tokens of late, from what Port says."""
        return self._tokens.hide(text.replace(self._credentials[1].reveal(), "…"))


def _read_patience(http_client: httpx2.Client | httpx2.AsyncClient) -> float:
    read = http_client.timeout.read
    return math.inf if read is None else _PATIENCE * read


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the synchronous client to its end."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError  # nothing in it suspends
