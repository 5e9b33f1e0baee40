"""The first chunk of a model whose prior has several sigmas chooses one, in one update as any other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from sqlalchemy import Engine

import bayes
from store.aliases import Aliases
from store.collecting import Collecting
from store.folder import Folder
from store.history import History
from store.leases import Leases
from store.ledger import Ledger
from store.retention import Retention
from tests.worker.given import DESCRIPTION, accept, rows
from worker.loop import Worker

SIGMAS = [0.01, 1.0]


@pytest.fixture
def worker(engine: Engine, history: History, tmp_path: Path) -> Worker:
    blobs = Folder(tmp_path / "blobs")
    return Worker(
        owner="worker",
        ledger=Ledger(engine),
        leases=Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0),
        retention=Retention(engine, Collecting(engine, blobs)),
        history=history,
        blobs=blobs,
        device="cpu",
        stop=threading.Event(),
    )


def a_pretrained_model(worker: Worker) -> tuple[bayes.Model, bayes.Pretrained]:
    """The model of these tests around random weights, whose bytes are in the blobs."""
    plain = bayes.Model.from_description(DESCRIPTION)
    stream = torch.Generator().manual_seed(3)
    shapes = {name: tensor.shape for name, tensor in bayes.weights_of(bayes.root(plain)).items()}
    pretrained = bayes.Pretrained.of({name: torch.randn(shape, generator=stream) for name, shape in shapes.items()})
    prior = {"kind": "weights", "blob": worker.blobs.put(pretrained.weights), "sigmas": SIGMAS}
    model = bayes.Model.from_description(DESCRIPTION | {"prior": prior})
    stored = model.to_description() | {key: DESCRIPTION[key] for key in ("name", "chunk")}
    worker.ledger.create_model("moons", stored, worker.blobs.put(bayes.root(model, pretrained).to_bytes()))
    return model, pretrained


def take_all(worker: Worker) -> None:
    while (claim := worker.leases.claim(worker.owner)) is not None:
        worker.take(claim)


def test_the_version_is_that_of_the_chosen_sigma_and_says_so(worker: Worker, history: History) -> None:
    model, pretrained = a_pretrained_model(worker)
    batch = rows(40, seed=1)
    accept(worker.ledger, worker.blobs, "a", batch)
    accept(worker.ledger, worker.blobs, "b", rows(40, seed=2))

    take_all(worker)

    expected, report = bayes.absorb_on_grid(model, pretrained, bayes.Chunk(batch["x"], batch["y"]))
    first, second = history.version("moons", 1), history.version("moons", 2)
    assert first.digest == expected.digest
    assert first.report["choice"] == report.to_dict()["choice"]
    assert first.report["choice"]["sigma"] in SIGMAS
    assert second.report["choice"] is None


def test_after_a_rollback_to_the_root_the_same_chunk_chooses_the_same(
    worker: Worker, history: History, engine: Engine
) -> None:
    a_pretrained_model(worker)
    accept(worker.ledger, worker.blobs, "a", rows(40, seed=1))
    take_all(worker)

    Aliases(engine).rollback("moons", to=0, actor="ada")
    worker.ledger.replay("moons", [1])
    take_all(worker)

    assert history.version("moons", 2).digest == history.version("moons", 1).digest


def test_an_update_on_a_grid_stops_when_its_worker_does(worker: Worker, history: History) -> None:
    a_pretrained_model(worker)
    accept(worker.ledger, worker.blobs, "a", rows(40, seed=1))
    claim = worker.leases.claim("worker")
    assert claim is not None

    worker.stop.set()
    worker.take(claim)

    assert history.update("moons", 1).version is None
    assert history.update("moons", 1).failures == 0


def test_lost_weights_fail_the_update_with_their_digest(worker: Worker, history: History) -> None:
    model, _ = a_pretrained_model(worker)
    assert isinstance(model.prior, bayes.WeightsPrior)
    worker.blobs.delete(model.prior.blob)
    accept(worker.ledger, worker.blobs, "a", rows(40, seed=1))

    take_all(worker)

    update = history.update("moons", 1)
    assert update.error_code == "blob-missing"
    assert model.prior.blob in (update.error_message or "")
