"""A collector of traces: it takes what OTLP over HTTP sends, and decodes it."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Span:
    """A span as it was exported."""

    process: str
    name: str
    trace: str
    id: str
    parent: str
    links: list[tuple[str, str]]
    """The traces and spans that it is linked to."""
    facts: dict[str, Any]
    began: int
    ended: int
    is_error: bool


@dataclass
class Collector:
    url: str = ""
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, found: Callable[[list[Span]], Any]) -> Any:  # noqa: ANN401 - what was found
        """What `found` finds among the spans, as soon as it finds anything."""
        until = time.monotonic() + WAIT_SECONDS
        with self.changed:
            while not (answer := found(self.spans)):
                assert self.changed.wait(until - time.monotonic()), sorted({one.name for one in self.spans})
        return answer

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.changed:
            self.bodies.append(body)
            for resource in request.resource_spans:
                said = {one.key: one.value.string_value for one in resource.resource.attributes}
                for scope in resource.scope_spans:
                    self.spans += [_span(said["service.name"], one) for one in scope.spans]
            self.changed.notify_all()


def _span(process: str, one: Any) -> Span:  # noqa: ANN401 - of protobuf
    return Span(
        process=process,
        name=one.name,
        trace=one.trace_id.hex(),
        id=one.span_id.hex(),
        parent=one.parent_span_id.hex(),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in one.links],
        facts={fact.key: getattr(fact.value, fact.value.WhichOneof("value")) for fact in one.attributes},
        began=one.start_time_unix_nano,
        ended=one.end_time_unix_nano,
        is_error=one.status.code == one.status.STATUS_CODE_ERROR,
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
