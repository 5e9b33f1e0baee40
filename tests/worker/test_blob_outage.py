"""A worker whose object store fails: the update says so and is absorbed later, to the same bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

import bayes
from store.collecting import Collecting
from store.history import History
from store.kinds import UpdateState
from store.leases import Leases
from store.ledger import Ledger
from store.object_store import ObjectStore
from store.retention import Retention
from tests.faulty_proxy import FaultyProxy, To
from tests.object_server import ObjectServer
from tests.worker.given import a_model, accept, rows
from worker.loop import Worker

BLOB_SECONDS = 0.5


@pytest.fixture
def proxy(s3: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with FaultyProxy(*s3.address) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        yield proxy


@pytest.fixture
def worker(engine: Engine, proxy: FaultyProxy, s3: ObjectServer) -> Worker:
    blobs = ObjectStore(s3.url(), seconds=BLOB_SECONDS)
    return Worker(
        owner="worker",
        ledger=Ledger(engine),
        leases=Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0),
        history=History(engine),
        blobs=blobs,
        retention=Retention(engine, Collecting(engine, blobs)),
        device="cpu",
        stop=threading.Event(),
    )


def take(worker: Worker) -> None:
    claim = worker.leases.claim("worker")
    assert claim is not None
    worker.take(claim)


@pytest.mark.parametrize("fault", [FaultyProxy.hold, FaultyProxy.refuse], ids=["silent", "refused"])
def test_an_update_fails_readably_while_the_store_is_down_and_is_absorbed_when_it_is_back(
    worker: Worker, proxy: FaultyProxy, history: History, fault: Callable[[FaultyProxy], None]
) -> None:
    model, batch = a_model(worker.ledger, worker.blobs), rows(40, seed=1)
    accept(worker.ledger, worker.blobs, "a", batch)
    fault(proxy)

    take(worker)

    failed = history.update("moons", 1)
    assert (failed.state, failed.failures, failed.error_code) == (UpdateState.QUEUED, 1, "storage-failed")
    assert "s3://" in (failed.error_message or "")
    proxy.heal()
    take(worker)
    chunk = bayes.Chunk(inputs=batch["x"], labels=batch["y"])
    expected, _ = bayes.absorb(bayes.root(model), chunk, model.recipe)
    assert history.version("moons", 1).digest == expected.digest
    assert worker.blobs.get(expected.digest) == expected.to_bytes()


def test_a_posterior_whose_put_was_answered_in_vain_is_published_once(
    worker: Worker, proxy: FaultyProxy, history: History
) -> None:
    a_model(worker.ledger, worker.blobs)
    accept(worker.ledger, worker.blobs, "a", rows(40, seed=1))
    claim = worker.leases.claim("worker")
    assert claim is not None
    put = worker.blobs.put

    def answered_in_vain(data: bytes) -> str:
        proxy.swallow(To.CLIENT)
        return put(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker.blobs, "put", answered_in_vain)
        worker.take(claim)

    assert proxy.faults_done == 1
    version = history.version("moons", 1)
    worker.blobs.verify(version.digest)
    assert history.update("moons", 1).failures == 0
