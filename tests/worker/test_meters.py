"""What a worker counts: attempts by how they ended, the steps it took, and at which port it tells."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import httpx
import pytest
import torch
from sqlalchemy import Engine

from store.collecting import Collecting
from store.folder import Folder
from store.history import History
from store.kinds import HEAD
from store.leases import Leases
from store.ledger import Ledger
from store.retention import Retention
from tests.worker.given import a_model, accept, rows
from worker.loop import Worker
from worker.meters import Meters, Outcome, peak_bytes, serve


@pytest.fixture
def worker(engine: Engine, tmp_path: Path) -> Worker:
    blobs = Folder(tmp_path / "blobs")
    return Worker(
        owner="worker",
        ledger=Ledger(engine),
        leases=Leases(engine, lease_seconds=15.0, attempts_max=1, retry_seconds=0.0),
        retention=Retention(engine, Collecting(engine, blobs)),
        history=History(engine),
        blobs=blobs,
        device="cpu",
        stop=threading.Event(),
    )


def take(worker: Worker) -> None:
    claim = worker.leases.claim("worker")
    assert claim is not None
    worker.take(claim)


def attempts(worker: Worker) -> dict[str, float]:
    """How often each outcome was counted, of those that were."""
    value = worker.meters.registry.get_sample_value
    found = {one.value: value("posterity_worker_attempts_total", {"outcome": one.value}) for one in Outcome}
    return {name: count for name, count in found.items() if count}


def test_a_published_update_counts_with_its_steps_and_its_time(worker: Worker) -> None:
    a_model(worker.ledger, worker.blobs)
    accept(worker.ledger, worker.blobs, "a", rows(40, seed=1))

    take(worker)

    report = worker.history.version("moons", 1).report
    value = worker.meters.registry.get_sample_value
    assert attempts(worker) == {"published": 1}
    assert value("posterity_worker_steps_total") == report["steps"]
    assert value("posterity_worker_steps_per_second") == pytest.approx(report["steps"] / report["seconds"])
    assert value("posterity_worker_update_seconds_count") == 1
    assert (value("posterity_worker_update_seconds_sum") or 0) >= report["seconds"]
    assert report.get("gpu_bytes_peak") == peak_bytes("cpu") is None


def test_an_update_that_fails_one_that_is_given_back_and_one_that_is_lost_count_as_that(worker: Worker) -> None:
    a_model(worker.ledger, worker.blobs)
    accept(worker.ledger, worker.blobs, "a", {"x": torch.full((40, 2), 1e25), "y": torch.arange(40) % 2})
    take(worker)
    accept(worker.ledger, worker.blobs, "b", rows(40, seed=1))
    worker.stop.set()
    take(worker)
    worker.stop.clear()
    claim = worker.leases.claim("worker")
    assert claim is not None
    worker.ledger.cancel("moons", claim.update)

    worker.take(claim)

    assert attempts(worker) == {"failed": 1, "given-back": 1, "lost": 1}
    assert worker.history.resolve("moons", alias=HEAD).version == 0


def test_a_worker_takes_the_next_port_where_another_has_the_first() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first = taken.getsockname()[1]

        port = serve(Meters(), "127.0.0.1", first)

    answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert port > first
    assert 'posterity_worker_attempts_total{outcome="published"} 0.0' in answer.text
    assert "_created" not in answer.text


def test_an_address_that_is_none_of_this_machine_is_refused() -> None:
    with pytest.raises(OSError, match="assign"):
        serve(Meters(), "192.0.2.1", 9464)
