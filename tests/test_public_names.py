"""The public surface, frozen: a name that comes or goes changes this module."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import port_webhook
from port_webhook import Delivery, Verifier, integration, sign, verify
from port_webhook.adapters import kafka

NAMES = [
    "ActionInvocation",
    "AsyncReception",
    "BodyTooLargeError",
    "CatalogEvent",
    "ChangelogMessage",
    "CheckedHeaders",
    "ConfigurationError",
    "CustomPayload",
    "DecryptionError",
    "Delivery",
    "DeliveryError",
    "DeliveryInProgressError",
    "DuplicateDeliveryError",
    "MalformedHeaderError",
    "MethodNotAllowedError",
    "MissingHeaderError",
    "PayloadError",
    "PortWebhookError",
    "Reception",
    "ReplayError",
    "ReplayStoreError",
    "ReportingError",
    "SignatureMismatchError",
    "TimestampError",
    "TriggerData",
    "UnreadableBodyError",
    "UnsupportedMediaError",
    "VerificationError",
    "Verifier",
    "VerifierOptions",
    "VerifierSource",
    "WorkflowNodeRun",
    "decrypt_client_side",
    "decrypt_properties",
    "decrypt_secret",
    "sign",
    "verify",
]

LAZY = {
    "ActionInvocation": "port_webhook.models",
    "AsyncReception": "port_webhook._reception",
    "CatalogEvent": "port_webhook.models",
    "ChangelogMessage": "port_webhook.models",
    "CustomPayload": "port_webhook.models",
    "Reception": "port_webhook._reception",
    "TriggerData": "port_webhook.models",
    "VerifierOptions": "port_webhook._options",
    "VerifierSource": "port_webhook._source",
    "WorkflowNodeRun": "port_webhook.models",
    "decrypt_client_side": "port_webhook.decryption",
    "decrypt_properties": "port_webhook.decryption",
    "decrypt_secret": "port_webhook.decryption",
}


def test_the_public_names_are_these():
    assert sorted(port_webhook.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_of_them_is_there(name):
    assert getattr(port_webhook, name).__name__ == name


def test_dir_lists_them_all():
    assert set(NAMES) <= set(dir(port_webhook))
    assert dir(port_webhook) == sorted(dir(port_webhook))


def test_a_star_import_brings_them_all():
    namespace: dict[str, object] = {}
    exec("from port_webhook import *", namespace)  # noqa: S102  # a star is only allowed at the top

    assert set(NAMES) <= set(namespace)


@pytest.mark.parametrize(("name", "module"), LAZY.items())
def test_a_lazy_name_is_loaded_when_it_is_asked_for(name, module):
    script = (
        "import sys, port_webhook;"
        f"assert {name!r} in dir(port_webhook);"
        f"assert {module!r} not in sys.modules;"
        f"value = port_webhook.{name};"
        f"assert {module!r} in sys.modules;"
        f"assert vars(port_webhook)[{name!r}] is value;"
        f"assert getattr(sys.modules[{module!r}], {name!r}) is value"
    )

    subprocess.run([sys.executable, "-c", script], check=True)


def test_any_other_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'flask'"):
        _ = port_webhook.flask


def parameters(function):
    """Return the parameters of *function* as they are written, without types."""
    parameters = inspect.signature(function).parameters.values()
    return [
        each.replace(annotation=inspect.Parameter.empty).__str__()
        for each in parameters
        if each.name not in ("self", "cls")
    ]


def test_the_signatures_are_those_of_the_design():
    assert parameters(sign) == ["body", "secret", "timestamp=None"]
    assert parameters(verify) == [
        "body",
        "headers",
        "secret",
        "max_age=300",
        "max_future=60",
        "agent=False",
        "received_at=None",
    ]
    for method in (
        Verifier.verify,
        Verifier.averify,
        Verifier.receive,
        Verifier.areceive,
    ):
        assert parameters(method) == ["body", "headers", "received_at=None"]
    assert parameters(Verifier.check_headers) == ["headers", "received_at=None"]
    assert parameters(Verifier.from_env) == ["**options"]


def test_the_options_of_a_verifier_are_those_of_the_design():
    assert parameters(Verifier.__init__) == [
        "secret",
        "previous_secrets=()",
        "max_age=300",
        "max_future=60",
        "agent=False",
        "max_body_bytes=1048576",
        "agent_max_bytes=262144",
        "replay_store=None",
        "replay_scope=''",
        "replay_lease=60",
        "replay_ttl=None",
        "replay_fail_open=False",
        "clock=None",
        "on_verified=None",
        "on_rejected=None",
    ]


def test_the_typed_options_are_those_of_a_verifier():
    typed = get_type_hints(port_webhook.VerifierOptions)
    options = parameters(Verifier.__init__)[2:]

    assert [*typed] == [option.partition("=")[0] for option in options]


def test_the_options_of_a_source_are_those_of_a_verifier():
    assert parameters(port_webhook.VerifierSource.__init__) == [
        "fetch",
        "every=300",
        "**options",
    ]


@pytest.mark.parametrize("function", [sign, verify, Verifier.__init__, Verifier.verify])
def test_options_are_keyword_only(function):
    optional = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.default is not inspect.Parameter.empty
    ]

    assert {each.kind for each in optional} == {inspect.Parameter.KEYWORD_ONLY}


def test_a_delivery_has_these_public_attributes():
    assert {name for name in dir(Delivery) if not name.startswith("_")} == {
        "from_json",
        "invocation",
        "json",
        "parse",
        "payload",
        "replay_key",
        "run_id",
        "secret_index",
        "timestamp",
        "to_json",
        "verified_by",
        "via",
    }


def test_a_verifier_has_these_public_attributes():
    assert {name for name in dir(Verifier) if not name.startswith("_")} == {
        "areceive",
        "aself_check",
        "averify",
        "check_headers",
        "from_env",
        "has_replay_store",
        "is_async",
        "max_body_bytes",
        "receive",
        "reject",
        "replay_scope",
        "self_check",
        "verify",
    }


@pytest.mark.parametrize(
    "value",
    [
        *(getattr(port_webhook, name) for name in NAMES if name not in LAZY),
        *(
            member
            for kind in (Verifier, Delivery)
            for name, member in vars(kind).items()
            if not name.startswith("_")
            and (callable(member) or isinstance(member, property))
        ),
    ],
    ids=lambda value: getattr(value, "__qualname__", None) or value.fget.__qualname__,
)
def test_every_public_name_is_documented(value):
    first, *_ = (inspect.getdoc(value) or "").splitlines()

    assert first.endswith((".", ":"))


def types_of(path):
    """Return what a module imports for its annotations alone."""
    found: dict[str, object] = {}
    for block in ast.parse(path.read_text("utf-8")).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom):
                    module = importlib.import_module(node.module or "")
                    for alias in node.names:
                        # A name that is itself for annotations alone is no class.
                        found[alias.name] = getattr(module, alias.name, object)
    return found


def classes_in(annotation):
    """Yield the classes of ours that an annotation names, at any depth."""
    if isinstance(annotation, type) and annotation.__module__.startswith(
        "port_webhook"
    ):
        yield annotation
    for part in get_args(annotation):
        yield from classes_in(part)


def public_functions():
    for name in NAMES:
        value = getattr(port_webhook, name)
        members = vars(value).items() if isinstance(value, type) else [(name, value)]
        for key, member in members:
            inner = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if inspect.isfunction(inner) and not key.startswith("_"):
                yield inspect.unwrap(inner)


def test_what_a_public_method_returns_can_be_imported_from_a_public_place():
    public = {
        getattr(module, name)
        for module in (port_webhook, port_webhook.models, integration, kafka)
        for name in module.__all__
        if isinstance(getattr(module, name), type)
    }
    returned = set()
    for function in public_functions():
        names = types_of(Path(inspect.getfile(function)))
        annotation = function.__annotations__.get("return")
        if annotation is not None:
            scope = {**vars(typing), **function.__globals__, **names}
            returned.update(classes_in(eval(annotation, scope)))  # noqa: S307  # ours

    assert {port_webhook.Reception, port_webhook.CheckedHeaders} <= returned
    assert returned <= public
