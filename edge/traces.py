"""One trace per file, across publisher, queue and worker: off unless it is started, and then next to free.

The context travels in the message, as the attribute `traceparent` of W3C Trace Context. Its content is not trusted: an
attribute that cannot be read counts as none, and a new trace begins there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

from edge.address import CannotSignal

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

TRACEPARENT = "traceparent"
FLUSH_SECONDS = 2.0  # at the end, for what is not yet sent
_LENGTH = 55  # of a traceparent of version 00
_NOTHING: AbstractContextManager[None] = nullcontext()

Value = str | int | float | bool


@dataclass
class _Started:
    tracer: Tracer | None = None


_started = _Started()


def start_traces(program: str, kind: str, **attributes: str) -> TracerProvider | None:
    """Starts tracing in this process; `kind` is `otlp`, or `off` for nothing at all. Raises CannotSignal.

    The exporter takes its address and the rest from the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, …).
    """
    if kind == "off":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise CannotSignal(
            "--trace otlp needs an exporter: install requirements/tracing.txt in place of requirements/worker.txt"
        ) from None
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = trace_to(program, None, **attributes)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def trace_to(program: str, exporter: SpanExporter | None = None, **attributes: str) -> TracerProvider:
    """The same to an exporter of the caller's, each span at once; for tests, and for what `start_traces` adds."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    ours = Resource({"service.name": f"understudy-{program.replace(' ', '-')}", **attributes})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    _started.tracer = provider.get_tracer("understudy")
    return provider


def stop_traces(provider: TracerProvider | None) -> None:
    """Sends what is left, for FLUSH_SECONDS at most: a collector that does not answer must not delay the end."""
    _started.tracer = None
    if provider is not None:
        ending = Thread(target=provider.shutdown, daemon=True, name="traces-end")
        ending.start()
        ending.join(FLUSH_SECONDS)


def span(name: str, parent: Context | None = None, **attributes: Value) -> AbstractContextManager[Any]:
    """The step `name`, for as long as the block lasts, below `parent` or what is current here."""
    if _started.tracer is None:
        return _NOTHING
    return _started.tracer.start_as_current_span(name, context=parent, attributes=attributes)


def received(attributes: Mapping[str, str]) -> Context | None:
    """The context that a message brings along; None where it brings none that can be read."""
    header = attributes.get(TRACEPARENT, "")
    if _started.tracer is None or len(header) != _LENGTH:
        return None
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACEPARENT: header}, context=Context())


def current() -> Context | None:
    """What is current in this thread, to be the `parent` of a span in another."""
    if _started.tracer is None:
        return None
    from opentelemetry.context import get_current

    return get_current()


@contextmanager
def each(name: str, items: list[dict[str, Value]]) -> Iterator[list[dict[str, str]]]:
    """One span per item with its attributes, each in a trace of its own; gives what their messages are to carry."""
    if _started.tracer is None:
        yield [{} for _ in items]
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    spans = [_started.tracer.start_span(name, context=Context(), attributes=item) for item in items]
    carried: list[dict[str, str]] = [{} for _ in items]
    for one, carrier in zip(spans, carried, strict=True):
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(one))
    try:
        yield carried
    finally:
        for one in spans:
            one.end()


def done(name: str, began: float, seconds: float, parent: Context | None = None, **attributes: Value) -> None:
    """A step that is over: it `began` then (seconds since 1970), and took so long. `parent`: else the current one."""
    if _started.tracer is not None:
        start = int(began * 1e9)
        span = _started.tracer.start_span(name, context=parent, start_time=start, attributes=attributes)
        span.end(start + int(seconds * 1e9))


def log_fields(project: str = "") -> Mapping[str, str]:
    """What a log record says of the trace that is current; with a Google Cloud `project` as Cloud Logging has it."""
    if _started.tracer is None:
        return {}
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    trace, one = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    if not project:
        return {"trace_id": trace, "span_id": one}
    return {
        "logging.googleapis.com/trace": f"projects/{project}/traces/{trace}",
        "logging.googleapis.com/spanId": one,
    }
