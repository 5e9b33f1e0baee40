"""SIGTERM to a real process: what is computed is cut off after the drain, and the process ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
from safetensors.numpy import save

from service.__main__ import CUT_SECONDS
from tests.service.expected import expect_problem
from tests.service.live import IMAGES
from tests.service.wire import head

DRAIN_SECONDS = 1
START = f"import sys; from service.__main__ import main; sys.exit(main(drain_seconds={DRAIN_SECONDS}))"
LISTENS = "Posterity listens on "
LENET: dict[str, object] = IMAGES | {
    "name": "lenet",
    "net": {"kind": "lenet5"},
    "input": {"shape": [1, 28, 28], "dtype": "uint8"},
}


@contextmanager
def process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    settings = {"POSTERITY_DATA_DIR": str(folder), "POSTERITY_PORT": "0", "POSTERITY_WORKERS": "0"}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", START], env=os.environ | settings, stdout=subprocess.PIPE, stderr=log, text=True
        ) as service,
    ):
        try:
            assert service.stdout is not None
            url = service.stdout.readline().removeprefix(LISTENS).strip()
            with httpx.Client(base_url=url, timeout=120.0) as client:
                yield service, client
        finally:
            service.kill()


def test_a_long_prediction_is_cut_off_after_the_drain_and_the_process_ends(tmp_path: Path) -> None:
    with process(tmp_path) as (service, client):
        asking, answers = ask_for_much(client)
        computing_since(service)
        service.send_signal(signal.SIGTERM)
        told = time.monotonic()
        code = service.wait(timeout=60)
        took = time.monotonic() - told
        asking.join()

    log = (tmp_path / "log").read_text()
    assert code == 0, log
    assert DRAIN_SECONDS <= took < DRAIN_SECONDS + CUT_SECONDS + 5
    assert "The service is stopping" in expect_problem(answers[0], "unavailable")["detail"]
    assert "Traceback" not in log


def test_predictions_that_wait_are_refused_after_the_drain_as_the_one_that_is_computed(tmp_path: Path) -> None:
    with process(tmp_path) as (service, client):
        assert client.post("/v1/models", json=LENET).status_code == 201
        asking, answers = zip(*(ask_in_a_thread(client) for _ in range(4)), strict=True)
        computing_since(service)
        service.send_signal(signal.SIGTERM)
        told = time.monotonic()
        code = service.wait(timeout=60)
        took = time.monotonic() - told
        for thread in asking:
            thread.join()

    log = (tmp_path / "log").read_text()
    assert code == 0, log
    assert DRAIN_SECONDS <= took < DRAIN_SECONDS + CUT_SECONDS + 5
    for found in answers:
        assert "The service is stopping" in expect_problem(found[0], "unavailable")["detail"]
    assert "Traceback" not in log


def test_a_second_ctrl_c_does_not_wait_for_a_long_prediction(tmp_path: Path) -> None:
    with process(tmp_path) as (service, client):
        asking, _ = ask_for_much(client)
        computing_since(service)
        service.send_signal(signal.SIGINT)
        while "Waiting for connections to close" not in (tmp_path / "log").read_text():
            time.sleep(0.01)
        service.send_signal(signal.SIGINT)
        code = service.wait(timeout=30)
        asking.join()

    assert code == 0, (tmp_path / "log").read_text()


def test_a_request_that_never_ends_is_dropped_after_the_drain_without_a_traceback(tmp_path: Path) -> None:
    with (
        process(tmp_path) as (service, client),
        socket.create_connection((client.base_url.host, client.base_url.port or 0)) as line,
    ):
        line.sendall(head("POST", "/v1/models", "Content-Type: application/json", "Content-Length: 9") + b"{")
        assert client.get("/livez").status_code == 200
        service.send_signal(signal.SIGTERM)
        code = service.wait(timeout=60)

    log = (tmp_path / "log").read_text()
    assert code == 0, log
    assert "Cancel 1 running task" in log
    assert "Traceback" not in log


def test_clients_that_stall_in_every_way_do_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    stalled = (
        b"",
        b"GET /livez HT",
        head("POST", "/v1/models", "Content-Type: application/json", "Content-Length: 9") + b"{",
        head("GET", "/openapi.json") * 12,  # Of whose answers nothing is read.
    )
    with process(tmp_path) as (service, client), ExitStack() as stack:
        address = (client.base_url.host, client.base_url.port or 0)
        for number in range(40):
            line = stack.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.connect(address)
            line.sendall(stalled[number % len(stalled)])
        assert client.get("/livez").status_code == 200
        service.send_signal(signal.SIGTERM)
        told = time.monotonic()
        code = service.wait(timeout=60)
        took = time.monotonic() - told

    log = (tmp_path / "log").read_text()
    assert code == 0, log
    assert took < DRAIN_SECONDS + CUT_SECONDS + 10
    assert "Traceback" not in log


def ask_for_much(client: httpx.Client) -> tuple[threading.Thread, list[httpx.Response]]:
    """A prediction of a minute or more is on its way, in a thread; and where its answer will be, if there is one."""
    assert client.post("/v1/models", json=LENET).status_code == 201
    return ask_in_a_thread(client)


def ask_in_a_thread(client: httpx.Client) -> tuple[threading.Thread, list[httpx.Response]]:
    body = save({"x": np.zeros((10_000, 1, 28, 28), np.uint8)})
    answers: list[httpx.Response] = []

    def ask() -> None:
        headers = {"Content-Type": "application/x-safetensors"}
        with suppress(httpx.TransportError):
            answers.append(client.post("/v1/models/lenet/predictions?samples=256", content=body, headers=headers))

    asking = threading.Thread(target=ask)
    asking.start()
    return asking, answers


def computing_since(service: subprocess.Popen[str]) -> None:
    """Returns once the process has computed for a while: two seconds of processor time more than now."""
    start = processor_seconds(service.pid)
    while processor_seconds(service.pid) < start + 2.0:
        time.sleep(0.05)


def processor_seconds(pid: int) -> float:
    """Of all its threads, by `ps`, which every Unix has: [[days-]hours:]minutes:seconds."""
    command = ["ps", "-o", "time=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    days, _, clock = shown.rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = 60 * seconds + float(part)
    return 86_400 * int(days or 0) + seconds
