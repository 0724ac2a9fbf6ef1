"""The fixtures, in projects of their own, and the project of the documentation."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"
CONFTEST = "pytest_plugins = ['port_webhook.testing.plugin']\n"
SESSION_APP = """
    import pytest
    from flask import Flask
    from port_webhook import Verifier
    from port_webhook.adapters.flask import webhook

    @pytest.fixture(scope="session")
    def app(port_webhook_verifier):
        app = Flask("app")

        @app.post("/port")
        @webhook(port_webhook_verifier)
        def view(delivery):
            return {"sent": delivery.timestamp.timestamp()}

        return app

    def send(app, request):
        body, headers = request
        return app.test_client().post("/port", data=body, headers=headers)
"""


@pytest.fixture(autouse=True)
def _no_secret_of_this_process(monkeypatch):
    monkeypatch.delenv("PORT_CLIENT_SECRET", raising=False)
    monkeypatch.delenv("PORT_CLIENT_SECRET_FILE", raising=False)
    # pytest warns of a plugin that another test imported before it.
    monkeypatch.delitem(sys.modules, "port_webhook.testing.plugin", raising=False)


@pytest.fixture
def run(pytester):
    """Run tests in a project that loads the plugin."""
    pytester.makeini("[pytest]\nfilterwarnings = error")

    def run(source, *, conftest="", **outcomes):
        pytester.makeconftest(CONFTEST + conftest)
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

        def test_a_new_test_begins_at_the_start(port_webhook_clock):
            from port_webhook.testing import FixedClock

            assert port_webhook_clock() == FixedClock()()
        """,
        passed=2,
    )


def test_an_application_of_session_scope_needs_no_fixture_of_its_own(run):
    run(
        SESSION_APP
        + """
    @pytest.mark.parametrize("seconds", [300, 301, 300])
    def test_each_test_has_the_clock_at_its_start(
        app, port_webhook_sign, port_webhook_clock, seconds
    ):
        request = port_webhook_sign({})
        port_webhook_clock.advance(seconds)
        assert send(app, request).status_code == (200 if seconds == 300 else 401)

    def test_the_clock_need_not_be_named(app, port_webhook_sign):
        from port_webhook.testing import FixedClock

        assert send(app, port_webhook_sign({})).json == {"sent": FixedClock().now}
        """,
        passed=4,
    )


def test_the_clock_is_reset_before_the_fixtures_of_the_next_module(run, pytester):
    pytester.makepyfile(
        test_a="""
        def test_late(port_webhook_clock):
            port_webhook_clock.advance(1000)
        """
    )
    run(
        """
        import pytest
        from port_webhook.testing import FixedClock

        @pytest.fixture(scope="module", autouse=True)
        def started(port_webhook_clock):
            return port_webhook_clock()

        def test_it(started):
            assert started == FixedClock().now
        """,
        passed=2,
    )


FROM_ENV = """
    from port_webhook import Verifier

    verifier = Verifier.from_env()

    def test_it(port_webhook_sign):
        assert verifier.verify(*port_webhook_sign({})).payload == b"{}"
"""


@pytest.mark.parametrize("given", [None, "", "a-secret-of-the-environment"])
def test_an_application_that_reads_the_environment_needs_no_set_up(
    run, monkeypatch, given
):
    import os

    if given is not None:
        monkeypatch.setenv("PORT_CLIENT_SECRET", given)
    run(FROM_ENV, passed=1)
    assert os.environ.get("PORT_CLIENT_SECRET") == given


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_secret_may_stand_in_a_file(run, monkeypatch, tmp_path, end):
    path = tmp_path / "secret"
    path.write_bytes(f"a-secret-of-a-file{end}".encode())
    monkeypatch.setenv("PORT_CLIENT_SECRET_FILE", str(path))
    run(
        """
        import os

        def test_it(port_webhook_sign):
            from port_webhook import verify

            assert "PORT_CLIENT_SECRET" not in os.environ
            verify(*port_webhook_sign({}), "a-secret-of-a-file")
        """,
        passed=1,
    )


def test_tests_with_and_without_the_clock_mix(run):
    run(
        SESSION_APP
        + """
    from port_webhook import verify

    @pytest.mark.parametrize("turn", [1, 2])
    class TestBoth:
        def test_standing(self, app, port_webhook_sign, turn):
            from port_webhook.testing import FixedClock

            answer = send(app, port_webhook_sign({}))
            assert answer.json == {"sent": FixedClock().now}

        def test_real(self, port_webhook_sign, port_webhook_secret, turn):
            verify(*port_webhook_sign({}), port_webhook_secret)

        def test_neither(self, turn):
            pass
        """,
        passed=6,
    )


def test_the_real_time_is_looked_up_so_that_it_can_be_frozen(run):
    run(
        """
        def test_it(port_webhook_sign, monkeypatch):
            monkeypatch.setattr("time.time", lambda: 2e9)
            assert port_webhook_sign({}).headers["x-port-timestamp"] == "2000000000"
        """,
        passed=1,
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


@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_a_fixture_of_the_same_name_chooses_the_secret_and_the_clock(run, scope):
    run(
        SESSION_APP
        + f"""
    import time
    from port_webhook import verify

    @pytest.fixture(scope="{scope}")
    def port_webhook_secret():
        return "my-own-secret"

    @pytest.fixture(scope="{scope}")
    def port_webhook_clock():
        return time.time

    def test_mine(port_webhook_sign, port_webhook_verifier):
        request = port_webhook_sign({{}})
        port_webhook_verifier.verify(*request)
        verify(*request, "my-own-secret")

    def test_the_application_follows(app, port_webhook_sign):
        assert send(app, port_webhook_sign({{}})).status_code == 200
        """,
        passed=2,
    )


def test_a_secret_of_session_scope_is_there_before_the_first_test(run):
    run(
        SESSION_APP
        + """
    from port_webhook.testing import FixedClock, sign_request

    @pytest.fixture(scope="session")
    def port_webhook_secret():
        return "my-own-secret"

    @pytest.fixture(scope="session", autouse=True)
    def early(app):
        now = int(FixedClock().now)
        return send(app, sign_request({}, "my-own-secret", timestamp=now)).status_code

    def test_it(early):
        assert early == 200
        """,
        passed=1,
    )


def test_a_verifier_of_ones_own_takes_the_clock_or_the_real_time(run):
    run(
        """
        import pytest
        from port_webhook import Verifier

        class TestClock:
            @pytest.fixture
            def port_webhook_verifier(self, port_webhook_secret, port_webhook_clock):
                return Verifier(
                    port_webhook_secret, agent=True, clock=port_webhook_clock
                )

            def test_it(self, port_webhook_sign, port_webhook_verifier):
                request = port_webhook_sign.as_agent({"a": 1})
                assert port_webhook_verifier.verify(*request).via == "agent"

        class TestReal:
            @pytest.fixture
            def port_webhook_verifier(self):
                return Verifier.from_env()

            def test_it(self, port_webhook_sign, port_webhook_verifier):
                port_webhook_verifier.verify(*port_webhook_sign({}))
        """,
        passed=2,
    )


def test_a_clock_of_ones_own_is_reset_too(run):
    run(
        """
        import pytest
        from port_webhook.testing import FixedClock

        @pytest.fixture(scope="module")
        def port_webhook_clock():
            return FixedClock(2_000_000_000)

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(port_webhook_clock, port_webhook_sign, turn):
            sent = port_webhook_sign({}).headers["x-port-timestamp"]
            assert sent == "2000000000"
            port_webhook_clock.advance(5)
        """,
        passed=2,
    )


def test_the_projects_of_the_documentation_pass(run):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (environment,) = [block for block in blocks if "def test_my_app(" in block]
    (project,) = [block for block in blocks if "def test_a_run(port_webhook" in block]
    run(environment + project, passed=3)
