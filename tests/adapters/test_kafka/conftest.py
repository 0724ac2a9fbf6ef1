"""The fixtures of these tests."""

from __future__ import annotations

import pytest

GITLAB = b'"payload":{"action":{"invocationMethod":{"type":"GITLAB"}}}'
WEBHOOK = b'"payload":{"action":{"invocationMethod":{"type":"WEBHOOK"}}}'


@pytest.fixture
def message(signature_of, now):
    """Make a message of the runs topic.

    The text around the headers is given, and the members that stay in them.
    """

    def make(
        before=b'"action":"create",',
        after=b"",
        *,
        rest=b"",
        gitlab=False,
        timestamp=None,
        signed=None,
        **options,
    ):
        if signed is None:
            headers = b'"headers":{' + rest + b"}" + after
            signed = b"{" + before + headers + b"}"
            if gitlab:
                signed = b"{" + before.rstrip(b",") + after + b"}"
        timestamp = str(now).encode() if timestamp is None else timestamp
        signature = signature_of(
            signed, timestamp=timestamp.strip(b'"').decode(), **options
        )
        keys = b'"X-Port-Signature":"%b","X-Port-Timestamp":%b' % (
            signature.encode(),
            timestamp,
        )
        inner = keys + (b"," + rest if rest else b"")
        value = b"{" + before + b'"headers":{' + inner + b"}" + after + b"}"
        return value, signed

    return make
