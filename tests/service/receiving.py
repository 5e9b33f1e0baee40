"""A receiver of webhooks on a real socket, which does what its script says, and then takes everything."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Deed = int | Literal["hang", "die", "drip", "flood", "redirect"]


@dataclass
class Receiver:
    """What it was sent, and what it did with it."""

    script: list[Deed] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    took: list[int] = field(default_factory=list)
    """The numbers of the events that it answered with a success."""
    port: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=t0ken"

    def numbers(self) -> list[int]:
        """Of all events that it was sent, also those that it refused."""
        return [json.loads(body)["data"]["number"] for _, body in self.got]

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self.lock:
            deed = self.script.pop(0) if self.script else 204
            self.got.append(({name.lower(): value for name, value in handler.headers.items()}, body))
        if deed == "die":
            handler.close_connection = True
        elif deed == "hang":
            self.is_over.wait(60.0)
        elif deed == "drip":
            while not self.is_over.wait(0.2):
                handler.wfile.write(b"H")
        elif deed == "flood":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            self._took(body)
            while not self.is_over.is_set():
                handler.wfile.write(b"x" * 65536)
        elif deed == "redirect":
            self._say(handler, 307, {"Location": "/elsewhere"})
        elif isinstance(deed, int):
            if deed < 300:
                self._took(body)
            self._say(handler, deed, {})

    def _took(self, body: bytes) -> None:
        with self.lock:
            self.took.append(json.loads(body)["data"]["number"])

    def _say(self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@contextmanager
def receiver(*script: Deed, port: int = 0) -> Iterator[Receiver]:
    """It listens while the block runs."""
    made = Receiver(list(script))
    lines: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            lines.append(self.connection)

        def do_POST(self) -> None:
            try:
                made.answer(self)
            except OSError:
                self.close_connection = True

        def log_message(self, *_said: Any) -> None: ...  # noqa: ANN401 - the library's own

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        made.is_over.set()
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        server.shutdown()
        server.server_close()
        thread.join()
