"""`port_webhook._tracebacks`: what a traceback shows once an error left the library."""

from __future__ import annotations

import json
import sys
import types
from typing import Any, NamedTuple

import pytest

from port_webhook import _tracebacks
from port_webhook._tracebacks import boundary, clean, inner
from port_webhook.exceptions import ConfigurationError, PayloadError


def module(name, source):
    """Return the namespace of a module of this name; ours begin with port_webhook."""
    namespace: dict[str, Any] = {"__name__": name, "boundary": boundary, "json": json}
    namespace |= {
        "ConfigurationError": ConfigurationError,
        "PayloadError": PayloadError,
    }
    exec(source, namespace)  # noqa: S102  # its frames pass for those of a module
    return types.SimpleNamespace(**namespace)


SOURCE = """
def inner(payload, call):
    return call()

@boundary
def outer(payload, call):
    copy = payload
    return inner(copy, call)

@boundary
async def aouter(payload, call):
    copy = payload
    return inner(copy, call)

def refuse(payload):
    raise ConfigurationError("refused")

def refuse_within(payload):
    try:
        json.loads(payload)
    except ValueError:
        raise PayloadError("is not JSON")

def refuse_from(payload):
    try:
        json.loads(payload)
    except ValueError as error:
        raise PayloadError("is not JSON") from error

def make(payload, kind):
    return kind(payload, 1)

def parse(payload, **options):
    return json.loads(payload, **options)

def refuse_from_another(payload):
    try:
        json.loads(payload)
    except ValueError as error:
        kept = error
    raise PayloadError("is not JSON") from kept

def refuse_in_a_circle(payload, other):
    try:
        json.loads(payload)
    except ValueError as error:
        kept = error
    kept.__context__, other.__context__ = other, kept
    refusal = PayloadError("is not JSON")
    refusal.__context__ = kept
    raise refusal

def wait(payload):
    try:
        yield
    except LookupError as error:
        yield error
"""


@pytest.fixture
def ours():
    """Return a module of ours, made anew, so that its boundaries are."""
    return module("port_webhook._made_up", SOURCE)


def frames_of(error):
    """Return the name and the locals of each frame of a traceback."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        found.append((trace.tb_frame.f_code.co_name, dict(trace.tb_frame.f_locals)))
        trace = trace.tb_next
    return found


def shown_by(error, *names):
    return [
        (name, variables)
        for name, variables in frames_of(error)
        if name in (names or ("inner", "outer", "aouter", "parse")) and variables
    ]


class UserError(Exception):
    """What a view, a hook or a store raises."""


def raise_user_error():
    secret_of_the_user = "theirs"  # noqa: F841  # looked for in the frame
    raise UserError


class TestOwnErrors:
    def test_the_traceback_begins_at_the_caller(self, ours):
        with pytest.raises(ConfigurationError) as caught:
            ours.outer("payload", lambda: ours.refuse("payload"))

        names = [name for name, _ in frames_of(caught.value)]
        assert names == [
            "test_the_traceback_begins_at_the_caller",
        ]

    async def test_that_of_a_coroutine_does_so_too(self, ours):
        with pytest.raises(ConfigurationError) as caught:
            await ours.aouter("payload", lambda: ours.refuse("payload"))

        names = [name for name, _ in frames_of(caught.value)]
        assert names == ["test_that_of_a_coroutine_does_so_too"]

    @pytest.mark.parametrize(
        "refuse", ["refuse_within", "refuse_from", "refuse_from_another"]
    )
    def test_what_led_to_it_inside_is_dropped(self, ours, refuse):
        with pytest.raises(PayloadError) as caught:
            ours.outer("payload", lambda: getattr(ours, refuse)("payload"))

        assert caught.value.__cause__ is caught.value.__context__ is None

    @pytest.mark.parametrize("refuse", ["refuse", "refuse_within"])
    def test_the_exception_that_a_caller_handles_stays(self, ours, refuse):
        handled = None
        with pytest.raises((PayloadError, ConfigurationError)) as caught:  # noqa: PT012  # within an `except`
            try:
                raise_user_error()
            except UserError as error:
                handled = error
                ours.outer("payload", lambda: getattr(ours, refuse)("payload"))

        assert caught.value.__context__ is handled
        assert ("raise_user_error", {"secret_of_the_user": "theirs"}) in frames_of(
            handled
        )

    def test_a_cause_of_the_callers_stays(self, ours):
        cause = UserError()

        def refuse():
            raise ConfigurationError from cause

        with pytest.raises(ConfigurationError) as caught:
            ours.outer("payload", refuse)

        assert caught.value.__cause__ is cause

    def test_a_circle_of_contexts_is_walked_once(self, ours):
        first, second = ConfigurationError("first"), UserError()

        def refuse():
            try:
                ours.refuse_within("payload")
            except PayloadError as inner:
                first.__context__, second.__context__ = second, inner
                inner.__context__ = second
            raise first

        with pytest.raises(ConfigurationError) as caught:
            ours.outer("payload", refuse)

        assert caught.value is first

    def test_a_circle_that_was_caught_inside_is_walked_once(self, ours):
        with pytest.raises(PayloadError) as caught:
            ours.outer("x", lambda: ours.refuse_in_a_circle("payload", UserError()))

        assert caught.value.__context__ is None

    def test_the_exception_that_a_caller_handles_is_shown(self, ours):
        """A cause hides the context; this one is not seen any more."""
        with pytest.raises(PayloadError) as caught:  # noqa: PT012  # within an `except`
            try:
                raise_user_error()
            except UserError:
                ours.outer("x", lambda: ours.refuse_from("payload"))

        assert caught.value.__suppress_context__ is False

    def test_it_may_pass_several_boundaries(self, ours):
        with pytest.raises(ConfigurationError) as caught:
            ours.outer("a", lambda: ours.outer("b", lambda: ours.refuse("payload")))

        assert len(frames_of(caught.value)) == 1


class TestOtherErrors:
    @pytest.mark.parametrize("kind", [UserError, KeyboardInterrupt, SystemExit])
    def test_the_traceback_stays_and_our_locals_are_cleared(self, ours, kind):
        def fail():
            theirs = "theirs"  # noqa: F841  # looked for in the frame
            raise kind

        with pytest.raises(kind) as caught:
            ours.outer("payload", fail)

        frames = frames_of(caught.value)
        names = [name for name, _ in frames]
        assert names[1:] == ["guarded", "outer", "inner", "fail"]
        assert shown_by(caught.value) == []
        assert frames[-1][1]["theirs"] == "theirs"
        assert "payload" not in repr(frames[1])

    async def test_that_of_a_coroutine_does_so_too(self, ours):
        with pytest.raises(UserError) as caught:
            await ours.aouter("payload", raise_user_error)

        assert shown_by(caught.value) == []
        assert frames_of(caught.value)[1][0] == "guarded_async"
        assert "payload" not in repr(frames_of(caught.value)[1])

    def test_a_context_of_the_users_is_cleared_of_our_frames_too(self, ours):
        def fail():
            try:
                ours.inner("payload", raise_user_error)
            except UserError:
                raise LookupError

        with pytest.raises(LookupError) as caught:
            ours.outer("payload", fail)

        assert isinstance(caught.value.__context__, UserError)
        assert shown_by(caught.value.__context__) == []

    def test_its_cause_and_its_context_are_cleared_of_them(self, ours):
        def keep():
            with pytest.raises(UserError) as kept:
                ours.inner("payload", raise_user_error)
            return kept.value

        def fail():
            error = UserError()
            error.__context__, error.__cause__ = keep(), keep()
            raise error

        with pytest.raises(UserError) as caught:
            ours.outer("payload", fail)

        for each in (caught.value.__context__, caught.value.__cause__):
            assert [name for name, _ in frames_of(each)][1:] == [
                "inner",
                "raise_user_error",
            ]
            assert shown_by(each) == []

    def test_what_a_library_caught_before_ours_were_called_is_the_users(self, ours):
        library = module(
            "json._made_up",
            """
def keep(payload):
    try:
        raise LookupError
    except LookupError as error:
        return error
""",
        )

        def fail():
            error = UserError()
            error.__context__ = library.keep("theirs")
            raise error

        with pytest.raises(UserError) as caught:
            ours.outer("payload", fail)

        assert frames_of(caught.value.__context__) == [("keep", {"payload": "theirs"})]

    def test_the_frames_of_a_library_that_ours_call_are_cleared(self, ours):
        def fail(_):
            raise UserError

        with pytest.raises(UserError) as caught:
            ours.outer("payload", lambda: ours.parse('["payload", 1]', parse_int=fail))

        frames = [each for each in frames_of(caught.value) if each[0] == "decode"]
        assert frames == [("decode", {})]

    @pytest.mark.parametrize(
        ("library", "kept"),
        [
            *(("cryptography", {}), ("msgspec", {}), ("pydantic", {}), ("anyio", {})),
            *(("h11", {}), ("httpcore2", {}), ("httpx2", {}), ("stamina", {})),
            *(("tenacity", {}), ("another", {"payload": "payload"})),
        ],
    )
    def test_these_are_known_by_their_names(self, ours, library, kept):
        source = "def fail(payload='payload'): raise LookupError"

        with pytest.raises(LookupError) as caught:
            ours.outer("payload", module(f"{library}.part", source).fail)

        assert frames_of(caught.value)[-1] == ("fail", kept)

    def test_those_that_the_user_calls_are_not(self, ours):
        def fail(_):
            raise UserError

        with pytest.raises(UserError) as caught:
            ours.outer("payload", lambda: json.loads("[1]", parse_int=fail))

        ((_, variables),) = (
            each for each in frames_of(caught.value) if each[0] == "decode"
        )
        assert variables["s"] == "[1]"

    def test_a_constructor_of_a_named_tuple_is_cleared(self, ours):
        class Pair(NamedTuple):
            payload: str
            other: int

        def stop(frame, _event, _arg):
            if frame.f_globals["__name__"] == "namedtuple_Pair":
                raise UserError

        before = sys.gettrace()
        sys.settrace(stop)
        try:
            with pytest.raises(UserError) as caught:
                ours.outer("payload", lambda: ours.make("payload", Pair))
        finally:
            sys.settrace(before)

        *_, constructor, (last, _) = frames_of(caught.value)
        assert (constructor, last) == (("<lambda>", {}), "stop")

    def test_a_suspended_generator_of_a_users_is_not_closed(self, ours):
        def of_the_user():
            try:
                yield
            except LookupError as error:
                yield error

        theirs = of_the_user()
        next(theirs)
        error = theirs.throw(LookupError())

        def fail():
            raise error

        with pytest.raises(LookupError):
            ours.outer("payload", fail)

        assert theirs.gi_frame is not None

    def test_a_suspended_generator_of_ours_is_not_closed(self, ours):
        """As of a coroutine that caught the error, and waits for its store."""
        waiting = ours.wait("payload")
        next(waiting)
        error = waiting.throw(LookupError())

        def fail():
            raise error

        with pytest.raises(LookupError):
            ours.outer("payload", fail)

        assert waiting.gi_frame is not None

    def test_a_module_without_a_name_is_not_ours(self, ours):
        namespace: dict[str, Any] = {"__name__": None}
        exec("def fail(payload): raise LookupError", namespace)  # noqa: S102  # a frame

        with pytest.raises(LookupError) as caught:
            ours.outer("x", lambda: namespace["fail"]("payload"))

        assert frames_of(caught.value)[-1] == ("fail", {"payload": "payload"})


class TestClean:
    def test_an_error_that_was_never_raised_is_left_as_it_is(self):
        for error in (ConfigurationError("x"), UserError()):
            clean(error)

            assert error.__traceback__ is None

    def test_an_error_with_a_cause_that_was_never_raised_is_left_as_it_is(self):
        error = ConfigurationError("x")
        error.__cause__ = cause = UserError()

        clean(error)

        assert error.__cause__ is cause


class TestBoundary:
    def test_it_hands_on_arguments_and_the_result(self):
        @boundary
        def add(first, *, second=2):
            """Add."""
            return first + second

        assert (add(1), add(1, second=3)) == (3, 4)
        assert (add.__name__, add.__doc__) == ("add", "Add.")

    async def test_it_keeps_a_coroutine_function_one(self):
        @boundary
        async def add(first, *, second=2):
            """Add."""
            return first + second

        assert add.__code__.co_flags & _tracebacks._CO_COROUTINE
        assert await add(1, second=3) == 4
        assert (add.__name__, add.__doc__) == ("add", "Add.")

    def test_what_has_no_code_of_its_own_is_called_as_it_is(self):
        assert boundary(len)("abc") == 3

    def test_the_function_inside_is_what_was_decorated(self):
        def nothing():
            return None

        assert inner(boundary(nothing)) is nothing
