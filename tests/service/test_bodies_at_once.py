"""Bodies of many clients at once: no more of them is held than there is room for, and small ones are always taken."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from unittest.mock import patch

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from service import predictions
from service.bodies_at_once import FREE_BYTES
from service.house import READERS
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, TINY, Live, running
from tests.service.wire import answer_in, head, in_time, line_to

ROOM = 2**20
SAFETENSORS = {"Content-Type": "application/x-safetensors"}
WIDE = TINY | {"input": {"shape": [1000]}}


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service that has room for a mebibyte of bodies."""
    with running(tmp_path_factory.mktemp("tight"), bodies_bytes_max=ROOM, upload_seconds=300) as live:
        yield live


@pytest.fixture
def model(tight: Live) -> Iterator[str]:
    made = tight.create()
    tight.client.post(f"{made}/predictions", json=INPUTS).raise_for_status()
    yield made
    assert in_time(lambda: tight.house.bodies.nbytes == 0)


@pytest.mark.parametrize("path", ["/predictions", "/batches"])
def test_a_body_for_which_there_is_no_room_is_refused_and_small_ones_are_taken(
    tight: Live, model: str, path: str
) -> None:
    with ExitStack() as stack:
        for _ in range(4):  # Each a quarter of the room, and 16 KiB that are free.
            line = stack.enter_context(line_to(tight))
            hold(line, model + path, ROOM // 4 + FREE_BYTES)
        assert in_time(lambda: tight.house.bodies.nbytes == ROOM)
        with line_to(tight) as line:
            hold(line, model + path, FREE_BYTES + 1)
            refused = answer_in(line.recv(65536), model + path)
        small = tight.client.post(f"{model}/predictions", json=INPUTS)

        assert expect_problem(refused, "overloaded")["detail"].startswith(f"{ROOM} bytes of other bodies wait already")
        assert refused.headers["Retry-After"] == "1"
        assert small.status_code == 200


def test_what_a_client_held_is_free_again_when_it_goes_away(tight: Live, model: str) -> None:
    for _ in range(8):
        with line_to(tight) as line:
            hold(line, f"{model}/predictions", ROOM)
            assert in_time(lambda: tight.house.bodies.nbytes == ROOM - FREE_BYTES)
        assert in_time(lambda: tight.house.bodies.nbytes == 0)


@pytest.mark.parametrize("path", ["/nothing", "/rollback", "/predictions", "/batches"])
def test_what_was_refused_or_answered_holds_nothing(tight: Live, model: str, path: str) -> None:
    for body in (b" " * 100_000, b"{}", save({"x": np.zeros((20_000, 2), np.float32)})):
        for headers in ({"Content-Type": "application/json"}, SAFETENSORS):
            tight.client.post(model + path, content=body, headers=headers | {"Idempotency-Key": "k"})

    assert in_time(lambda: tight.house.bodies.nbytes == 0)


def test_large_bodies_are_read_a_few_at_a_time(live: Live) -> None:
    model, go_on = live.create(WIDE), threading.Event()
    body, reading, most, lock = save({"x": np.zeros((10, 1000), np.float32)}), 0, 0, threading.Lock()
    read = predictions.read

    def held_up(*given: object, **more: object) -> object:
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
        assert go_on.wait(30.0)
        with lock:
            reading -= 1
        return read(*given, **more)  # type: ignore[arg-type]

    def ask() -> httpx.Response:
        return live.client.post(f"{model}/predictions", content=body, headers=SAFETENSORS)

    with patch.object(predictions, "read", held_up), ThreadPoolExecutor(3 * READERS) as pool:
        answers = [pool.submit(ask) for _ in range(3 * READERS)]
        assert in_time(lambda: (reading, live.house.reading.statistics().tasks_waiting) == (READERS, 2 * READERS))
        go_on.set()
        assert {answer.result().status_code for answer in answers} == {200}

    assert most == READERS


def test_a_hundred_clients_with_large_bodies_do_not_exhaust_memory(tight: Live, model: str) -> None:
    held: list[int] = []

    def refused() -> int:
        held.append(tight.house.bodies.nbytes)
        return sum(map(is_answered, lines))

    with ExitStack() as stack:
        lines = [stack.enter_context(line_to(tight)) for _ in range(100)]
        for line in lines:
            hold(line, f"{model}/predictions", 99_999)
        assert in_time(lambda: refused() == 100 - ROOM // (99_999 - FREE_BYTES))

    assert ROOM / 2 < max(held) <= ROOM


def is_answered(line: socket.socket) -> bool:
    readable, _, _ = select.select([line], [], [], 0)
    return bool(readable) and line.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 503"


def test_answers_that_nobody_reads_take_the_same_room(tight: Live, model: str) -> None:
    many = tight.create(TINY | {"output": {"kind": "categorical", "classes": 1000}})
    body = save({"x": np.zeros((400, 2), np.float32)})  # Whose answer is larger than the room, but alone.
    with line_to(tight, receive_bytes=4096) as line:
        line.sendall(
            head(
                *("POST", f"{many}/predictions?method=mean", "Content-Type: application/x-safetensors"),
                f"Content-Length: {len(body)}",
            )
            + body
        )
        assert in_time(lambda: tight.house.bodies.nbytes > ROOM)
        refused = tight.client.post(f"{many}/predictions?method=mean", content=body, headers=SAFETENSORS)
        small = tight.client.post(f"{model}/predictions", json=INPUTS)

    assert expect_problem(refused, "overloaded")["detail"].endswith("Send the request again in a moment.")
    assert small.status_code == 200
    assert in_time(lambda: tight.house.bodies.nbytes == 0)
    again = tight.client.post(f"{many}/predictions?method=mean", content=body, headers=SAFETENSORS)
    assert len(again.json()["outputs"]) == 400
    assert again.num_bytes_downloaded > ROOM


def test_what_has_changed_something_is_answered_where_there_is_no_room(tight: Live, model: str) -> None:
    kept = tight.client.post(f"{model}/predictions", json={"inputs": [[0, 0]] * 200, "keep": True}).json()
    [first, *others] = (row["prediction"] for row in kept["outputs"])
    labels = [{"prediction": first, "label": 0}, *({"prediction": id_, "label": 3} for id_ in others)]

    with ExitStack() as stack:
        for _ in range(4):
            hold(stack.enter_context(line_to(tight)), f"{model}/predictions", ROOM // 4 + FREE_BYTES)
        assert in_time(lambda: tight.house.bodies.nbytes == ROOM)
        predicted = tight.client.post(f"{model}/predictions", json={"inputs": [[0, 0]] * 200})
        shown = tight.client.get(f"{model}/predictions/{first}")
        labeled = tight.client.post(f"{model}/labels", json=labels)

    assert labeled.json()["labeled"] == [first]
    assert len(labeled.json()["refused"]) == 199
    assert labeled.num_bytes_downloaded > FREE_BYTES
    for refused in (predicted, shown):
        expect_problem(refused, "overloaded")


def hold(line: socket.socket, path: str, count: int) -> None:
    """Sends so much of a body that is a byte longer."""
    line.sendall(
        head("POST", path, "Content-Type: application/json", "Idempotency-Key: k", f"Content-Length: {count + 1}")
    )
    line.sendall(b" " * count)
