"""Clients that speak HTTP byte by byte, as no library lets them, and what is left of them in the service."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx

from tests.service.live import Json, Live


@contextmanager
def line_to(live: Live, *, receive_bytes: int | None = None) -> Iterator[socket.socket]:
    """A connection; its receive buffer is as small as asked."""
    url = live.client.base_url
    with socket.socket() as line:
        if receive_bytes is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        line.settimeout(30.0)
        line.connect((url.host, url.port))
        yield line


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def rest_of(line: socket.socket) -> bytes:
    """All that the service says until it hangs up."""
    said = b""
    with suppress(ConnectionResetError):
        while received := line.recv(65536):
            said += received
    return said


def answer_in(said: bytes, path: str = "/") -> httpx.Response:
    """What was said, read as one whole answer to a request for the path."""
    start, _, body = said.partition(b"\r\n\r\n")
    status, *headers = start.decode().split("\r\n")
    request = httpx.Request("GET", f"http://localhost{path}")
    pairs = [(name, value) for name, _, value in (header.partition(": ") for header in headers)]
    answer = httpx.Response(int(status.split()[1]), headers=pairs, content=body, request=request)
    assert int(answer.headers["Content-Length"]) == len(body)
    return answer


def drip(line: socket.socket, sent: bytes, *, seconds: float) -> bytes:
    """Sends the bytes one by one with pauses between them, over and over, until the service hangs up; what it said."""
    said = b""
    line.settimeout(seconds)
    with suppress(ConnectionResetError, BrokenPipeError):
        while True:
            for at in range(len(sent)):
                line.sendall(sent[at : at + 1])
                try:
                    received = line.recv(65536)
                except TimeoutError:
                    continue
                if not received:
                    return said
                said += received
    return said


def connections(live: Live) -> int:
    """How many connections the service has, beside that of the client that comes with it."""
    kept = live.client.get("/livez")
    assert kept.status_code == 200
    return len(live.server.server_state.connections) - 1


def in_time(holds: Callable[[], bool], *, seconds: float = 20.0) -> bool:
    """True as soon as it holds; False when it did not until then."""
    until = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.01)
    return held


def problem_in(said: bytes) -> Json:
    return dict(json.loads(answer_in(said).content))
