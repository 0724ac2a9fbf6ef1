"""A delivery as text to paste elsewhere: a curl command, a fixture for pytest."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

from port_webhook.devtools._masking import is_credential

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_webhook.devtools._history import Record

__all__ = ["as_curl", "as_fixture"]

_LEFT_OUT = frozenset(
    ("accept", "accept-encoding", "connection", "content-length", "host", "user-agent")
)
_SIGNED = frozenset(("x-port-timestamp", "x-port-signature"))
_NOT_A_NAME = re.compile(r"[^a-z0-9]+")


def as_curl(record: Record, url: str) -> str:
    """Return a shell command that sends the bytes of *record* to *url*.

    Headers that carry credentials are left out.
    """
    headers = _headers(record)
    if not any(name.lower() == "content-type" for name, _ in headers):
        # Otherwise curl says that it is a form.
        headers.append(("Content-Type", ""))
    arguments = ["curl", f"--globoff -X {quote(record.method)} {quote(url)}"]
    # One argument, which begins with the name: curl reads a file for one with @.
    arguments += [f"-H {quote(f'{name}: {value}'.rstrip())}" for name, value in headers]
    before = ""
    try:
        text = record.body.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        # An argument cannot hold every byte.
        octal = "".join(f"\\0{byte:03o}" for byte in record.body)
        before = f"printf %b {quote(octal)} | "
        arguments.append("--data-binary @-")
    else:
        arguments.append(f"--data-raw {quote(text)}")
    return before + " \\\n  ".join([" ".join(arguments[:2]), *arguments[2:]]) + "\n"


def as_fixture(record: Record, conceal: Callable[[str], str] = str) -> str:
    """Return a fixture for pytest that gives the body and headers of *record*.

    One that was verified is signed anew, with the secret of the test run. Another one
    stays as it came, so that it is refused again.

    Args:
        record: The delivery.
        conceal: Replaces the secrets in a text that is shown in part.
    """
    at = datetime.fromtimestamp(record.received_at, UTC).strftime(
        "%Y-%m-%d %H:%M:%S UTC"
    )
    name = _NOT_A_NAME.sub("_", (record.action or "").lower()).strip("_")
    name = f"{name}_delivery" if name and not name[0].isdigit() else "delivery"
    what = ascii(conceal(f"{record.method} {record.path}")[:60])[1:-1].replace('"', "'")
    if record.verified:
        sign = ".as_agent" if record.via == "agent" else ""
        return (
            "import pytest\n\n"
            '# In conftest.py: pytest_plugins = ["port_webhook.testing.plugin"]\n\n'
            f"BODY = {record.signed!r}\n\n\n"
            "@pytest.fixture\n"
            f"def {name}(port_webhook_sign):\n"
            f'    """{what}, received at {at}; signed anew."""\n'
            f"    return port_webhook_sign{sign}(BODY)\n"
        )
    headers = "".join(
        f"    ({name!r}, {value!r}),\n" for name, value in _headers(record)
    )
    return (
        "import pytest\n\n"
        f"BODY = {record.body!r}\n"
        f"HEADERS = [\n{headers}]\n\n\n"
        "@pytest.fixture\n"
        f"def {name}():\n"
        f'    """{what}, received at {at}; refused: {record.code}."""\n'
        "    return BODY, HEADERS\n"
    )


def _headers(record: Record) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in record.headers
        if name.lower() not in _LEFT_OUT and not is_credential(name)
    ]
