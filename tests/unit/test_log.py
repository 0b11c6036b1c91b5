"""The log: lines for people on a terminal, JSON elsewhere, and never the values of variables."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from edge.log import LEVELS, NOT_LOGGED, MayQuoteRows, start_log


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def as_it_was():
    """The log of the tests' own process is set up as before, afterwards."""
    root = logging.getLogger()
    level, before = root.level, structlog.get_config()
    yield
    root.setLevel(level)
    structlog.configure(**before)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_elsewhere_than_on_a_terminal_each_record_is_a_line_of_json():
    stream = io.StringIO()
    start_log("worker", stream=stream, worker="host-17")

    structlog.get_logger().warning("two\nlines", file="ü.csv", rows=5)

    [line] = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "message": "two\nlines",
        "severity": "WARNING",
        "program": "worker",
        "worker": "host-17",
        "file": "ü.csv",
        "rows": 5,
    }


def test_a_record_s_own_fields_win_over_those_of_the_program():
    stream = io.StringIO()
    start_log("publisher", stream=stream, worker="mine")

    structlog.get_logger().info("receipt", worker="theirs")

    assert lines(stream)[0]["worker"] == "theirs"


def test_on_a_terminal_it_is_for_people():
    stream = Terminal()
    start_log("worker", stream=stream)

    structlog.get_logger().info("receipt written", file="a.csv")

    assert "receipt written" in stream.getvalue()
    assert "a.csv" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["JSON", "terminal"])
def test_a_traceback_says_where_and_not_what_the_variables_held(stream):
    start_log("worker", stream=stream)

    def fail(row):
        raise ValueError(f"{len(row)} letters")

    try:
        secret = "a row of a file"
        fail(secret)
    except ValueError:
        structlog.get_logger().exception("it failed")

    text = stream.getvalue()
    assert "Traceback" in text
    assert "ValueError: 15 letters" in text
    assert "row of a file'" not in text.replace('secret = "a row of a file"', "")


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_below_its_level_nothing_is_written(level, shown):
    stream = io.StringIO()
    start_log("worker", level, stream=stream)

    log = structlog.get_logger()
    for name in LEVELS:
        getattr(log, name)("something")

    assert len(lines(stream)) == shown


def test_of_libraries_only_warnings_are_shown(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own
    start_log("worker", "debug", stream=stream)

    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble")

    [line] = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"message": "trouble", "severity": "WARNING", "program": "worker", "logger": "some.library"}


def test_a_library_s_traceback_is_in_its_record(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    start_log("worker", stream=stream)

    try:
        raise ValueError("no good")
    except ValueError:
        logging.getLogger("some.library").exception("it failed")

    [line] = lines(stream)
    assert (line["message"], line["severity"]) == ("it failed", "ERROR")
    assert "ValueError: no good" in line["exception"]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["JSON", "terminal"])
def test_what_may_quote_a_row_is_shown_on_request_only(stream):
    text = MayQuoteRows("is not a number: 'my secret'")

    start_log("worker", stream=stream)
    structlog.get_logger().info("receipt written", reason=text)
    assert "my secret" not in stream.getvalue()
    assert NOT_LOGGED in stream.getvalue()

    start_log("worker", stream=stream, log_rows=True)
    structlog.get_logger().info("receipt written", reason=text)
    assert "is not a number: 'my secret'" in stream.getvalue()


def test_the_trace_is_looked_up_for_each_record():
    stream = io.StringIO()
    traces = iter([{}, {"logging.googleapis.com/trace": "projects/p/traces/1"}])
    start_log("worker", stream=stream, trace=lambda: next(traces))

    structlog.get_logger().info("outside")
    structlog.get_logger().info("inside")

    assert ["logging.googleapis.com/trace" in line for line in lines(stream)] == [False, True]
