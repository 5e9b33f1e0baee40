"""Traces: one leads from the request that posted a batch to the version that learned from it, through two processes.

They go where OTLP/HTTP is taken, by the setting `otlp_endpoint` or the variables of OpenTelemetry. Without either
nothing is recorded, the SDK is not imported, and what is here does nothing. What clients send is not told: not the
query of a URL, not the words of an exception.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, NoOpTracer, Span, SpanContext, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from store.settings import Settings

if TYPE_CHECKING:
    from store.trace_export import Export

LINKS_MAX = 100
"""An update of more batches than this is linked to the first ones; the collector would drop others."""
HEADER = "traceparent"
PLACES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

Facts = Mapping[str, str | bool | int | float]

NOWHERE = NoOpTracer()
_TRACER: ContextVar[Tracer] = ContextVar("tracer", default=NOWHERE)
"""Of the work that the present code does."""


@dataclass(frozen=True)
class Tracing:
    """Where the spans of one process go; `export` is None where they go nowhere, and none is made."""

    export: Export | None = None

    def close(self) -> None:
        """What was recorded is sent, as far as somebody takes it within seconds."""
        if self.export is not None:
            self.export.close()

    @contextmanager
    def work(self, name: str, *, causes: Sequence[str | None], began: int, facts: Facts) -> Iterator[Span]:
        """Within, `span` records parts of this work, which began at that moment (nanoseconds since 1970).

        It goes on with the trace of its causes (`traceparent`s), where all are of one; else it has its own trace. It is
        linked to each cause that is not its parent.
        """
        tracer = NOWHERE if self.export is None else self.export.provider.get_tracer("posterity")
        parent, links = _parent_and_links(causes)
        token = _TRACER.set(tracer)
        try:
            with (
                tracer.start_as_current_span(
                    name,
                    context=parent,
                    kind=SpanKind.CONSUMER,
                    links=links,
                    start_time=began,
                    attributes=dict(facts),
                    record_exception=False,
                    set_status_on_exception=False,
                ) as span,
                _telling(span),
            ):
                yield span
        finally:
            _TRACER.reset(token)


OFF = Tracing()


@contextmanager
def span(name: str, facts: Facts | None = None) -> Iterator[Span]:
    """What happens within is a span of the work under way, where that is traced."""
    tracer = _TRACER.get()
    with (
        tracer.start_as_current_span(
            name, attributes=dict(facts or {}), record_exception=False, set_status_on_exception=False
        ) as made,
        _telling(made),
    ):
        yield made


def past_span(name: str, *, began: int) -> None:
    """A span of the work under way that began at this moment (nanoseconds since 1970) and has just ended."""
    _TRACER.get().start_span(name, start_time=began).end(time.time_ns())


def traceparent() -> str | None:
    """The present span, as W3C writes it; None where nothing is traced."""
    context = trace.get_current_span().get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else None


def ids() -> dict[str, str]:
    """The present trace and span, for a line of the log; nothing where nothing is traced."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def open_tracing(settings: Settings, process: str) -> Tracing:
    """Spans go where the settings or OpenTelemetry's variables say, under the name of this process."""
    endpoint = settings.otlp_endpoint
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    is_off = is_off or os.environ.get("OTEL_TRACES_EXPORTER", "").lower() == "none"
    if is_off or not (endpoint or any(map(os.environ.get, PLACES))):
        return OFF
    # Imported here: it takes a quarter of a second and some megabytes, which only those pay who want traces.
    export: Export = import_module("store.trace_export").Export(endpoint, process)
    return Tracing(export)


@contextmanager
def _telling(span: Span) -> Iterator[None]:
    """An exception that passes is told by its kind alone: its words may be a client's."""
    try:
        yield
    except Exception as error:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(StatusCode.ERROR)
        raise


def _parent_and_links(causes: Sequence[str | None]) -> tuple[Context, list[Link]]:
    told = [context for cause in dict.fromkeys(causes) if cause and (context := _read(cause)).is_valid]
    if len({context.trace_id for context in told}) != 1:
        return Context(), [Link(context) for context in told[:LINKS_MAX]]
    return trace.set_span_in_context(NonRecordingSpan(told[0]), Context()), [
        Link(context) for context in told[1 : LINKS_MAX + 1]
    ]


def _read(cause: str) -> SpanContext:
    context = TraceContextTextMapPropagator().extract({HEADER: cause}, context=Context())
    return trace.get_current_span(context).get_span_context()
