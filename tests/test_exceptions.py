"""`port_webhook.exceptions`: one tree, and the HTTP answer of each leaf."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from port_webhook import exceptions
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DecryptionError,
    DeliveryError,
    DeliveryInProgressError,
    DuplicateDeliveryError,
    MalformedHeaderError,
    MethodNotAllowedError,
    MissingHeaderError,
    PayloadError,
    PortWebhookError,
    ReplayError,
    ReplayStoreError,
    SignatureMismatchError,
    TimestampError,
    UnreadableBodyError,
    UnsupportedMediaError,
    VerificationError,
)

UNAUTHORIZED = '{"error": "unauthorized"}'

# An error, its parent in the tree, its code, status and body.
DELIVERY_ERRORS = [
    pytest.param(
        MissingHeaderError("x-port-signature"),
        VerificationError,
        "missing_header",
        401,
        UNAUTHORIZED,
        id="missing header",
    ),
    pytest.param(
        MalformedHeaderError("x-port-signature", "is wrong"),
        VerificationError,
        "malformed_header",
        401,
        UNAUTHORIZED,
        id="malformed header",
    ),
    pytest.param(
        MalformedHeaderError("x-port-signature", "is two", code="duplicate_header"),
        VerificationError,
        "duplicate_header",
        401,
        UNAUTHORIZED,
        id="duplicate header",
    ),
    pytest.param(
        SignatureMismatchError(),
        VerificationError,
        "signature_mismatch",
        401,
        UNAUTHORIZED,
        id="mismatch",
    ),
    pytest.param(
        TimestampError(301, 300, 60),
        VerificationError,
        "timestamp_too_old",
        401,
        UNAUTHORIZED,
        id="too old",
    ),
    pytest.param(
        TimestampError(-61, 300, 60),
        VerificationError,
        "timestamp_in_future",
        401,
        UNAUTHORIZED,
        id="in the future",
    ),
    pytest.param(
        UnreadableBodyError("The body was truncated."),
        VerificationError,
        "unreadable_body",
        400,
        '{"error": "bad_request"}',
        id="unreadable",
    ),
    pytest.param(
        UnsupportedMediaError("The body has a Content-Encoding."),
        VerificationError,
        "unsupported_media",
        415,
        '{"error": "unsupported_media_type"}',
        id="media",
    ),
    pytest.param(
        MethodNotAllowedError(),
        VerificationError,
        "method_not_allowed",
        405,
        '{"error": "method_not_allowed"}',
        id="method",
    ),
    pytest.param(
        BodyTooLargeError(10),
        VerificationError,
        "body_too_large",
        413,
        '{"error": "content_too_large"}',
        id="too large",
    ),
    pytest.param(
        DuplicateDeliveryError(),
        ReplayError,
        "duplicate_delivery",
        200,
        '{"status": "duplicate"}',
        id="duplicate",
    ),
    pytest.param(
        DeliveryInProgressError(),
        ReplayError,
        "delivery_in_progress",
        409,
        '{"error": "in_progress"}',
        id="in progress",
    ),
    pytest.param(
        ReplayStoreError("is full"),
        ReplayError,
        "replay_store_error",
        503,
        '{"error": "unavailable"}',
        id="store",
    ),
    pytest.param(
        PayloadError("is not JSON", path="a.b"),
        DeliveryError,
        "invalid_payload",
        422,
        '{"error": "unprocessable_content"}',
        id="payload",
    ),
]

OTHER_ERRORS = [
    pytest.param(ConfigurationError("secret is empty"), id="configuration"),
    pytest.param(DecryptionError(), id="decryption"),
]


@pytest.mark.parametrize(("error", "parent", "code", "status", "body"), DELIVERY_ERRORS)
class TestEveryDeliveryError:
    def test_it_hangs_where_the_design_draws_it(
        self, error, parent, code, status, body
    ):
        assert isinstance(error, parent)
        assert isinstance(error, DeliveryError)

    def test_it_has_a_stable_code(self, error, parent, code, status, body):
        assert error.code == code

    def test_it_carries_the_http_answer(self, error, parent, code, status, body):
        assert error.http_status == status
        assert error.http_body == body.encode()
        assert json.loads(error.http_body)
        assert error.http_headers["Content-Type"] == "application/json"

    def test_only_a_401_names_the_scheme(self, error, parent, code, status, body):
        challenge = error.http_headers.get("WWW-Authenticate")

        assert challenge == ("PortWebhook" if status == 401 else None)

    def test_only_what_passes_by_itself_asks_for_a_retry(
        self, error, parent, code, status, body
    ):
        assert ("Retry-After" in error.http_headers) == (status in (409, 503))

    def test_its_headers_cannot_be_changed(self, error, parent, code, status, body):
        with pytest.raises(TypeError):
            error.http_headers["X-Other"] = "1"


@pytest.mark.parametrize(
    "error",
    [
        *(pytest.param(each.values[0], id=each.id) for each in DELIVERY_ERRORS),
        *OTHER_ERRORS,
    ],
)
class TestEveryError:
    def test_it_is_a_port_webhook_error_with_a_message(self, error):
        assert isinstance(error, PortWebhookError)
        assert str(error).endswith(".") or isinstance(error, ConfigurationError)

    @pytest.mark.parametrize(
        "duplicate",
        [
            pytest.param(lambda error: pickle.loads(pickle.dumps(error)), id="pickle"),  # noqa: S301  # made here
            copy.copy,
            copy.deepcopy,
        ],
    )
    def test_it_survives_pickle_and_copy(self, error, duplicate):
        same = duplicate(error)

        assert type(same) is type(error)
        assert str(same) == str(error)
        assert vars(same) == vars(error)


def test_the_tree_holds_no_other_class():
    public = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and not name.startswith("_")
    }

    assert public == {
        "BodyTooLargeError",
        "ConfigurationError",
        "DecryptionError",
        "DeliveryError",
        "DeliveryInProgressError",
        "DuplicateDeliveryError",
        "MalformedHeaderError",
        "MethodNotAllowedError",
        "MissingHeaderError",
        "PayloadError",
        "PortWebhookError",
        "ReplayError",
        "ReplayStoreError",
        "ReportingError",
        "SignatureMismatchError",
        "TimestampError",
        "UnreadableBodyError",
        "UnsupportedMediaError",
        "VerificationError",
    }


def test_a_configuration_error_is_a_value_error():
    assert issubclass(ConfigurationError, ValueError)
    assert not issubclass(ConfigurationError, DeliveryError)


def test_a_decryption_error_is_no_answer_to_a_delivery():
    assert not issubclass(DecryptionError, DeliveryError)


def test_a_timestamp_error_tells_the_age_and_its_bounds():
    error = TimestampError(301.4, 300, 60)

    assert (error.age, error.max_age, error.max_future) == (301.4, 300, 60)
    assert "is 301.4 s old; at most 300 s (max_age) are accepted" in str(error)


def test_a_timestamp_error_tells_how_far_ahead_it_lies():
    assert "lies 61 s ahead; at most 60 s (max_future) are accepted" in str(
        TimestampError(-61, 300, 60)
    )
    assert "is 300.04 s old; at most 300 s" in str(TimestampError(300.04, 300, 60))


def test_a_header_error_names_the_header():
    assert MissingHeaderError("x-port-timestamp").header == "x-port-timestamp"
    malformed = MalformedHeaderError("x-port-signature", "is wrong")
    assert malformed.header == "x-port-signature"
    assert str(malformed) == "The x-port-signature header is wrong."


def test_a_size_error_names_the_limit():
    error = BodyTooLargeError(1024)

    assert error.limit == 1024
    assert "1024 bytes; max_body_bytes sets it" in str(error)


def test_a_size_error_of_the_agents_form_says_that_the_body_as_it_came_was_tried():
    error = BodyTooLargeError(1024, option="agent_max_bytes")

    assert "matches no signature as it came" in str(error)
    assert "1024 bytes; agent_max_bytes sets it" in str(error)


def test_a_payload_error_names_the_field():
    assert str(PayloadError("is missing", path="trigger.by")) == (
        "The payload's field trigger.by is missing."
    )
    assert str(PayloadError("is not JSON")) == "The payload is not JSON."
    assert PayloadError("is not JSON").path == ""


def test_an_answer_says_what_would_have_been_accepted():
    headers = MethodNotAllowedError().http_headers

    assert headers["Allow"] == "GET, POST, PUT, PATCH, DELETE"
    assert UnsupportedMediaError("x").http_headers["Accept-Encoding"] == "identity"


def test_what_comes_after_verification_may_name_the_run():
    for error in (
        PayloadError("is not JSON"),
        DuplicateDeliveryError(),
        DeliveryInProgressError(),
        ReplayStoreError("is full"),
    ):
        assert error.run_id is None
        error.run_id = "r_1"
        assert pickle.loads(pickle.dumps(error)).run_id == "r_1"  # noqa: S301  # made here


def test_the_mismatch_names_the_source_of_the_secret_and_how_many_were_tried():
    error = SignatureMismatchError(secret_source="PORT_CLIENT_SECRET", secrets_tried=3)

    assert (error.secret_source, error.secrets_tried) == ("PORT_CLIENT_SECRET", 3)
    assert "(3 secrets from PORT_CLIENT_SECRET tried)" in str(error)
    assert "(1 secret from an argument tried)" in str(SignatureMismatchError())


def test_the_mismatch_names_the_usual_causes():
    message = str(SignatureMismatchError())

    assert "raw bytes" in message
    assert "was rotated" in message
    assert "agent=True" in message
    assert "agent" not in str(SignatureMismatchError(suggest_agent=False))
