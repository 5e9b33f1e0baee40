"""The worker as a process: it refuses what it cannot work with, outlives its database and ends when told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from bayes.devices import usable
from bayes.errors import DeviceUnusable
from store.engine import connect
from store.folder import Folder
from store.history import History
from store.ledger import Ledger
from tests.postgres import PostgresServer
from tests.worker.given import a_model, accept, rows

WAIT_SECONDS = 60.0


@contextmanager
def a_worker(database_url: str, data_dir: Path, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    given = {"POSTERITY_DATABASE_URL": database_url, "POSTERITY_DATA_DIR": str(data_dir)} | settings
    worker = subprocess.Popen(
        [sys.executable, "-m", "worker", *arguments],
        env=inherited | given,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def ready(worker: subprocess.Popen[bytes]) -> None:
    assert worker.stderr is not None
    for line in worker.stderr:
        if b"is ready on" in line:
            return
    raise AssertionError("the worker ended before it was ready")


def says(worker: subprocess.Popen[bytes], word: bytes, *, times: int) -> list[bytes]:
    """What it logs until a word was logged so many times."""
    assert worker.stderr is not None
    lines = list[bytes]()
    for line in worker.stderr:
        lines.append(line)
        if sum(word in said for said in lines) == times:
            return lines
    raise AssertionError(f"the worker ended: {lines}")


def head_becomes(history: History, version: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while history.resolve("moons").version != version:
        assert time.monotonic() < deadline, f"version {version} was not published in {WAIT_SECONDS} s"
        time.sleep(0.05)


class Moons(NamedTuple):
    """A model on PostgreSQL, and how a worker of another process finds it."""

    url: str
    ledger: Ledger
    history: History
    blobs: Folder


@pytest.fixture
def moons(postgres: PostgresServer, migrated: str, tmp_path: Path) -> Iterator[Moons]:
    url = postgres.create_database(template=migrated)
    engine = connect(url)
    moons = Moons(url, Ledger(engine), History(engine), Folder(tmp_path / "blobs"))
    a_model(moons.ledger, moons.blobs)
    yield moons
    engine.dispose()


def test_a_database_restarted_under_an_idle_worker_costs_nothing(
    postgres: PostgresServer, moons: Moons, tmp_path: Path
) -> None:
    with a_worker(moons.url, tmp_path) as worker:
        ready(worker)
        accept(moons.ledger, moons.blobs, "a", rows(40, seed=1))
        head_becomes(moons.history, 1)

        postgres.restart()
        accept(moons.ledger, moons.blobs, "b", rows(40, seed=2))

        head_becomes(moons.history, 2)
        assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(WAIT_SECONDS) == 0


def test_a_worker_outlives_an_outage_of_any_length_and_says_so_line_by_line(
    postgres: PostgresServer, moons: Moons, tmp_path: Path
) -> None:
    with a_worker(moons.url, tmp_path, POSTERITY_LOG_FORMAT="json") as worker:
        ready(worker)

        with postgres.away():
            lines = says(worker, b"trying again", times=3)
        accept(moons.ledger, moons.blobs, "a", rows(40, seed=1))
        head_becomes(moons.history, 1)

        assert worker.poll() is None
        assert {json.loads(line)["level"] for line in lines} == {"warning"}


def test_a_child_told_to_stop_while_its_parent_lives_ends_cleanly(database_url: str, tmp_path: Path) -> None:
    with a_worker(database_url, tmp_path, "--child") as worker:
        ready(worker)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(WAIT_SECONDS) == 0


def test_a_child_ends_when_its_standard_input_does(database_url: str, tmp_path: Path) -> None:
    with a_worker(database_url, tmp_path, "--child") as worker:
        ready(worker)
        assert worker.stdin is not None
        worker.stdin.close()
        worker.stdin = None
        assert worker.wait(WAIT_SECONDS) == 0


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_by_its_name(device: str) -> None:
    with pytest.raises(DeviceUnusable, match=device):
        usable(device)


def test_auto_is_a_device_that_works() -> None:
    assert torch.ones(2, device=usable("auto")).sum() == 2


def test_a_worker_without_its_device_says_so_and_claims_nothing(database_url: str, tmp_path: Path) -> None:
    with a_worker(database_url, tmp_path, POSTERITY_DEVICE="gpu") as worker:
        assert worker.wait(WAIT_SECONDS) == 1
        assert worker.stderr is not None
        last = worker.stderr.read().decode().splitlines()[-1]
    assert last.startswith("posterity worker: device 'gpu' cannot be used")
