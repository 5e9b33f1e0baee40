"""A body over the limit is refused before it is read, with or without a Content-Length."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.service.expected import expect_problem
from tests.service.live import Live

HEAD = (
    "POST {model}/batches HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Idempotency-Key: k\r\n{length}\r\n\r\n"
)


def converse(live: Live, model: str, length: str, body: Iterator[bytes]) -> bytes:
    """Sends a body until the service has had enough; everything it answers until it hangs up."""
    url = live.client.base_url
    with socket.create_connection((url.host, url.port), timeout=30.0) as line:
        line.sendall(HEAD.format(model=model, length=length).encode())
        answered = b""
        try:
            for part in body:
                line.sendall(part)
        except OSError:
            pass
        try:
            while received := line.recv(65536):
                answered += received
        except ConnectionResetError:
            pass
        return answered


def without_end() -> Iterator[bytes]:
    while True:
        yield b"400\r\n" + b" " * 0x400 + b"\r\n"


def test_a_body_that_never_ends_is_refused_once_it_is_over_the_limit(narrow: Live) -> None:
    answered = converse(narrow, narrow.create(), "Transfer-Encoding: chunked", without_end())

    assert answered.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answered
    assert b'"code":"body-too-large"' in answered


def test_a_body_that_says_it_is_too_large_is_refused_before_a_byte_of_it_is_sent(narrow: Live) -> None:
    answered = converse(narrow, narrow.create(), "Content-Length: 100000000000", iter(()))

    assert answered.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body-too-large"' in answered


@pytest.mark.parametrize("path", ["/batches", "/predictions", "/rollback", "/replays"])
def test_every_call_with_a_body_has_the_limit(narrow: Live, path: str) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}

    answer = narrow.client.post(narrow.create() + path, content=b" " * 4001, headers=headers)

    body = expect_problem(answer, "body-too-large")
    assert "more than 4000 bytes" in body["detail"]


def test_a_body_of_exactly_the_limit_is_read(narrow: Live) -> None:
    body = b'{"inputs": [[1, 2]], "labels": [0]}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}

    answer: httpx.Response = narrow.client.post(
        f"{narrow.create()}/batches", content=body + b" " * (4000 - len(body)), headers=headers
    )

    assert answer.status_code == 202
