"""The arguments of a decorator: the verifier, its choice, the model, the view."""

from __future__ import annotations

import threading
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any

import pytest

from port_webhook import (
    ActionInvocation,
    ConfigurationError,
    CustomPayload,
    Delivery,
    PayloadError,
    Verifier,
    sign,
)
from port_webhook.integration import Endpoint, check_view, decorate, hide_delivery

from .doubles import NOW, SECRET, AsyncStore, Store, make

if TYPE_CHECKING:
    from collections.abc import Sequence

BODY = b'{"context":{"runId":"r_1"}}'
HEADERS = sign(BODY, SECRET, timestamp=NOW)


def test_an_endpoint_serves_every_request_with_its_verifier():
    verifier = make()
    assert Endpoint[Any](verifier, synchronous=True).verifier_for("any") is verifier


def test_an_endpoint_asks_a_function_for_each_request():
    verifiers = {"a": make(), "b": make()}
    endpoint = Endpoint[Any](choose=verifiers.get, synchronous=True)
    assert endpoint.verifier_for("a") is verifiers["a"]
    assert endpoint.verifier_for("b") is verifiers["b"]


async def test_an_asynchronous_endpoint_asks_either_kind_of_function():
    verifiers = {"a": make(), "b": make()}

    async def choose(request):
        return verifiers[request]

    for function in (choose, verifiers.get):
        endpoint = Endpoint[Any](choose=function, synchronous=False)
        assert await endpoint.averifier_for("a") is verifiers["a"]
        assert await endpoint.averifier_for("b") is verifiers["b"]
        with pytest.raises((ConfigurationError, KeyError)):
            await endpoint.averifier_for("c")


def test_an_endpoint_reads_the_environment_once_and_not_before_it_must(monkeypatch):
    monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)
    endpoint = Endpoint[Any](synchronous=True)
    with pytest.raises(ConfigurationError):
        endpoint.verifier_for("any")
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    first = endpoint.verifier_for("any")
    monkeypatch.delenv("PORT_CLIENT_SECRET")
    assert endpoint.verifier_for("another") is first


@pytest.mark.parametrize("wrong", ["a secret", b"a secret", 1, object(), Verifier])
def test_an_endpoint_refuses_what_is_neither_a_verifier_nor_a_function(wrong):
    with pytest.raises(ConfigurationError, match="must be a Verifier") as caught:
        Endpoint[Any](wrong, synchronous=True)
    assert "a secret" not in str(caught.value)


def test_an_endpoint_refuses_a_function_that_returns_no_verifier():
    endpoint = Endpoint[Any](choose=lambda _: None, synchronous=True)
    with pytest.raises(ConfigurationError, match="did not return a Verifier"):
        endpoint.verifier_for("any")


def test_a_synchronous_endpoint_refuses_an_asynchronous_store_when_it_is_set_up():
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        Endpoint[Any](make(AsyncStore()), synchronous=True)


def test_a_synchronous_endpoint_refuses_an_asynchronous_store_that_is_chosen():
    endpoint = Endpoint[Any](choose=lambda _: make(AsyncStore()), synchronous=True)
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        endpoint.verifier_for("any")


@pytest.mark.parametrize("store", [Store(), AsyncStore(), None])
def test_an_asynchronous_endpoint_takes_any_store(store):
    verifier = make(store)
    assert Endpoint[Any](verifier, synchronous=False).verifier_for(1) is verifier


def test_a_view_gets_the_delivery_unless_there_is_a_model():
    verifier = make()
    delivery = verifier.verify(BODY, HEADERS)
    assert Endpoint[Any](verifier, synchronous=True).argument(delivery) is delivery


def test_a_view_gets_the_model():
    endpoint = Endpoint[Any](model=CustomPayload, synchronous=True)
    argument = endpoint.argument(make().verify(BODY, HEADERS))
    assert isinstance(argument, CustomPayload)


def test_a_payload_that_is_not_the_model_leaves_no_frame_that_parsed_it():
    endpoint = Endpoint[Any](model=ActionInvocation, synchronous=True)
    delivery = make().verify(BODY, HEADERS)
    with pytest.raises(PayloadError) as caught:
        endpoint.argument(delivery)
    assert "parse" not in [each.name for each in caught.traceback]


@pytest.mark.parametrize("model", [int, "ActionInvocation", Delivery, object()])
def test_an_endpoint_refuses_what_is_no_model_when_it_is_set_up(model):
    with pytest.raises(ConfigurationError, match="is not a model"):
        Endpoint[Any](make(), model=model, synchronous=True)


# --- The ways of writing @webhook ---------------------------------------------------


def wrapping(view, verifier):
    """Stand for an adapter: a view that says which verifier it was given."""

    def wrapper(*args, **kwargs):
        return (verifier, view(*args, **kwargs))

    wrapper.__name__ = view.__name__
    return wrapper


def view_of_any(*args, **kwargs):
    return (args, kwargs)


def test_webhook_with_a_verifier_returns_a_decorator():
    verifier = make()
    view = decorate(verifier, wrapping)(view_of_any)
    assert view(1, a=2) == (verifier, ((1,), {"a": 2}))


def test_webhook_with_nothing_returns_a_decorator():
    assert decorate(None, wrapping)(view_of_any)() == (None, ((), {}))


def test_webhook_with_the_wrong_thing_returns_a_decorator_that_refuses_it():
    def refuse(view, verifier):
        return Endpoint[Any](verifier, synchronous=True)

    with pytest.raises(ConfigurationError):
        decorate("a secret", refuse)(view_of_any)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("request",), {}), ((), {"a": 1}), ((1, 2), {}), ((len,), {"a": 1})],
)
def test_bare_webhook_is_a_view_to_whoever_calls_it_with_a_request(args, kwargs):
    view = decorate(view_of_any, wrapping)
    assert view(*args, **kwargs) == (None, (args, kwargs))
    assert view.__name__ == "view_of_any"


@pytest.mark.parametrize("target", [len, lambda request: make()])
def test_a_choosing_function_in_the_place_of_a_verifier_is_refused(target):
    with pytest.raises(ConfigurationError, match="passed as choose="):
        decorate(target, wrapping)(view_of_any)
    with pytest.raises(ConfigurationError, match="passed as choose="):
        decorate(target, wrapping, options=True)
    with pytest.raises(ConfigurationError, match="passed as choose="):
        Endpoint[Any](target, synchronous=True)


@pytest.mark.parametrize("target", [CustomPayload, Verifier])
def test_a_class_is_refused_in_every_place(target):
    for misuse in (
        lambda: decorate(target, wrapping),
        lambda: decorate(None, wrapping)(target),
        lambda: decorate(make(), wrapping)(target),
    ):
        with pytest.raises(ConfigurationError, match="not classes"):
            misuse()


def test_what_cannot_be_called_is_no_view():
    view: Any = 1
    with pytest.raises(ConfigurationError, match="not int"):
        decorate(make(), wrapping)(view)


def wrapping_async(view, verifier):
    """Stand for an adapter of an asynchronous framework."""

    async def wrapper(*args, **kwargs):
        return (verifier, await view(*args, **kwargs))

    return wrapper


async def test_bare_webhook_on_an_asynchronous_view_is_never_a_decorator():
    async def view(*args):
        return args

    wrapper = decorate(view, wrapping_async)
    assert iscoroutinefunction(wrapper)
    assert await wrapper(choose_later) == (None, (choose_later,))


# --- The choice of a verifier -------------------------------------------------------


def test_a_choice_excludes_a_verifier():
    with pytest.raises(ConfigurationError, match="not both"):
        Endpoint[Any](make(), choose=lambda _: make(), synchronous=True)


@pytest.mark.parametrize("choice", [make(), "secret", Verifier])
def test_a_choice_is_a_function(choice):
    with pytest.raises(ConfigurationError, match="must be a function"):
        Endpoint[Any](choose=choice, synchronous=False)


async def choose_later(_request):
    return make()


class ChooseLater:
    async def __call__(self, _request):
        return make()


@pytest.mark.parametrize("choice", [choose_later, ChooseLater()])
async def test_an_asynchronous_choice_needs_somebody_to_await_it(choice):
    with pytest.raises(ConfigurationError, match="asynchronous"):
        Endpoint[Any](choose=choice, synchronous=True)
    found = await Endpoint[Any](choose=choice, synchronous=False).averifier_for(1)
    assert isinstance(found, Verifier)


async def test_a_synchronous_choice_runs_in_a_thread():
    threads: list[threading.Thread] = []

    def choose(_request):
        threads.append(threading.current_thread())
        return make()

    endpoint = Endpoint[Any](choose=choose, synchronous=False)
    assert isinstance(await endpoint.averifier_for(1), Verifier)
    assert threads != [threading.main_thread()]


@pytest.mark.parametrize("choice", [choose_later, ChooseLater()])
async def test_an_asynchronous_choice_needs_no_thread(choice):
    async def to_thread(*_args):
        pytest.fail("a thread was used")

    endpoint = Endpoint[Any](choose=choice, synchronous=False, to_thread=to_thread)
    assert isinstance(await endpoint.averifier_for(1), Verifier)


async def test_a_function_may_return_what_is_to_be_awaited():
    endpoint = Endpoint[Any](
        choose=lambda request: choose_later(str(request)), synchronous=False
    )
    assert isinstance(await endpoint.averifier_for(1), Verifier)


async def test_a_framework_may_have_threads_of_its_own():
    ran: list[Any] = []

    async def to_thread(function, *args):
        ran.append(args)
        return function(*args)

    endpoint = Endpoint[Any](
        choose=lambda _: make(), synchronous=False, to_thread=to_thread
    )
    assert isinstance(await endpoint.averifier_for(1), Verifier)
    assert ran == [(1,)]


async def test_an_asynchronous_framework_has_a_default_too():
    verifier = make()
    endpoint = Endpoint[Any](synchronous=False, default=lambda: verifier)
    assert await endpoint.averifier_for(1) is verifier
    assert endpoint.verifier_for(1) is verifier
    assert await Endpoint[Any](verifier, synchronous=False).averifier_for(1) is verifier


# --- The messages -------------------------------------------------------------------


def no_view():
    """Stand for a view without a parameter."""


def with_default(delivery=None):
    """Stand for a view that would run without a delivery."""


class NoView:
    def method(self): ...


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (
            lambda: Endpoint[Any](make(), choose=make, synchronous=True),
            "Give a verifier or choose=, not both",
        ),
        (
            lambda: Endpoint[Any](choose=Verifier, synchronous=True),
            "choose must be a function that returns the Verifier of a request",
        ),
        (
            lambda: Endpoint[Any](choose=choose_later, synchronous=True),
            (
                "choose is asynchronous, and nothing here can await it; pass a "
                "synchronous function"
            ),
        ),
        (
            lambda: Endpoint[Any](choose=lambda _: 5, synchronous=True).verifier_for(
                "any"
            ),
            (
                "choose did not return a Verifier, but int; to refuse a request, raise "
                "what the framework answers with 404"
            ),
        ),
        (
            lambda: Endpoint[Any](make(AsyncStore()), synchronous=True),
            "A synchronous framework needs a synchronous replay store",
        ),
        (
            lambda: Endpoint[Any](choose_later, synchronous=True),
            "A function that chooses a verifier is passed as choose=, by keyword",
        ),
        (
            lambda: Endpoint[Any](5, synchronous=True),
            (
                "verifier must be a Verifier, not int; write Verifier(secret) or "
                "Verifier.from_env()"
            ),
        ),
        (
            lambda: decorate("a secret", wrapping),
            (
                "verifier must be a Verifier, not str; write Verifier(secret) or "
                "Verifier.from_env()"
            ),
        ),
        (
            lambda: decorate(Verifier, wrapping),
            (
                "webhook takes verifiers, not classes; write Verifier(secret) or "
                "Verifier.from_env()"
            ),
        ),
        (
            lambda: decorate(Methods, wrapping),
            (
                "webhook decorates functions, not classes; of a class-based view, "
                "decorate the method, or see the page of the framework"
            ),
        ),
        (
            lambda: decorate(Methods, wrapping, class_hint="do this"),
            "webhook decorates functions, not classes; of a class-based view, do this",
        ),
        (
            lambda: decorate(None, wrapping, class_hint="do this")(Methods),
            "webhook decorates functions, not classes; of a class-based view, do this",
        ),
        (
            lambda: decorate(None, wrapping)(5),
            "webhook decorates functions, not int",
        ),
        (
            lambda: check_view(no_view),
            (
                "no_view has no parameter for the delivery; write def "
                "no_view(delivery). A function that chooses a verifier is passed as "
                "choose="
            ),
        ),
        (
            lambda: check_view(NoView.method, before=2),
            (
                "method has no parameter for the delivery; write def method(self, "
                "request, request, delivery). A function that chooses a verifier is "
                "passed as choose="
            ),
        ),
        (
            lambda: check_view(with_default),
            (
                "The parameter delivery of with_default takes the delivery and must "
                "not have a default: with the decorators in the wrong order, the view "
                "would run unverified. A function that chooses a verifier is passed as "
                "choose="
            ),
        ),
    ],
)
def test_the_error_says_what_to_write(misuse, message):
    with pytest.raises(ConfigurationError) as caught:
        misuse()
    assert str(caught.value) == message


# --- The view -----------------------------------------------------------------------


class Methods:
    def first(self, delivery, org): ...
    def second(self, request, delivery): ...
    def none(self): ...


class Untold:
    """A view that does not tell its signature, as some built-in functions."""

    __signature__ = "none"

    def __call__(self, *args: Any) -> None: ...


@pytest.mark.parametrize(
    ("view", "before", "name"),
    [
        (lambda delivery: 0, 0, "delivery"),
        (lambda request, invocation, org: 0, 1, "invocation"),
        (lambda d, org="a", *, x=1: 0, 0, "d"),
        (lambda *args: 0, 0, None),
        (lambda **options: 0, 0, None),
        (lambda request, **options: 0, 1, None),
        (Methods.first, 0, "delivery"),
        (Methods.second, 1, "delivery"),
        (Methods().first, 0, "delivery"),
        (Untold(), 0, None),
    ],
)
def test_the_delivery_is_the_first_parameter_that_is_left(view, before, name):
    found = check_view(view, before=before)
    assert (None if found is None else found.name) == name
    if not before:
        assert check_view(view) == found


@pytest.mark.parametrize(
    ("view", "before", "advice"),
    [
        (lambda: 0, 0, r"write def view\(delivery\)"),
        (lambda request: 0, 1, r"write def view\(request, delivery\)"),
        (lambda *, delivery: 0, 0, "no parameter for the delivery"),
        (Methods.none, 0, r"write def none\(self, delivery\)"),
        (Methods.first, 2, "no parameter for the delivery"),
        (lambda delivery=None: 0, 0, "must not have a default"),
        (lambda request, delivery=None: 0, 1, "must not have a default"),
    ],
)
def test_a_view_without_a_safe_place_for_the_delivery_is_refused(view, before, advice):
    with pytest.raises(ConfigurationError, match=advice):
        check_view(view, before=before)


def test_a_view_that_is_an_object_is_named_by_its_class():
    class View:
        def __call__(self): ...

    with pytest.raises(ConfigurationError, match="View has no parameter"):
        check_view(View())


def test_the_delivery_is_hidden_and_the_annotations_are_evaluated():
    def view(delivery: Delivery, orgs: Sequence[str], n: int = 1) -> bytes:
        return b""

    def wrapper(*_args: Any, **_options: Any) -> None: ...

    hide_delivery(wrapper, view, "delivery")
    found = signature(wrapper)
    assert [*found.parameters] == ["orgs", "n"]
    assert found.parameters["n"].annotation is int
    assert found.parameters["n"].default == 1
    # A name that only type checkers import stays as it is written.
    assert found.parameters["orgs"].annotation == "Sequence[str]"
    assert found.return_annotation is bytes
    assert wrapper.__annotations__ == {
        "orgs": "Sequence[str]",
        "n": int,
        "return": bytes,
    }


def test_annotations_are_evaluated_where_the_view_was_defined():
    def view(delivery: Delivery, order: CustomPayload) -> Methods:
        return Methods()

    def wrapper(*_args: Any) -> None: ...

    hide_delivery(wrapper, view, "delivery")
    assert wrapper.__annotations__ == {"order": CustomPayload, "return": Methods}


def test_the_annotations_of_an_object_are_not_evaluated_by_our_own_names():
    class View:
        def __call__(self, delivery: Delivery, verifier: Verifier) -> None: ...

    def wrapper(*_args: Any) -> None: ...

    hide_delivery(wrapper, View(), "delivery")
    assert wrapper.__annotations__ == {"verifier": "Verifier", "return": None}


def test_a_view_without_annotations_leaves_none():
    def wrapper(*_args: Any) -> None: ...

    hide_delivery(wrapper, lambda delivery, org: 0, "delivery")
    assert wrapper.__annotations__ == {}
    assert [*signature(wrapper).parameters] == ["org"]


def test_a_view_that_does_not_tell_its_signature_changes_nothing():
    def wrapper(*_args: Any) -> None: ...

    hide_delivery(wrapper, Untold(), None)
    assert not hasattr(wrapper, "__signature__")
