"""Traces: nothing while they are off, and a context from a message that nobody vouches for."""

from __future__ import annotations

import socket
import sys
import threading

import pytest
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from deploy.waiting import SECONDS, wait_for
from edge import traces
from edge.address import CannotSignal

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


def test_off_every_step_is_one_and_the_same_nothing_and_opentelemetry_is_not_asked(monkeypatch):
    # given that whoever imports it is told so
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    # then nothing is made for a step, and nobody imports it
    assert traces.span("handle", file="a.csv") is traces.span("handle", file="b.csv")
    traces.done("read", 0.0, 1.0)
    assert traces.received({"traceparent": GOOD}) is None
    assert traces.current() is None
    with traces.each("publish", [{"file": "a.csv"}]) as carried:
        assert carried == [{}]
    assert traces.log_fields("acme") == {}
    traces.stop_traces(None)


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


class HeldUp(SpanProcessor):
    """A processor of spans whose end waits for the test."""

    def __init__(self):
        self.let_go = threading.Event()

    def shutdown(self):
        self.let_go.wait()


def test_a_collector_that_takes_nothing_delays_no_end(monkeypatch):
    # given a collector that takes connections and nothing else, and an exporter that goes on for ever
    monkeypatch.setattr(traces, "FLUSH_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        provider, held, ended = traces.start_traces("worker", "otlp"), HeldUp(), threading.Event()
        provider.add_span_processor(held)
        with traces.span("handle"):
            pass

        # when the traces are ended
        threading.Thread(target=lambda: (traces.stop_traces(provider), ended.set()), daemon=True).start()
        silent.settimeout(SECONDS)
        connection, _ = silent.accept()
        try:
            # then that is over though what is left has not gone
            wait_for(ended.is_set, "the end of the traces")
            assert "traces-end" in [thread.name for thread in threading.enumerate()]
        finally:
            connection.close()
            held.let_go.set()
