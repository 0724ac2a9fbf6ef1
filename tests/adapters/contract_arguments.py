"""The rules of an adapter, on every adapter: what it is given, and what it hides.

Why: docs/design.md#nothing-is-guessed
"""

from __future__ import annotations

import threading
from inspect import signature
from pathlib import Path

import freezegun
import pytest
import time_machine

import port_webhook
from port_webhook import (
    ActionInvocation,
    ConfigurationError,
    Delivery,
    Verifier,
    sign,
)
from port_webhook.testing import action_invocation, sign_request

from .doubles import BODY, NOW, OTHER, SECRET, AsyncStore, Store, View, make
from .rules import CAPABILITIES, rule, world
from .servers import Raw, ask_asgi, raw, unsigned
from .worlds import WORLDS

__all__ = ["world"]  # the fixture


def test_a_world_gives_a_reason_for_what_it_cannot():
    for kind in WORLDS.values():
        assert kind.cannot.keys() <= CAPABILITIES.keys()
        assert all(" " in reason for reason in kind.cannot.values())


# --- The verifier ---------------------------------------------------------------------


def now_signed():
    """Return a request for a verifier that reads the real clock."""
    return Raw(BODY, [*sign(BODY, SECRET).items()], length=str(len(BODY)))


@rule()
def test_without_a_verifier_the_environment_is_read_on_first_use(world, monkeypatch):
    monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)
    view = View()
    world.serve(view)
    # An error of the service, not of the sender.
    answer = world.ask(unsigned())
    assert answer.status == 500
    assert isinstance(answer.error, ConfigurationError)
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    assert world.ask(now_signed()).status == 200
    assert world.ask(unsigned()).status == 401
    # The first use was above.
    monkeypatch.setenv("PORT_CLIENT_SECRET", OTHER)
    assert world.ask(now_signed()).status == 200
    assert len(view.given) == 2


@rule("decorator")
def test_the_decorator_may_stand_without_parentheses(world, monkeypatch):
    view = View()
    world.serve_bare(view)
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    assert world.ask(now_signed()).status == 200
    assert world.ask(unsigned()).status == 401
    assert [type(each) for each in view.given] == [Delivery]


@pytest.mark.parametrize("world", ["flask", "fastapi", "django async"], indirect=True)
@pytest.mark.parametrize(
    "freeze",
    [freezegun.freeze_time, lambda text: time_machine.travel(text, tick=False)],
    ids=["freezegun", "time-machine"],
)
def test_a_service_may_freeze_time(world, monkeypatch, freeze):
    monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
    world.serve(View())
    for text, status in (
        ("2023-11-14T22:13:20Z", 200),
        ("2023-11-14T22:18:20Z", 200),
        ("2023-11-14T22:18:21Z", 401),
    ):
        with freeze(text):
            assert world.ask(raw()).status == status


# --- The choice of a verifier ---------------------------------------------------------


@rule()
def test_a_function_chooses_the_verifier_of_each_request(world):
    found, given = [make(), make(OTHER)], []

    def choose(request):
        given.append(request)
        return found.pop(0)

    view = View()
    world.serve(view, choose=choose)
    assert [world.ask(raw()).status for _ in range(2)] == [200, 401]
    assert all(isinstance(each, world.request_type) for each in given)
    assert len(view.given) == 1


@rule("await")
def test_an_asynchronous_function_may_choose_where_it_can_be_awaited(world):
    found = [make(), make(OTHER)]

    async def choose(request):
        return found.pop(0)

    world.serve(View(), choose=choose)
    assert [world.ask(raw()).status for _ in range(2)] == [200, 401]


SYNCHRONOUS = [name for name, kind in WORLDS.items() if "await" in kind.cannot]


@pytest.mark.parametrize("world", SYNCHRONOUS, indirect=True)
def test_an_asynchronous_choice_is_refused_elsewhere(world):
    async def choose(request):
        pytest.fail("called")

    with pytest.raises(ConfigurationError, match="asynchronous"):
        world.serve(View(), choose=choose)


@rule("await")
def test_a_synchronous_choice_does_not_block_the_loop(world):
    threads = []

    def choose(request):
        threads.append(threading.current_thread())
        return make()

    world.serve(View(), choose=choose)
    assert world.ask(raw()).status == 200
    assert threads != [threading.main_thread()]


@rule()
@pytest.mark.parametrize(
    "chosen", [None, SECRET, Verifier], ids=["None", "text", "class"]
)
def test_a_choice_that_is_no_verifier_is_an_error_of_the_service(world, chosen):
    view = View()
    world.serve(view, choose=lambda request: chosen)
    for request in (raw(), unsigned()):
        answer = world.ask(request)
        assert answer.status == 500
        assert isinstance(answer.error, ConfigurationError)
    assert view.given == []


# --- Replay stores --------------------------------------------------------------------


@rule("await")
@pytest.mark.parametrize("kind", [Store, AsyncStore])
def test_a_store_may_be_of_either_kind_where_it_can_be_awaited(world, kind):
    store = kind()
    world.serve(View(), make(replay_store=store))
    assert world.ask(raw()).status == 200
    assert store.steps == ["claim", "commit"]


@pytest.mark.parametrize("world", SYNCHRONOUS, indirect=True)
def test_an_asynchronous_store_is_refused_elsewhere(world):
    verifier = make(replay_store=AsyncStore())
    with pytest.raises(ConfigurationError, match="synchronous replay store"):
        world.serve(View(), verifier)
    view = View()
    world.serve(view, choose=lambda request: verifier)
    answer = world.ask(raw())
    assert isinstance(answer.error, ConfigurationError)
    assert view.given == []


# --- Models ---------------------------------------------------------------------------


@rule("model")
def test_the_view_may_get_a_model(world):
    view = View()
    world.serve(view, make(), model=ActionInvocation)
    body, _ = sign_request(action_invocation(action="a"), SECRET)
    assert world.ask(raw(body)).status == 200
    assert isinstance(view.given[0], ActionInvocation)


@rule("model")
@pytest.mark.parametrize("model", [int, "ActionInvocation"], ids=["int", "text"])
def test_what_is_no_model_is_refused(world, model):
    with pytest.raises(ConfigurationError, match="model"):
        world.serve(View(), make(), model=model)


# --- Nothing is guessed ---------------------------------------------------------------


@rule()
@pytest.mark.parametrize(
    "wrong",
    [SECRET, SECRET.encode(), Verifier, 7],
    ids=["text", "bytes", "class", "int"],
)
def test_what_is_no_verifier_is_refused_without_showing_it(world, wrong):
    with pytest.raises(ConfigurationError) as caught:
        world.serve(View(), wrong)
    assert SECRET not in str(caught.value)
    assert_hides(caught.value, SECRET)


async def choose_later(request):
    pytest.fail("called")


@rule("chooser in its place")
@pytest.mark.parametrize(
    "chooser", [lambda request: make(), choose_later], ids=["sync", "async"]
)
def test_a_function_in_the_place_of_a_verifier_is_refused(world, chooser):
    with pytest.raises(ConfigurationError, match="choose="):
        world.serve(View(), chooser)


@rule("not both")
def test_a_verifier_and_a_choice_are_refused(world):
    with pytest.raises(ConfigurationError, match="not both"):
        world.serve(View(), make(), choose=lambda request: make())


@rule("chooser in its place")
@pytest.mark.parametrize(
    "wrong", [make(), Verifier, SECRET], ids=["verifier", "class", "text"]
)
def test_a_choice_that_is_no_function_is_refused(world, wrong):
    with pytest.raises(ConfigurationError, match="must be a function"):
        world.serve(View(), choose=wrong)


@rule("decorator")
def test_a_view_without_room_for_the_delivery_is_refused(world):
    for view in world.roomless:
        for decorate in (world.webhook(make()), world.webhook(), world.webhook):
            with pytest.raises(ConfigurationError, match=r"write def .*delivery"):
                decorate(view)


@rule("decorator")
def test_a_default_of_the_delivery_is_refused(world):
    for decorate in (world.webhook(make()), world.webhook(), world.webhook):
        with pytest.raises(ConfigurationError, match="must not have a default"):
            decorate(world.defaulted)


@rule("decorator")
def test_what_is_no_function_cannot_be_decorated(world):
    for wrong in (type("Port", (), {}), "port", 7):
        with pytest.raises(ConfigurationError, match="decorates functions"):
            world.webhook(make())(wrong)


@rule("decorator")
def test_the_decorated_view_shows_what_is_left_to_fill_in(world):
    view, names = world.typed
    for decorate in (world.webhook(make()), world.webhook):
        decorated = decorate(view)
        assert (decorated.__name__, decorated.__doc__) == (view.__name__, view.__doc__)
        parameters = signature(decorated).parameters
        assert [*parameters] == names
        assert all(each.annotation is not Delivery for each in parameters.values())
        if "org" in names:
            assert parameters["org"].annotation is str
            assert signature(decorated).return_annotation == dict[str, int]


# --- Tracebacks: error trackers print the locals of every frame -----------------------

PACKAGE = str(Path(port_webhook.__file__).parent)
OURS = ("port_webhook.integration", "port_webhook.adapters")
MARKED_SECRET = "SECRET-marker-of-the-test"
MARKED, MARKED_HEADERS = sign_request(
    action_invocation(action="PAYLOAD-marker"), MARKED_SECRET, timestamp=NOW
)
NEEDLES = (MARKED_SECRET, "PAYLOAD-marker", MARKED_HEADERS["x-port-signature"])


class Stop(BaseException):
    """As a worker's abort signal."""


def fail(*_):
    raise LookupError


def stop(*_):
    raise Stop


def frames_of(error):
    """Return what each frame of ours shows, and what the objects of ours in it hold."""
    shown = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
            local = trace.tb_frame.f_locals
            assert not any(isinstance(value, Delivery) for value in local.values())
            held = [
                vars(value)
                for value in local.values()
                if type(value).__module__.startswith(OURS)
                and hasattr(value, "__dict__")
            ]
            shown.append(repr([local, held]))
        trace = trace.tb_next
    return shown


def assert_hides(error, *needles):
    """Assert that no frame of ours shows what it worked on."""
    for text in frames_of(error):
        assert not any(each in text for each in needles or NEEDLES)


MARKED_REQUEST = Raw(MARKED, [*MARKED_HEADERS.items()], length=str(len(MARKED)))


@rule("frames")
def test_what_a_view_raises_shows_nothing_of_the_delivery(world):
    world.serve(View(fail), make(MARKED_SECRET))
    error = world.ask(MARKED_REQUEST).error
    assert isinstance(error, LookupError)
    assert frames_of(error)
    assert_hides(error)


@rule("model")
def test_what_a_view_raises_shows_nothing_of_the_model(world):
    world.serve(View(fail), make(MARKED_SECRET), model=ActionInvocation)
    error = world.ask(MARKED_REQUEST).error
    assert isinstance(error, LookupError)
    assert_hides(error)


@rule("decorator")
def test_a_view_without_parentheses_shows_nothing_of_the_delivery(world, monkeypatch):
    monkeypatch.setenv("PORT_CLIENT_SECRET", MARKED_SECRET)
    world.serve_bare(View(fail))
    # It reads the real clock, which may be any time after this.
    body, headers = sign_request(MARKED, MARKED_SECRET)
    error = world.ask(Raw(body, [*headers.items()], length=str(len(body)))).error
    assert isinstance(error, LookupError)
    assert_hides(error, *NEEDLES, headers["x-port-signature"])


@rule()
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"choose": fail}, LookupError),
        ({"choose": lambda request: None}, ConfigurationError),
        ({"clock": lambda: float("nan")}, ConfigurationError),
        ({"on_verified": stop}, Stop),
    ],
    ids=["choice that fails", "no choice", "clock", "hook"],
)
def test_what_is_raised_before_the_view_shows_nothing_of_the_request(
    world, options, kind
):
    verifier = [] if "choose" in options else [make(MARKED_SECRET, **options)]
    world.serve(View(stop), *verifier, **({} if verifier else options))
    error = world.ask(MARKED_REQUEST).error
    assert isinstance(error, kind)
    assert kind is not Stop or frames_of(error)
    assert_hides(error)


@pytest.mark.parametrize("world", ["asgi", "fastapi route", "fastapi"], indirect=True)
def test_a_connection_that_fails_shows_nothing_of_what_arrived(world):
    world.serve(View(stop), make(MARKED_SECRET))
    found = ask_asgi(world.app, MARKED_REQUEST, fails=LookupError())
    error = world.runner.run(found).error
    assert isinstance(error, LookupError)
    assert frames_of(error)
    assert_hides(error)


def test_the_markers_are_in_what_is_sent():
    assert b"PAYLOAD-marker" in MARKED
    assert sign(MARKED, MARKED_SECRET, timestamp=NOW).items() <= MARKED_HEADERS.items()
