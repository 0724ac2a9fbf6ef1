"""`port_webhook._log`: structured records, and hooks that cannot do harm."""

from __future__ import annotations

import logging
from typing import Any

from port_webhook import MethodNotAllowedError, Verifier
from port_webhook import _log as log


def test_a_record_carries_its_event_and_fields_with_a_prefix(records):
    log.write(log.WARNING, "Something.", "some_event", code="x", limit=5)

    (record,) = records
    assert record.name == "port_webhook"
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "Something."
    assert record.port_event == "some_event"
    assert (record.port_code, record.port_limit) == ("x", 5)


def test_the_levels_are_those_of_logging():
    assert (log.DEBUG, log.INFO, log.WARNING, log.ERROR) == (
        logging.DEBUG,
        logging.INFO,
        logging.WARNING,
        logging.ERROR,
    )


def test_the_logger_has_the_name_of_the_package():
    # Not the one that an earlier call has kept.
    assert log.get_logger.__wrapped__() is logging.getLogger("port_webhook")


def test_a_percent_sign_in_a_message_is_no_placeholder(records):
    log.write(log.ERROR, "100 %s %d", "some_event")

    assert records[0].getMessage() == "100 %s %d"


def test_a_field_of_any_name_is_only_a_field(records):
    # An adapter may log an error of its own, with attributes of any name.
    fields = {"level": 1, "message": 2, "event": 3, "name": 4, "args": 5}

    log.write(log.ERROR, "Something.", "some_event", **fields)

    (record,) = records
    assert record.port_event == "some_event"
    assert (record.port_level, record.port_message, record.port_args) == (1, 2, 5)


def test_a_level_that_nobody_reads_is_not_written(records):
    logging.getLogger("port_webhook").setLevel(logging.ERROR)

    log.write(log.WARNING, "Something.", "some_event")

    assert records == []


def test_a_hook_is_called_with_its_argument(records):
    called: list[str] = []

    log.call_hook(called.append, "argument")

    assert called == ["argument"]
    assert records == []


def test_a_hook_that_raises_is_logged_by_its_place(records):
    def hook(argument):
        msg = f"may quote {argument}"
        raise KeyError(msg)

    log.call_hook(hook, "what it was given")

    (record,) = records
    assert record.levelno == logging.ERROR
    assert (record.port_event, record.port_error) == ("hook_failed", "KeyError")
    line = hook.__code__.co_firstlineno + 2
    assert record.getMessage() == f"A hook raised KeyError at {__file__}:{line}."
    assert record.exc_info is None


def test_a_hook_of_the_wrong_signature_is_logged(records):
    hook: Any = lambda: None  # noqa: E731  # typed, so that it may be wrong

    log.call_hook(hook, "argument")

    assert records[0].port_error == "TypeError"


class Unprintable:
    def __str__(self):
        raise AssertionError


def test_a_message_is_filled_in_where_it_is_written(records):
    log.write(log.WARNING, "refused (%s)", "some_event", "x")

    assert records[0].getMessage() == "refused (x)"


def test_a_message_that_no_handler_takes_is_not_filled_in():
    logger = logging.getLogger("port_webhook")
    handler = logging.StreamHandler()
    handler.setLevel(logging.CRITICAL)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        log.write(log.ERROR, "refused (%s)", "some_event", Unprintable())
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def test_a_record_tells_the_place_that_wrote_it(records):
    log.write(log.ERROR, "Something.", "some_event")

    (record,) = records
    name = test_a_record_tells_the_place_that_wrote_it.__name__
    assert (record.pathname, record.funcName) == (__file__, name)
    first = test_a_record_tells_the_place_that_wrote_it.__code__.co_firstlineno
    assert record.lineno == first + 1


def test_the_record_of_a_refusal_tells_the_place_that_wrote_it(records):
    Verifier("a secret of sixteen bytes").reject(MethodNotAllowedError())

    (record,) = records
    assert (record.module, record.funcName) == ("_log", "rejected")


def test_a_logger_that_is_disabled_or_filters_writes_nothing(records):
    logger = logging.getLogger("port_webhook")
    logger.addFilter(refuse := lambda _: False)
    log.write(log.ERROR, "Something.", "some_event")
    logger.removeFilter(refuse)
    logger.disabled = True
    log.write(log.ERROR, "Something.", "some_event")
    logger.disabled = False

    assert records == []


def test_a_factory_of_records_of_the_users_own_is_used(records):
    factory = logging.getLogRecordFactory()

    def make(*args, **kwargs):
        record = factory(*args, **kwargs)
        record.request_id = "r_1"
        return record

    logging.setLogRecordFactory(make)
    try:
        log.write(log.ERROR, "Something.", "some_event")
    finally:
        logging.setLogRecordFactory(factory)

    assert records[0].request_id == "r_1"
