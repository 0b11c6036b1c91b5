"""Traces: nothing while they are off, and a context from a message that nobody vouches for."""

from __future__ import annotations

import sys
import time

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from edge import traces
from edge.listen import CannotSignal

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans():
    """Every span that has ended."""
    exporter = InMemorySpanExporter()
    provider = traces.trace_to("test", exporter)
    yield exporter.get_finished_spans
    traces.stop_traces(provider)


def test_off_nothing_is_made_or_carried():
    with traces.span("handle", file="a.csv") as span:
        assert span is None
        assert traces.current() is None
        assert traces.log_fields("acme") == {}
    with traces.each("publish", [{"file": "a.csv"}]) as carried:
        assert carried == [{}]
    assert traces.received({"traceparent": GOOD}) is None
    assert traces.start_traces("test", "off") is None


def test_off_it_costs_next_to_nothing():
    began = time.thread_time()  # not what others take of the processor meanwhile
    for _ in range(1000):
        with traces.span("handle", file="a.csv"):
            traces.done("read", 0.0, 1.0)

    assert time.thread_time() - began < 0.1  # under 100 µs a file


def test_the_context_goes_with_the_message(spans):
    with traces.each("publish", [{"file": "a.csv"}, {"file": "b.csv"}]) as carried:
        first, second = carried
    assert first["traceparent"] != second["traceparent"]

    with traces.span("handle", parent=traces.received(first)):
        pass

    published, other, handled = spans()
    assert handled.parent.span_id == published.context.span_id
    assert handled.context.trace_id == published.context.trace_id != other.context.trace_id


@pytest.mark.parametrize(
    "header",
    ["", "x", "x" * 55, "x" * 100_000, GOOD[:-1], f"{GOOD}-", f"ff{GOOD[2:]}", "00-" + "0" * 32 + GOOD[35:], "é" * 55],
)
def test_a_context_that_cannot_be_read_is_none_and_the_trace_begins_here(spans, header):
    with traces.span("handle", parent=traces.received({"traceparent": header})):
        pass

    [handled] = spans()
    assert handled.parent is None


def test_a_log_record_names_its_trace(spans):
    with traces.span("handle", parent=traces.received({"traceparent": GOOD})):
        here, there = traces.log_fields(), traces.log_fields("acme")

    assert here["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert there["logging.googleapis.com/trace"] == "projects/acme/traces/4bf92f3577b34da6a3ce929d0e0e4736"
    assert there["logging.googleapis.com/spanId"] == here["span_id"] != "00f067aa0ba902b7"
    assert traces.log_fields() == {}


def test_without_the_exporter_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(CannotSignal, match=r"requirements/tracing\.txt"):
        traces.start_traces("worker", "otlp")


def test_a_collector_that_takes_nothing_delays_no_end(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://192.0.2.1:4318")
    provider = traces.start_traces("worker", "otlp")
    with traces.span("handle"):
        pass
    began = time.monotonic()

    traces.stop_traces(provider)

    assert time.monotonic() - began < traces.FLUSH_SECONDS + 2  # the exporter itself goes on for seven
