"""A run inside a report: its log, its changes, and how it ends."""

from __future__ import annotations

import pytest

from port_webhook import ConfigurationError, PayloadError


class Has:
    def __init__(self, run_id):
        self.run_id = run_id


def failures(records):
    return [each for each in records if each.port_event == "reporting_failed"]


# How it ends


def test_a_block_that_ends_is_a_success(kind, client, api):
    run = kind.within(client.report(Has(api.add_run())))
    assert api.runs["r_1"]["changes"] == [{"status": "SUCCESS"}]
    assert (run.run_id, run.status, run.logs_sent) == ("r_1", "SUCCESS", 0)


def test_a_run_id_will_do(kind, client, api):
    assert kind.within(client.report(api.add_run())).status == "SUCCESS"


def test_an_exception_is_a_failure_that_names_its_type_and_goes_on(kind, client, api):
    error = ValueError("a password")
    runs = []

    def work(run):
        runs.append(run)
        raise error

    with pytest.raises(ValueError, match="a password") as caught:
        kind.within(client.report(api.add_run()), work)
    assert caught.value is error
    (change,) = api.runs["r_1"]["changes"]
    assert change == {"status": "FAILURE", "summary": "ValueError"}
    assert runs[0].status == "FAILURE"


def raises(error):
    def work(run):
        raise error

    return work


class UnprintableError(Exception):
    def __str__(self):
        raise TypeError


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (ValueError("no room"), "ValueError: no room"),
        (ValueError(), "ValueError"),
        (UnprintableError(), "UnprintableError"),
        (ValueError("x" * 5_000), f"ValueError: {'x' * 988}"),
    ],
)
def test_the_text_of_an_exception_is_there_if_one_asks(
    kind, client, api, error, summary
):
    with pytest.raises(type(error)):
        kind.within(client.report(api.add_run(), error_text=True), raises(error))
    assert api.runs["r_1"]["summary"] == summary


def test_a_client_may_ask_for_the_text_for_all(kind, api, clock):
    client = kind.make(clock, base_url=api.url, error_text=True)
    with pytest.raises(KeyError):
        kind.within(client.report(api.add_run()), raises(KeyError("cpu")))
    assert api.runs["r_1"]["summary"] == "KeyError: 'cpu'"
    with pytest.raises(KeyError):
        kind.within(
            client.report(api.add_run(), error_text=False), raises(KeyError("cpu"))
        )
    assert api.runs["r_1"]["summary"] == "KeyError"


def test_our_own_errors_name_the_field(kind, client, api):
    error = PayloadError("is not valid", path="payload.properties.cpu")
    with pytest.raises(PayloadError):
        kind.within(client.report(api.add_run()), raises(error))
    assert "payload.properties.cpu" in api.runs["r_1"]["summary"]


def test_what_ends_a_process_is_a_failure_too(kind, client, api):
    with pytest.raises(SystemExit):
        kind.within(client.report(api.add_run()), raises(SystemExit(1)))
    assert api.runs["r_1"]["summary"] == "SystemExit"


@pytest.mark.parametrize(
    "target", [None, "", ".", "..", "r_\ud800", "a" * 131_073, Has(None), Has("")]
)
def test_without_a_run_nothing_is_reported(kind, client, api, target):
    def work(run):
        run.log_handler().handle(record())
        return [
            run.log("x"),
            run.update(status_label="x"),
            run.succeed("x"),
            run.fail("x"),
        ]

    run = kind.within(client.report(target, logger="any"), work)
    assert (run.run_id, run.status, run.logs_sent) == (None, None, 0)
    with pytest.raises(ValueError, match="its own"):
        kind.within(client.report(target), raises(ValueError("its own")))
    assert api.requests == []


def record(message="x"):
    import logging

    return logging.LogRecord("any", logging.INFO, "", 1, message, (), None)


@pytest.mark.parametrize("target", [5, object(), Has(5)])
def test_what_has_no_run_id_is_refused(client, target):
    with pytest.raises(ConfigurationError, match="run"):
        client.report(target)


# By hand


@pytest.mark.parametrize(
    ("method", "status"), [("succeed", "SUCCESS"), ("fail", "FAILURE")]
)
def test_a_run_that_the_handler_ends_is_told_once(kind, client, api, method, status):
    def work(run):
        return [getattr(run, method)("by hand"), run.fail("again"), run.succeed()]

    run = kind.within(client.report(api.add_run()), work)
    assert api.runs["r_1"]["changes"] == [{"status": status, "summary": "by hand"}]
    assert run.status == status


def test_an_exception_after_the_end_changes_nothing(kind, client, api):
    run = client.report(api.add_run())
    kind.do(run.succeed())
    with pytest.raises(ValueError, match="late"):
        kind.within(run, raises(ValueError("late")))
    assert api.runs["r_1"]["changes"] == [{"status": "SUCCESS"}]


def test_an_action_has_no_cancelled_runs(kind, client, api):
    run = kind.within(client.report(api.add_run()), lambda run: run.cancel("stopped"))
    assert api.runs["r_1"]["changes"] == [{"status": "FAILURE", "summary": "stopped"}]
    assert run.status == "FAILURE"


def test_an_end_that_could_not_be_told_is_told_at_the_end_of_the_block(
    kind, client, api
):
    api.script("PATCH", *[503] * 5)
    run = kind.within(client.report(api.add_run()), lambda run: run.fail("by hand"))
    assert api.runs["r_1"]["changes"] == [{"status": "FAILURE", "summary": "by hand"}]
    assert run.status == "FAILURE"


# Changes and lines


def test_a_run_is_changed_while_it_goes_on(kind, client, api):
    def work(run):
        return [
            run.update(status_label="Provisioning", links=["https://a", "https://b"]),
            run.update(links="https://c", summary="s", external_run_id="e"),
            run.update(),
        ]

    kind.within(client.report(api.add_run()), work)
    assert api.runs["r_1"]["changes"] == [
        {"statusLabel": "Provisioning", "link": ["https://a", "https://b"]},
        {"link": ["https://c"], "summary": "s", "externalRunId": "e"},
        {"status": "SUCCESS"},
    ]


def test_lines_are_added_to_the_log(kind, client, api):
    def work(run):
        return [
            run.log("creating"),
            run.log("ünï \ud800 🚀", status_label="half", level="warning"),
        ]

    run = kind.within(client.report(api.add_run()), work)
    assert api.log_of() == ["creating", "ünï ? 🚀"]
    assert api.runs["r_1"]["statusLabel"] == "half"
    assert run.logs_sent == 2


def test_a_text_that_is_too_long_for_port_is_cut(kind, client, api):
    kind.within(client.report(api.add_run()), lambda run: run.log("\x00" * 2_000_000))
    (line,) = api.log_of()
    assert len(line) == 131_072
    assert line.endswith("\x00… (cut)")


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.log(5),
        lambda run: run.log("x", level="LOUD"),
        lambda run: run.log("x", level=30),
        lambda run: run.log("x", status_label=5),
        lambda run: run.update(links=5),
        lambda run: run.update(links=["a", 5]),
        lambda run: run.update(summary=b"x"),
        lambda run: run.succeed(5),
        lambda run: run.succeed(output={"a": 1}),
    ],
)
def test_wrong_arguments_are_the_callers_mistake(kind, client, api, call):
    with pytest.raises(ConfigurationError):
        kind.within(client.report(api.add_run()), call)
    assert api.runs["r_1"]["status"] == "FAILURE"


# Runs of workflow nodes


def test_a_nodes_run_has_its_own_endpoints_and_words(kind, client, api):
    def work(run):
        return [
            run.log("creating"),
            run.log("careful", level="WARNING", status_label="half"),
            run.log("broken", level="critical"),
            run.update(status_label="label", links="https://a", external_run_id="e"),
            run.update(summary="only a line"),
        ]

    run = kind.within(client.report(api.add_node()), work)
    node = api.nodes["wfnr_1"]
    assert node["log"] == [
        ("INFO", "creating"),
        ("INFO", "half"),
        ("WARN", "careful"),
        ("ERROR", "broken"),
        ("INFO", "label"),
        ("INFO", "only a line"),
    ]
    assert node["changes"] == [
        {"status": "IN_PROGRESS", "links": ["https://a"], "externalRunId": "e"},
        {"status": "COMPLETED", "result": "SUCCESS"},
    ]
    assert (run.status, run.logs_sent) == ("SUCCESS", 3)


def test_a_node_fails_with_its_own_word_and_its_summary_in_the_log(kind, client, api):
    with pytest.raises(ValueError, match="no"):
        kind.within(client.report(api.add_node()), raises(ValueError("no")))
    node = api.nodes["wfnr_1"]
    assert node["changes"] == [{"status": "COMPLETED", "result": "FAILED"}]
    assert node["log"] == [("ERROR", "ValueError")]


def test_a_node_has_an_output_and_can_be_cancelled(kind, client, api):
    output = {"ip": "10.0.0.1"}
    kind.within(
        client.report(api.add_node()), lambda run: run.succeed("done", output=output)
    )
    assert api.nodes["wfnr_1"]["output"] == output
    assert api.nodes["wfnr_1"]["log"] == [("INFO", "done")]
    run = kind.within(client.report(api.add_node()), lambda run: run.cancel())
    assert (run.status, api.nodes["wfnr_1"]["result"]) == ("CANCELLED", "CANCELLED")


def test_a_summary_is_written_once_though_the_end_is_told_again(kind, client, api):
    api.script("PATCH", *[503] * 5)
    kind.within(client.report(api.add_node()), lambda run: run.fail("by hand"))
    assert api.nodes["wfnr_1"]["log"] == [("ERROR", "by hand")]
    assert api.nodes["wfnr_1"]["result"] == "FAILED"


# When Port does not take it


def test_port_sets_the_status_of_a_synchronous_run_itself(kind, client, api, records):
    def work(run):
        return [run.update(status_label="x"), run.log("a line"), run.succeed()]

    run = kind.within(client.report(api.add_run(synchronized=True)), work)
    assert run.status is None
    assert api.log_of() == ["a line"]
    # One refusal is enough.
    assert api.count("PATCH") == 1
    assert [each.port_event for each in records] == ["reporting_refused"]
    assert records[0].levelname == "DEBUG"


def test_nothing_is_changed_after_the_end(kind, client, api):
    def work(run):
        return [run.succeed(), run.update(summary="late")]

    kind.within(client.report(api.add_run()), work)
    assert api.runs["r_1"]["changes"] == [{"status": "SUCCESS"}]


def test_a_run_that_has_ended_stays_as_it_is(kind, client, api, records):
    run = kind.within(client.report(api.add_run(status="FAILURE")))
    assert run.status is None
    assert failures(records) == []


def test_a_dropped_answer_to_the_end_of_a_run_is_no_failure(kind, client, api, records):
    api.script("PATCH", "cut")
    kind.within(client.report(api.add_run()))
    assert api.runs["r_1"]["status"] == "SUCCESS"
    assert api.count("PATCH") == 2
    assert failures(records) == []


def test_a_failed_report_does_not_change_the_result(kind, client, api, records):
    done = []

    def work(run):
        done.append(1)
        return [run.log("x"), run.update(summary="x")]

    run = kind.within(client.report("r_unknown"), work)
    assert done == [1]
    assert run.status is None
    first, *_ = failures(records)
    assert (first.port_run_id, first.port_status_code) == ("r_unknown", 404)
    assert first.port_error == "not_found"
    assert 'Run with id "r_unknown" was not found' in first.getMessage()
    assert first.getMessage().startswith("Port could not be told of run r_unknown: ")
    assert first.levelname == "ERROR"


def test_a_failed_report_does_not_change_the_exception(kind, client, api, records):
    api.close()
    error = KeyError("its own")
    with pytest.raises(KeyError) as caught:
        kind.within(client.report("r_1"), raises(error))
    assert caught.value is error
    assert error.__context__ is error.__cause__ is None
    (failed,) = failures(records)
    assert failed.port_status_code is None
    assert "ConnectError" in failed.getMessage()


def test_a_change_that_port_refuses_does_not_keep_the_end_from_it(
    kind, client, api, records
):
    api.script("PATCH", 422)
    run = kind.within(
        client.report(api.add_run()), lambda run: run.update(links="nonsense")
    )
    assert run.status == "SUCCESS"
    assert len(failures(records)) == 1
