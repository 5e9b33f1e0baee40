"""What a client may send on a connection, on real sockets: more is refused before it takes memory."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from service.connection import HEAD_BYTES_MAX, HEADERS_MAX, PIPELINED_MAX, UNREAD_BYTES_MAX
from service.listening import FILES_BESIDE, allow_files
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, Live, running
from tests.service.wire import answer_in, connections, head, in_time, line_to, rest_of

MIB = 2**20


@pytest.fixture(autouse=True)
def nothing_is_left(live: Live) -> Iterator[None]:
    yield
    assert in_time(lambda: connections(live) == 0)
    assert live.house.bodies.nbytes == 0


@pytest.mark.parametrize(
    "start",
    [b"GET /livez HTTP/1.1\r\nX-Long: ", b"GET /livez?x=", b"GET /livez HTTP/1.1\r\nX-Long"],
    ids=["a value", "the path", "a name"],
)
def test_a_head_of_ten_megabytes_is_refused_at_its_beginning(live: Live, start: bytes) -> None:
    with line_to(live) as line:
        sent = send_until_refused(line, start, b"x" * 2**16, most=10 * MIB)
        said = rest_of(line)

    expect_problem(answer_in(said), "head-too-large")
    assert sent < 10 * MIB


@pytest.mark.parametrize("count", [HEADERS_MAX - 1, HEADERS_MAX])
def test_so_many_headers_are_taken_and_no_more(live: Live, count: int) -> None:
    with line_to(live) as line:
        line.sendall(head("GET", "/livez", *(f"X-{number}: 1" for number in range(count - 1)), "Connection: close"))
        said = rest_of(line)

    if count < HEADERS_MAX:
        assert said.startswith(b"HTTP/1.1 200 ")
    else:
        expect_problem(answer_in(said), "head-too-large")


def test_a_large_head_that_comes_with_its_end_at_once_is_refused_too(live: Live) -> None:
    with line_to(live) as line:
        line.sendall(head("GET", "/livez", "X-Long: " + "x" * (HEAD_BYTES_MAX + 1)))
        said = rest_of(line)

    expect_problem(answer_in(said), "head-too-large")


@pytest.mark.parametrize(
    "part", [b"X-Trailer: " + b"x" * 1000 + b"\r\n", b"x" * 2**16], ids=["many trailers", "one long trailer"]
)
def test_trailers_without_end_are_cut_off(live: Live, model: str, part: bytes) -> None:
    with line_to(live) as line:
        start = head("POST", f"{model}/predictions", "Content-Type: application/json", "Transfer-Encoding: chunked")
        sent = send_until_refused(line, start + b"2\r\n{}\r\n0\r\nX-First: ", part, most=10 * MIB)

    assert sent < 10 * MIB


def test_chunks_whose_extensions_never_end_are_cut_off(live: Live, model: str) -> None:
    with line_to(live) as line:
        start = head("POST", f"{model}/predictions", "Content-Type: application/json", "Transfer-Encoding: chunked")
        sent = send_until_refused(line, start + b"2;", b"x" * 2**16, most=10 * MIB)

    assert sent < 10 * MIB


def test_trailers_add_nothing_to_what_the_request_said(live: Live, model: str) -> None:
    body = b'{"inputs": [[1, 2]], "labels": [0]}'
    with line_to(live) as line:
        line.sendall(
            head("POST", f"{model}/batches", "Content-Type: application/json", "Transfer-Encoding: chunked")
            + b"%x\r\n%b\r\n0\r\nIdempotency-Key: smuggled\r\nConnection: close\r\n\r\n" % (len(body), body)
        )
        said = line.recv(65536)

    assert b"idempotency-key-missing" in said


def test_requests_that_are_sent_ahead_are_answered_in_order_up_to_so_many(live: Live) -> None:
    with line_to(live) as line:
        line.sendall(head("GET", "/livez") * (PIPELINED_MAX - 1) + head("GET", "/livez", "Connection: close"))
        answered = rest_of(line).count(b"HTTP/1.1 200 ")

    with line_to(live) as line:
        line.sendall(head("GET", "/livez") * 3000)
        flooded = rest_of(line).count(b"HTTP/1.1 200 ")

    assert answered == PIPELINED_MAX
    assert flooded <= PIPELINED_MAX + 1


def test_a_body_of_two_gigabytes_is_refused_by_its_length_alone(live: Live, model: str) -> None:
    with line_to(live) as line:
        line.sendall(head("POST", f"{model}/predictions", "Content-Type: application/json", f"Content-Length: {2**31}"))
        said = rest_of(line)

    answer = answer_in(said, f"{model}/predictions")
    expect_problem(answer, "body-too-large")
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("path", ["/nothing", "/predictions"])
def test_a_body_of_two_gigabytes_without_a_length_is_not_read_to_its_end(live: Live, model: str, path: str) -> None:
    part = b"100000\r\n" + b" " * MIB + b"\r\n"
    with line_to(live) as line:
        start = head("POST", model + path, "Content-Type: application/json", "Transfer-Encoding: chunked")
        sent = send_until_refused(line, start, part, most=2**31)

    assert sent < live.house.settings.body_bytes_max + 20 * MIB
    if path == "/nothing":
        assert sent < UNREAD_BYTES_MAX + 20 * MIB


def test_the_rest_of_a_short_body_is_passed_over_and_the_connection_kept(live: Live, model: str) -> None:
    with line_to(live) as line:
        line.sendall(head("POST", f"{model}/nothing", "Content-Length: 100000") + b" " * 1000)
        first = line.recv(65536)
        line.sendall(b" " * 99000 + head("GET", "/livez"))
        second = line.recv(65536)

    assert first.startswith(b"HTTP/1.1 404 ")
    assert second.startswith(b"HTTP/1.1 200 ")


def test_a_connection_too_many_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    with running(tmp_path, connections_max=5) as few, ExitStack() as stack:
        kept = [stack.enter_context(line_to(few)) for _ in range(4)]
        assert in_time(lambda: connections(few) == 4)
        with line_to(few) as line:
            refused = answer_in(rest_of(line))
        kept[0].sendall(head("GET", "/livez"))
        answered = kept[0].recv(65536)

    expect_problem(refused, "overloaded")
    assert refused.headers["Retry-After"] == "1"
    assert answered.startswith(b"HTTP/1.1 200 ")


def test_clients_that_vanish_in_the_middle_leave_nothing(live: Live, model: str) -> None:
    live.client.post(f"{model}/predictions", json=INPUTS).raise_for_status()
    starts = (
        b"",
        b"GET /livez HT",
        head("POST", f"{model}/predictions", "Content-Type: application/json", "Content-Length: 100000") + b" " * 50000,
        head("POST", f"{model}/batches", "Content-Type: application/json", "Content-Length: 9") + b"{",
    )
    for number in range(100):
        with line_to(live) as line:
            line.sendall(starts[number % len(starts)])

    assert live.client.post(f"{model}/predictions", json=INPUTS).status_code == 200


def test_the_process_may_open_a_file_for_each_connection() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        allow_files(300)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300 + FILES_BESIDE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def send_until_refused(line: socket.socket, start: bytes, part: bytes, *, most: int) -> int:
    """How many bytes went until the service hung up, at most so many."""
    sent = 0
    with suppress(ConnectionResetError, BrokenPipeError):
        line.sendall(start)
        while sent < most:
            line.sendall(part)
            sent += len(part)
    return sent
