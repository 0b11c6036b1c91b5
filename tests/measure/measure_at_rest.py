"""What costs next to nothing: traces that are off, an end that nobody takes traces at, a pull that finds nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge import traces
from tests.measure.figures import Figures
from transport.queues.sqlite.queue import LocalQueue

FILES = 1000


def test_traces_that_are_off(figures: Figures) -> None:
    began = time.thread_time()  # not what others take of the processor meanwhile
    for _ in range(FILES):
        with traces.span("handle", file="a.csv"):
            traces.done("read", 0.0, 1.0)
    figures.note("processor per file", 1e6 * (time.thread_time() - began) / FILES, "µs", at_most=100.0)


def test_collector_that_takes_nothing(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://192.0.2.1:4318")
    provider = traces.start_traces("worker", "otlp")
    with traces.span("handle"):
        pass
    began = time.monotonic()
    traces.stop_traces(provider)
    # the exporter itself goes on for seven seconds
    figures.note("end of the traces", time.monotonic() - began, "s", at_most=traces.FLUSH_SECONDS + 2)


def test_pull_that_waits(figures: Figures, tmp_path: Path) -> None:
    queue = LocalQueue(str(tmp_path / "queue.db"))
    before, started = time.thread_time(), time.monotonic()
    assert queue.pull(1, wait=2.0) == []
    used, passed = time.thread_time() - before, time.monotonic() - started
    queue.close()
    figures.note("processor, of the time that it waits", used / passed, at_most=0.1)
    figures.note("beyond the wait that was asked for", passed - 2.0, "s", at_most=4.0)
