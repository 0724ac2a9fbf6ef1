"""How `webhook` is written: its verifier, its choice, its model, its handler."""

from __future__ import annotations

from inspect import signature
from typing import Any, get_type_hints

import pydantic
import pytest

import port_webhook
from port_webhook import ConfigurationError, Delivery, sign
from port_webhook.adapters.aws_lambda import webhook

from ..doubles import Store
from .events import (
    CONTEXT,
    SECRET,
    SIGNED,
    TEXT,
    assert_hides,
    balancer_multi,
    direct,
    make_verifier,
    rest,
    signed_event,
)


class Unfinished(pydantic.BaseModel):
    """A model that pydantic can only find out to be useless when it is used."""

    thing: NobodyDefinedThis  # type: ignore[name-defined]  # noqa: F821  # on purpose


class TestArguments:
    @pytest.mark.parametrize("is_async", [False, True])
    def test_reads_the_environment_when_it_is_bare(self, monkeypatch, is_async):
        if is_async:

            @webhook
            async def handler(delivery, context):
                return delivery.run_id
        else:

            @webhook
            def handler(delivery, context):
                return delivery.run_id

        event = direct(TEXT, list(sign(TEXT, SECRET).items()))
        with pytest.raises(ConfigurationError) as caught:
            handler(event, CONTEXT)
        assert_hides(caught.value, "note", event["headers"]["x-port-signature"])
        monkeypatch.setenv("PORT_CLIENT_SECRET", SECRET)
        assert handler(event, CONTEXT)["body"] == "r_1"
        assert handler.__name__ == "handler"

    def test_takes_a_verifier_that_is_chosen_by_the_event(self):
        verifiers = {"acme": make_verifier(), "other": make_verifier()}

        @webhook(choose=lambda event: verifiers[event["pathParameters"]["org"]])
        def handler(delivery, context):
            return [
                name for name, each in verifiers.items() if delivery.verified_by(each)
            ]

        event = signed_event(rest)
        event["pathParameters"] = {"org": "other"}
        assert handler(event, CONTEXT)["body"] == '["other"]'
        event["pathParameters"] = {"org": "unknown"}
        with pytest.raises(KeyError):
            handler(event, CONTEXT)

    def test_refuses_a_choice_in_the_place_of_a_verifier(self):
        wrong: Any = lambda event: make_verifier()  # noqa: E731  # untyped, as users' are
        with pytest.raises(ConfigurationError, match="choose="):
            webhook(wrong)
        with pytest.raises(ConfigurationError, match="choose="):
            webhook(wrong, model=port_webhook.CustomPayload)

        def choose_with_more(event, verifiers):
            return make_verifier()

        # It may be a handler, until it is given one.
        mistaken: Any = webhook(choose_with_more)
        with pytest.raises(ConfigurationError, match="choose="):
            mistaken(lambda delivery, context: None)


class TestHandlers:
    @pytest.mark.parametrize(
        "handler",
        [
            lambda: None,
            lambda delivery: None,
            lambda delivery, context, more: None,
            lambda *, delivery, context: None,
            lambda delivery, *, context: None,
            lambda **options: None,
        ],
    )
    @pytest.mark.parametrize("decorate", [webhook, webhook(make_verifier())])
    def test_refuses_one_that_cannot_take_the_delivery_and_the_context(
        self, decorate, handler
    ):
        with pytest.raises(ConfigurationError, match="delivery, context"):
            decorate(handler)

    @pytest.mark.parametrize(
        "handler",
        [
            lambda delivery, context: delivery.run_id,
            lambda delivery, context=None: delivery.run_id,
            lambda delivery, context, more="": delivery.run_id,
            lambda delivery, *rest: delivery.run_id,
            lambda *both: both[0].run_id,
        ],
    )
    def test_accepts_one_that_can(self, handler):
        decorated = webhook(make_verifier())(handler)
        assert decorated(signed_event(), CONTEXT)["body"] == "r_1"

    def test_accepts_a_built_in_that_does_not_tell(self):
        class Untold:
            __signature__ = "unknown"

            def __call__(self, delivery, context):
                return delivery.run_id

        untold: Any = Untold()
        with pytest.raises((TypeError, ValueError)):
            signature(untold)
        decorated = webhook(make_verifier())(untold)
        assert decorated(signed_event(), CONTEXT)["body"] == "r_1"

    def test_shows_what_lambda_passes_in_its_signature(self):
        @webhook(make_verifier())
        def handler(delivery: Delivery, context: object) -> None:
            """Say something."""

        assert list(signature(handler).parameters) == ["event", "context"]
        hints = {"event": Any, "context": Any, "return": dict[str, Any]}
        assert get_type_hints(handler) == hints
        assert handler.__doc__ == "Say something."
        assert handler(event=signed_event(), context=CONTEXT)["statusCode"] == 200


class TestModels:
    def test_answers_422_for_a_payload_that_is_not_the_model(self):
        store = Store()

        @webhook(make_verifier(replay_store=store), model=port_webhook.ActionInvocation)
        def handler(invocation, context): ...

        answer = handler(signed_event(balancer_multi, b"[]"), CONTEXT)
        assert answer["statusCode"] == 422
        assert answer["statusDescription"].startswith("422 ")
        assert store.steps == ["claim", "release"]

    def test_refuses_a_model_that_cannot_be_used_without_showing_the_payload(self):
        store = Store()

        @webhook(make_verifier(replay_store=store), model=Unfinished)
        def handler(number, context): ...

        with pytest.raises(ConfigurationError) as caught:
            handler(signed_event(), CONTEXT)
        assert_hides(caught.value, "note", SIGNED[1][1])
        assert store.steps == ["claim", "release"]

    def test_verifies_once_when_it_is_stacked(self):
        seen: list[Delivery] = []
        store = Store()
        verifier = make_verifier(replay_store=store, on_verified=seen.append)

        @webhook(verifier)
        @webhook(verifier)
        def handler(delivery, context):
            assert isinstance(delivery, Delivery)
            return {"statusCode": 500}

        answer = handler(signed_event(balancer_multi), CONTEXT)
        assert answer["statusCode"] == 500
        assert "multiValueHeaders" in answer
        assert len(seen) == 1
        assert store.steps == ["claim", "release"]
