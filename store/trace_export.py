"""The part of tracing that needs OpenTelemetry's SDK: imported only where somebody takes the spans."""

from __future__ import annotations

import os
import threading
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from store.logs import masked

LAST_SECONDS = 3.0
"""The end of a process waits so long for a collector that does not answer."""
HIDDEN = "not told"


class Export:
    """A thread sends the spans of this process, many at a time."""

    def __init__(self, endpoint: str | None, process: str) -> None:
        """`endpoint` is the collector's; None: the variables of OpenTelemetry name it."""
        traces = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
        named = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": f"posterity-{process}"}
        resource = Resource.create({**named, "service.version": version("posterity")})
        self._is_closed = False
        self._exporter = OTLPSpanExporter(endpoint=traces)
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(_Discreet())
        self.provider.add_span_processor(BatchSpanProcessor(self._exporter))

    def close(self) -> None:
        """The spans are with the collector, or were given up; again, nothing happens."""
        if self._is_closed:
            return
        self._is_closed = True
        impatient = threading.Timer(LAST_SECONDS, self._exporter.shutdown)
        impatient.daemon = True
        impatient.start()
        self.provider.shutdown()
        impatient.cancel()


class _Discreet(SpanProcessor):
    """A query may hold the inputs of a prediction, and a path, by mistake, a key."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        said = span.attributes or {}
        if "url.query" in said:
            span.set_attribute("url.query", HIDDEN)
        if isinstance(path := said.get("url.path"), str):
            span.set_attribute("url.path", masked(path)[:200])
