"""The fixtures, in projects of their own, and the project of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"


@pytest.fixture
def run(pytester):
    """Run tests in a project that loads the plugin."""
    pytester.makeini("[pytest]\nfilterwarnings = error")
    pytester.makeconftest("pytest_plugins = ['port_webhook.testing.plugin']")

    def run(source, **outcomes):
        pytester.makepyfile(source)
        result = pytester.runpytest_inprocess(
            "-pno:cacheprovider", "-pno:hypothesispytest", "-pno:asyncio", "-pno:anyio"
        )
        result.assert_outcomes(**outcomes)

    return run


def test_what_is_signed_is_accepted(run):
    run(
        """
        def test_all_forms(port_webhook_sign, port_webhook_verifier):
            from port_webhook import Delivery

            body, headers = port_webhook_sign({"a": 1})
            assert isinstance(port_webhook_verifier.verify(body, headers), Delivery)
            headers = port_webhook_sign.headers(b"raw")
            assert port_webhook_verifier.verify(b"raw", headers).payload == b"raw"
        """,
        passed=1,
    )


def test_the_clock_stands_and_belongs_to_both_sides(run):
    run(
        """
        import pytest
        from port_webhook import TimestampError

        def test_a_late_request(
            port_webhook_clock, port_webhook_sign, port_webhook_verifier
        ):
            request = port_webhook_sign({})
            assert port_webhook_clock() == port_webhook_clock()
            port_webhook_clock.advance(301)
            with pytest.raises(TimestampError):
                port_webhook_verifier.verify(*request)

        def test_a_new_test_has_a_new_clock(port_webhook_clock):
            from port_webhook.testing import FixedClock

            assert port_webhook_clock() == FixedClock()()
        """,
        passed=2,
    )


def test_the_secret_is_long_enough_for_secret_inputs(run):
    run(
        """
        def test_round_trip(port_webhook_secret):
            from port_webhook import decrypt_secret
            from port_webhook.testing import encrypt_secret

            value = encrypt_secret("hunter2", port_webhook_secret)
            assert decrypt_secret(value, port_webhook_secret) == "hunter2"
        """,
        passed=1,
    )


def test_a_fixture_of_the_same_name_chooses_the_secret_and_the_clock(run):
    run(
        """
        import time
        import pytest
        from port_webhook import verify

        @pytest.fixture
        def port_webhook_secret():
            return "my-own-secret"

        @pytest.fixture
        def port_webhook_clock():
            return time.time

        def test_mine(port_webhook_sign, port_webhook_verifier):
            request = port_webhook_sign({})
            port_webhook_verifier.verify(*request)
            verify(*request, "my-own-secret")
        """,
        passed=1,
    )


def test_the_project_of_the_documentation_passes(run):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (project,) = [block for block in blocks if "def test_a_run(port_webhook" in block]
    run(project, passed=3)
