"""Keys for tests: a service that has them, and what a request shows."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from store.kinds import Scope
from tests.service.live import Live

Headers = dict[str, str]

UNKNOWN = f"posterity_{'A' * 43}"


def bearer(key: str) -> Headers:
    return {"Authorization": f"Bearer {key}"}


def make_key(live: Live, name: str, *scopes: str, **more: Any) -> Headers:  # noqa: ANN401 - any fact of a key
    """A new key, made beside the service as another process does it; the header that shows it."""
    made = live.house.keys.create(name, scopes=frozenset(map(Scope, scopes)), created_by="test", **more)
    return bearer(made.key)


@contextmanager
def shown(live: Live, headers: Headers) -> Iterator[Live]:
    """The same service, whose client shows this key."""
    live.client.headers.update(headers)
    try:
        yield live
    finally:
        del live.client.headers["Authorization"]


def raw(live: Live, method: str, path: str, headers: Headers) -> int:
    """The status of a request whose path is sent as it is, and not put in order by a client."""
    url = live.client.base_url
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Length: 0", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((url.host, url.port or 0), timeout=30) as line:
        line.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    return int(answer.split(b" ", 2)[1])
