"""The deliveries that `listen` keeps: the last ones, in memory and in a file."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from io import FileIO
    from pathlib import Path

__all__ = ["Forwarded", "History", "Record"]

# Bytes of bodies that are kept, whatever their number is.
_MAX_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Forwarded:
    """What became of a delivery that was passed on.

    Attributes:
        url: Where it was sent.
        seconds: How long that took.
        status: The status of the response; None without one.
        headers: The headers of the response.
        body: Its body, cut off where it is very long.
        error: Why there is no response.
    """

    url: str
    seconds: float = 0.0
    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: bytes = b""
    error: str | None = None


@dataclass(slots=True)
class Record:
    """One delivery, and what was found out about it.

    Attributes:
        id: Its number, which is never used again.
        received_at: When it arrived, in seconds since the epoch.
        source: How it came: ``http``, ``smee``, or ``again`` from the inspector.
        method: The HTTP method.
        target: The path and the query, as they were sent.
        headers: The headers, a pair for each line.
        body: The bytes of the body.
        payload: The bytes that were signed, where they are not *body*.
        verified: Whether it is authentic and in time.
        code: The code of the error, if it was refused.
        reason: The message of the error.
        via: As in `Delivery.via`.
        secret_index: As in `Delivery.secret_index`.
        shape: The model of the JSON, whether it is authentic or not.
        action: The action's identifier.
        run_id: The id of the run.
        status: The status of the response to the sender; None where nobody waits.
        forwarded: What became of it at the forward URL.
        version: Grows with each change of any record; it is not kept in the file.
    """

    received_at: float
    source: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    id: int = 0
    payload: bytes | None = None
    verified: bool = False
    code: str | None = None
    reason: str | None = None
    via: str | None = None
    secret_index: int | None = None
    shape: str | None = None
    action: str | None = None
    run_id: str | None = None
    status: int | None = None
    forwarded: Forwarded | None = None
    version: int = 0

    @property
    def signed(self) -> bytes:
        """The bytes that were signed, or that should have been."""
        return self.body if self.payload is None else self.payload

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    @property
    def size(self) -> int:
        """How many bytes the record holds, roughly."""
        size = len(self.body) + len(self.payload or b"") + 1024
        return size if self.forwarded is None else size + len(self.forwarded.body)


class History:
    """The last deliveries, in the order in which they came.

    Args:
        limit: How many are kept.
        path: A file that keeps them across restarts; it may not exist yet. Only its
            owner may read it, because payloads may be confidential.
        warn: Called with a sentence when the file cannot be written.

    Raises:
        OSError: The file cannot be read, is no file, or is a file of something else:
            no line of it is a delivery. Such a file is left as it is.
    """

    def __init__(
        self,
        limit: int,
        path: Path | None = None,
        warn: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._limit = limit
        self._records: dict[int, Record] = {}
        self._size = 0
        self._last_id = 0
        self._warn = warn
        self._path = None if path is None else path.resolve()
        self._lines = 0
        self.version = 0
        self.skipped = 0
        if self._path is not None:
            self._load(self._path)
            self._rewrite(self._path)

    def __len__(self) -> int:
        return len(self._records)

    def get(self, number: int) -> Record | None:
        """Return the record with this id, if it is still kept."""
        return self._records.get(number)

    def since(self, version: int) -> list[Record]:
        """Return the records that are new or changed since *version*, in its order."""
        found = [each for each in self._records.values() if each.version > version]
        return sorted(found, key=lambda each: each.version)

    @property
    def first_id(self) -> int:
        """The id of the oldest record; those before it are gone."""
        return next(iter(self._records), self._last_id + 1)

    def add(self, record: Record) -> None:
        """Number *record* and keep it; the oldest ones make room.

        It gets into the file when it is finished.
        """
        self._last_id += 1
        record.id = self._last_id
        self._keep(record)

    def finish(
        self, record: Record, status: int | None, forwarded: Forwarded | None
    ) -> None:
        """Note how *record* was answered, and what became of it.

        One that had to make room meanwhile stays gone.
        """
        record.status, size = status, record.size
        record.forwarded = forwarded
        if record.id in self._records:
            self._size += record.size - size
            self.version += 1
            record.version = self.version
        self._append(record)

    def _keep(self, record: Record) -> None:
        known = self._records.get(record.id)
        self._size += record.size - (0 if known is None else known.size)
        self.version += 1
        record.version = self.version
        self._records[record.id] = record
        while len(self._records) > 1 and (
            len(self._records) > self._limit or self._size > _MAX_BYTES
        ):
            oldest = self._records.pop(next(iter(self._records)))
            self._size -= oldest.size

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        # Before it is opened: a device may have no end, a pipe no writer.
        if not path.is_file():
            raise OSError(f"{path} is not a file")
        with path.open("rb") as file:
            for line in file:
                try:
                    record = _from_line(line)
                except (
                    ValueError,
                    TypeError,
                    KeyError,
                    AttributeError,
                    RecursionError,
                ):
                    # The last line of a process that was killed may be incomplete.
                    self.skipped += 1
                    continue
                self._last_id = max(self._last_id, record.id)
                self._keep(record)
        if self.skipped and not self._records:
            raise OSError(f"{path} holds no deliveries; it is not overwritten")

    def _append(self, record: Record) -> None:
        if self._path is None:
            return
        # Amortised: each rewriting is paid for by as many lines before.
        if self._lines >= 2 * self._limit + 100:
            self._try(self._rewrite, self._path)
            return
        self._lines += 1
        self._try(_write, self._path, [record], os.O_APPEND)

    def _rewrite(self, path: Path) -> None:
        """Leave only what is kept, at once or not at all."""
        new = path.with_name(f".{path.name}.new")
        new.unlink(missing_ok=True)
        try:
            _write(new, self._records.values(), os.O_EXCL)
            new.replace(path)
        except OSError:
            # On a full disk, what was written is half a file.
            new.unlink(missing_ok=True)
            raise
        self._lines = len(self._records)

    def _try(self, step: Callable[..., object], *arguments: object) -> None:
        try:
            step(*arguments)
        except OSError as error:
            self._warn(
                f"The history file cannot be written ({error.strerror or error}); "
                "it is not used any more."
            )
            self._path = None


def _write(path: Path, records: Iterable[Record], flag: int) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600)
    with os.fdopen(opened, "wb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            for each in records:
                _write_all(file, _to_line(each))
        except OSError:
            # A line that was cut would be the end of the one after it, too.
            file.truncate(size)
            raise


def _write_all(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _to_line(record: Record) -> bytes:
    fields: dict[str, Any] = {
        name: getattr(record, name)
        for name in Record.__slots__
        if name not in {"body", "payload", "forwarded", "version"}
    }
    fields["body"] = _encode(record.body)
    if record.payload is not None:
        fields["payload"] = _encode(record.payload)
    if record.forwarded is not None:
        fields["forwarded"] = {
            name: getattr(record.forwarded, name) for name in Forwarded.__slots__
        }
        fields["forwarded"]["body"] = _encode(record.forwarded.body)
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def _from_line(line: bytes) -> Record:
    """Read what `_to_line` wrote; raise anything if it did not."""
    fields = cast("dict[str, Any]", json.loads(line))
    forwarded = fields.pop("forwarded", None)
    record = Record(**fields)
    record.body = _decode(fields["body"])
    record.headers = [_read_pair(each) for each in fields["headers"]]
    if "payload" in fields and fields["payload"] is not None:
        record.payload = _decode(fields["payload"])
    if forwarded is not None:
        record.forwarded = Forwarded(**forwarded)
        record.forwarded.body = _decode(forwarded["body"])
        record.forwarded.headers = [_read_pair(each) for each in forwarded["headers"]]
    texts = (record.source, record.method, record.target)
    if record.id < 1 or not all(type(each) is str for each in texts):
        raise ValueError
    record.received_at = float(record.received_at)
    record.version = 0
    return record


def _read_pair(pair: Any) -> tuple[str, str]:
    name, value = pair
    return str(name), str(value)


def _encode(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    return b64decode(text, validate=True)
