"""Clients that take too long, on real sockets: each loses its connection, and nobody else notices."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from safetensors.numpy import save

from service.connection import Connection
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, TINY, Json, Live, running
from tests.service.wire import answer_in, connections, drip, head, in_time, line_to, rest_of

SECONDS = 0.4
MIB = 2**20
MANY_CLASSES: Json = TINY | {"output": {"kind": "categorical", "classes": 1000}}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service that waits for nobody."""
    settings = {"header_seconds": SECONDS, "upload_seconds": SECONDS, "answer_seconds": SECONDS}
    with running(tmp_path_factory.mktemp("hasty"), **settings) as live:
        yield live


@pytest.fixture(autouse=True)
def nothing_is_left(hasty: Live) -> Iterator[None]:
    """After each test the service has no connection more than before."""
    yield
    assert in_time(lambda: connections(hasty) == 0)


def test_a_client_that_says_nothing_is_hung_up_on_without_a_word(hasty: Live) -> None:
    began = time.monotonic()
    with line_to(hasty) as line:
        said = rest_of(line)

    assert said == b""
    assert SECONDS / 2 < time.monotonic() - began < 10 * SECONDS


@pytest.mark.parametrize("sent", [b"GET /livez HTTP/1.1\r\nX-Slow: ", b"\r\n\r\n\r\n"], ids=["headers", "empty lines"])
def test_a_client_that_sends_its_headers_byte_by_byte_is_answered_408(hasty: Live, sent: bytes) -> None:
    began = time.monotonic()
    with line_to(hasty) as line:
        said = drip(line, sent, seconds=SECONDS / 10)

    expect_problem(answer_in(said), "request-late")
    assert time.monotonic() - began < 10 * SECONDS


def test_a_second_request_on_a_connection_has_no_more_time_than_the_first(hasty: Live) -> None:
    with line_to(hasty) as line:
        line.sendall(head("GET", "/livez"))
        first = line.recv(65536)
        said = drip(line, b"GET /livez HTTP/1.1\r\nX-Slow: ", seconds=SECONDS / 10)

    assert first.startswith(b"HTTP/1.1 200 ")
    expect_problem(answer_in(said), "request-late")


@pytest.mark.parametrize("length", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", ["/batches", "/predictions", "/rollback"])
def test_a_client_that_stalls_in_its_body_is_answered_408(hasty: Live, path: str, length: str) -> None:
    model = hasty.create()
    hasty.client.post(f"{model}/predictions", json=INPUTS).raise_for_status()  # The shortcuts know the model.
    with line_to(hasty) as line:
        line.sendall(head("POST", model + path, "Content-Type: application/json", "Idempotency-Key: k", length))
        line.sendall(b"1\r\n{\r\n" if "chunked" in length else b"{")
        said = rest_of(line)

    answer = answer_in(said, model + path)
    expect_problem(answer, "request-late")
    assert answer.headers["Connection"] == "close"
    assert hasty.client.get(f"{model}/batches").json()["batches"] == []


def test_a_body_that_comes_byte_by_byte_is_cut_off_although_it_never_pauses_for_long(hasty: Live) -> None:
    model = hasty.create()
    began = time.monotonic()
    with line_to(hasty) as line:
        line.sendall(head("POST", f"{model}/predictions", "Content-Type: application/json", "Content-Length: 99999"))
        said = drip(line, b" ", seconds=SECONDS / 20)

    expect_problem(answer_in(said, f"{model}/predictions"), "request-late")
    assert time.monotonic() - began < 10 * SECONDS


@pytest.mark.parametrize("takes_bytes", [0, 1], ids=["nothing", "a byte now and then"])
def test_a_client_that_stops_reading_its_answer_loses_its_connection(hasty: Live, takes_bytes: int) -> None:
    model = hasty.create(MANY_CLASSES)
    began = time.monotonic()
    with line_to(hasty, receive_bytes=4096) as line:
        line.sendall(much_to_answer(model))
        assert in_time(lambda: hasty.house.bodies.nbytes > 10 * MIB and unsent(hasty) > 0, seconds=60)
        assert unsent(hasty) < MIB
        while connections(hasty):
            if takes_bytes:
                line.recv(takes_bytes)
            time.sleep(SECONDS / 20)
            assert time.monotonic() < began + 60

    assert unsent(hasty) == 0
    assert in_time(lambda: hasty.house.bodies.nbytes == 0)


def test_a_client_that_reads_a_long_answer_steadily_gets_all_of_it(hasty: Live) -> None:
    model = hasty.create(MANY_CLASSES)
    with line_to(hasty, receive_bytes=2**16) as line:
        line.sendall(much_to_answer(model))
        start, _, body = line.recv(65536).partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", start)[1])  # type: ignore[index]
        began = time.monotonic()
        received = len(body)
        while received < length:
            part = line.recv(65536)
            assert part, f"hung up after {received} of {length} bytes"
            received += len(part)
            if time.monotonic() - began < 4 * SECONDS:
                time.sleep(SECONDS / 20)

    assert received == length > 10 * MIB
    assert time.monotonic() - began > 2 * SECONDS


def test_a_body_that_comes_in_parts_with_short_pauses_is_taken(hasty: Live) -> None:
    model = hasty.create()
    body = b'{"inputs": [[1, 2]]}' + b" " * 50_000
    with line_to(hasty) as line:
        length = f"Content-Length: {len(body)}"
        line.sendall(head("POST", f"{model}/predictions", "Content-Type: application/json", length))
        for start in range(0, len(body), 2000):
            line.sendall(body[start : start + 2000])
            time.sleep(SECONDS / 10)
        said = line.recv(65536)

    assert said.startswith(b"HTTP/1.1 200 ")


def test_many_clients_that_stall_take_no_thread_and_keep_nobody_waiting(hasty: Live) -> None:
    model = hasty.create()
    hasty.client.post(f"{model}/predictions", json=INPUTS).raise_for_status()
    threads = threading.active_count()
    stalled = head("POST", f"{model}/predictions", "Content-Type: application/json", "Content-Length: 1000") + b"{"
    with ExitStack() as stack:
        for number in range(150):
            stack.enter_context(line_to(hasty)).sendall((b"", b"GET /livez HT", stalled)[number % 3])
        assert in_time(lambda: connections(hasty) > 0)
        answer = hasty.client.post(f"{model}/predictions", json=INPUTS)
        assert threading.active_count() <= threads
        assert answer.status_code == 200
        assert in_time(lambda: connections(hasty) == 0)


def much_to_answer(model: str) -> bytes:
    """A request whose answer is more than 10 MiB."""
    body = save({"x": np.zeros((4000, 2), np.float32)})
    headers = ("Content-Type: application/x-safetensors", f"Content-Length: {len(body)}")
    return head("POST", f"{model}/predictions?method=mean", *headers) + body


def unsent(live: Live) -> int:
    """Bytes of answers that wait in the service for their clients."""
    kept = list(live.server.server_state.connections)
    return sum(one.transport.get_write_buffer_size() for one in kept if isinstance(one, Connection))
