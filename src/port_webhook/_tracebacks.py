"""Keep payloads and secrets out of tracebacks.

A traceback keeps every frame with its locals, and error trackers print them. So every
public entry point is a boundary, which cleans what leaves it:

- An error of this library leaves with a traceback that begins at the caller, and
  without the exceptions from inside that led to it: a `UnicodeDecodeError` holds the
  bytes, a `JSONDecodeError` the document.
- Any other exception (a view's, a hook's, a worker's abort signal) keeps its
  traceback, but the locals of this library's finished frames are cleared, and those
  of the libraries that these hand a payload or a secret to.

`boundary` decorates an entry point. A hot path has the same in its own body, which
costs nothing until something is raised: it deletes what it was given, since its frame
still runs, calls `clean`, and ends in a bare ``raise``, which adds no frame. Two
moments cannot be covered: a signal before an entry point's first instruction, and one
inside these lines.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, cast

from port_webhook.exceptions import PortWebhookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")

__all__ = ["boundary", "clean", "inner"]

_PACKAGE = __name__.partition(".")[0]
# What this library calls with payloads and secrets, besides the standard library.
_CALLED = (
    *("cryptography", "msgspec", "pydantic"),
    # What a request to Port's API passes on its way, with its token.
    *("anyio", "h11", "httpcore2", "httpx2", "stamina", "tenacity"),
)
_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE
# The same of generators and asynchronous generators, too.
_CAN_WAIT = 0x20 | _CO_COROUTINE | 0x200


def clean(error: BaseException) -> None:
    """Remove from *error* what this library's frames would show.

    Call it where *error* is being handled, before a bare ``raise`` and before a hook
    sees the error.
    """
    is_own = isinstance(error, PortWebhookError)
    if is_own and error.__context__ is None is error.__cause__:
        # The commonest refusal, which an attacker may cause as often as they like.
        error.__traceback__ = None
        return
    stack = _running(error)
    for each in _chain(error):
        _drop_inner(each, stack)
    if is_own:
        error.__traceback__ = None
    for each in _chain(error):
        _clear_frames(each.__traceback__)


def boundary(function: Callable[P, T]) -> Callable[P, T]:
    """Clean what *function*, or its coroutine, raises."""
    code: Any = getattr(function, "__code__", None)
    if code is not None and code.co_flags & _CO_COROUTINE:
        call = cast("Any", function)

        async def guarded_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await call(*args, **kwargs)
            except BaseException as error:
                del args, kwargs
                clean(error)
                raise

        return cast("Callable[P, T]", update_wrapper(guarded_async, function))

    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            clean(error)
            raise

    return update_wrapper(guarded, function)


def inner(function: Callable[P, T]) -> Callable[P, T]:
    """Return what `boundary` decorated, for callers behind a boundary of their own."""
    return cast("Callable[P, T]", cast("Any", function).__wrapped__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and what led to it, each once."""
    seen: set[int] = set()
    found: list[BaseException | None] = [error]
    while found:
        each = found.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            found += [each.__context__, each.__cause__]


def _drop_inner(error: BaseException, stack: set[int]) -> None:
    """Unlink the exceptions that were caught inside this library.

    Behind them in the chain stand what they replaced in turn, inside other libraries
    too, and at its end the exception that a caller is handling, which stays.
    """
    if error.__cause__ is not None and _is_inner(error.__cause__):
        error.__cause__ = None
        error.__suppress_context__ = False
    context = error.__context__
    if context is None or not _is_inner(context):
        return
    callers = (each for each in _contexts(context) if _is_handled(each, stack))
    error.__context__ = next(callers, None)


def _contexts(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and the contexts behind it, each once: a chain may be a circle."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__context__


def _running(error: BaseException) -> set[int]:
    """Return the frames that are running, by their identity."""
    trace = error.__traceback__
    frame = None if trace is None else trace.tb_frame
    found: set[int] = set()
    while frame is not None:
        found.add(id(frame))
        frame = frame.f_back
    return found


def _is_inner(error: BaseException) -> bool:
    # A traceback begins with the frame that caught its exception.
    trace = error.__traceback__
    return trace is not None and _is_ours(trace)


def _is_handled(error: BaseException, stack: set[int]) -> bool:
    """Tell whether a caller is handling *error*: its frame runs, and is not ours."""
    trace = error.__traceback__
    return trace is not None and id(trace.tb_frame) in stack and not _is_ours(trace)


def _is_ours(trace: TracebackType) -> bool:
    return _library_of(trace) == _PACKAGE


def _library_of(trace: TracebackType) -> str:
    name: object = trace.tb_frame.f_globals.get("__name__")
    if not isinstance(name, str):
        return ""
    # The module of a named tuple's constructor is called after the tuple.
    return "typing" if name.startswith("namedtuple_") else name.partition(".")[0]


def _clear_frames(trace: TracebackType | None) -> None:
    """Clear the locals of finished frames: ours, and what these call themselves."""
    clearing = False
    while trace is not None:
        library = _library_of(trace)
        # A user's own frame, such as a view's, ends it until ours come again.
        clearing = library == _PACKAGE or (
            clearing and (library in _CALLED or library in sys.stdlib_module_names)
        )
        if clearing:
            # It refuses for a frame that still runs, which is a boundary itself.
            with suppress(RuntimeError):
                if not _is_suspended(trace.tb_frame):
                    trace.tb_frame.clear()
        trace = trace.tb_next


def _is_suspended(frame: FrameType) -> bool:
    """Tell whether *frame* may go on later: clearing it would close its coroutine.

    Two tasks that await one future get one exception, with the frames of both: one
    request may have caught it, and wait for its store, while the other is cleaned.
    From Python 3.13 on, such a frame refuses to be cleared.
    """
    code = frame.f_code
    if not code.co_flags & _CAN_WAIT:
        return False
    from opcode import opmap

    return code.co_code[frame.f_lasti] == opmap["YIELD_VALUE"]
