"""A whole small installation in this process: models of every family, their batches, weights that were uploaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import safetensors.numpy

import bayes
from service.app import create_app
from service.house import House
from store.engine import connect
from store.folder import Folder
from store.leases import Leases
from store.migrate import upgrade
from store.settings import Settings
from store.values import Claim
from worker.absorb import absorb

Kind = Literal["posterior", "batch", "weights"]

DESCRIPTION: dict[str, Any] = {
    "net": {"kind": "mlp", "hidden": [5]},
    "input": {"shape": [3]},
    "output": {"kind": "categorical", "classes": 3},
    "recipe": {"epochs": 1, "steps_least": 1},
    "chunk": {"rows": 1000, "seconds": None},
}
LAYERS = [{"kind": "conv", "filters": 2, "kernel": 2}, {"kind": "relu"}, {"kind": "flatten"}]
CONVOLUTIONS = {"net": {"kind": "layers", "layers": LAYERS}, "input": {"shape": [1, 3, 3]}}
MODELS: dict[str, dict[str, Any]] = {
    "point": {"family": "point"},
    "ffg": {"family": "ffg"},
    "ffg-forgets": {"family": "ffg", "recipe": {**DESCRIPTION["recipe"], "prior_power": 0.9}},
    "ffg-numbers": {"family": "ffg", "output": {"kind": "gaussian", "dims": 1}},
    **{family: {"family": family, **CONVOLUTIONS} for family in ("cfg", "mnf", "mnf-filter", "mnf-rank1")},
}
ON_WEIGHTS = "on-weights"
ROWS, CHUNKS = 6, 2


@dataclass(frozen=True)
class Blob:
    """A stored file, and who reads it: `claim` is the update that does, `version` where it is a posterior's."""

    kind: Kind
    model: str
    digest: str
    claim: Claim
    version: int | None = None


@dataclass
class Installation:
    """Its blobs and how to ask for them."""

    house: House
    folder: Folder
    client: httpx.AsyncClient
    """Asks a service that keeps no version in memory between two requests."""
    drawing: httpx.AsyncClient
    """Asks one that has memory for nets to be drawn; it keeps those of a seed."""
    blobs: list[Blob] = field(default_factory=list)
    bodies: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What a prediction of each model is asked with."""
    weights: str = ""


@asynccontextmanager
async def installation(data_dir: Path, seed: int) -> AsyncIterator[Installation]:
    """Each model has learned two chunks, each of one batch."""
    forgetting = Settings(data_dir=data_dir, loaded_bytes_max=1, threads=1)
    engine = connect(forgetting.database)
    upgrade(engine)
    engine.dispose()
    drawing = Settings(data_dir=data_dir, threads=1)
    async with _service(forgetting) as (house, client), _service(drawing) as (_, drawer):
        assert isinstance(house.blobs, Folder)
        made = Installation(house, house.blobs, client, drawer)
        await _fill(made, np.random.default_rng(seed))
        yield made


@asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[tuple[House, httpx.AsyncClient]]:
    app = create_app(settings)
    house: House = app.state.house
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60.0) as client:
            yield house, client
    finally:
        house.close()


async def _fill(made: Installation, drawn: np.random.Generator) -> None:
    shapes = {"dense1.weight": (5, 3), "dense1.bias": (5,), "dense2.weight": (3, 5), "dense2.bias": (3,)}
    raw = safetensors.numpy.save({name: drawn.normal(size=shape).astype("f4") for name, shape in shapes.items()})
    answer = await made.client.post("/v1/blobs", content=raw, headers={"Content-Type": "application/octet-stream"})
    made.weights = answer.raise_for_status().json()["blob"]
    prior = {"prior": {"kind": "weights", "blob": made.weights, "sigmas": [0.1, 1.0]}}
    for name, stated in {**MODELS, ON_WEIGHTS: prior}.items():
        await _learn(made, DESCRIPTION | stated | {"name": name}, drawn)


async def _learn(made: Installation, description: dict[str, Any], drawn: np.random.Generator) -> None:
    name, client = description["name"], made.client
    (await client.post("/v1/models", json=description)).raise_for_status()
    claims = []
    for number in range(CHUNKS):
        inputs = drawn.normal(size=(ROWS, *description["input"]["shape"])).tolist()
        is_number = description["output"]["kind"] == "gaussian"
        labels = drawn.normal(size=(ROWS, 1)).tolist() if is_number else drawn.integers(0, 3, ROWS).tolist()
        headers = {"Idempotency-Key": str(number)}
        rows = {"inputs": inputs, "labels": labels}
        (await client.post(f"/v1/models/{name}/batches", json=rows, headers=headers)).raise_for_status()
        (await client.post(f"/v1/models/{name}/updates")).raise_for_status()
        claims.append(_absorb(made.house))
    made.bodies[name] = {"inputs": inputs[:2]}
    first, last = claims
    for claim in claims:
        made.blobs += [Blob("batch", name, digest, claim) for digest in claim.batch_digests]
    if name == ON_WEIGHTS:
        made.blobs.append(Blob("weights", name, made.weights, first))
    for row in made.house.history.versions(name, after=-1, limit=10):
        # A root is read as one where the recipe goes back to it, and as a prior everywhere else.
        is_root_of_last = row.number == 0 and bayes.Model.from_description(last.description).recipe.prior_power < 1
        claim = last if is_root_of_last else replace(last, prior=row.number, prior_digest=row.digest)
        made.blobs.append(Blob("posterior", name, row.digest, claim, row.number))


def _absorb(house: House) -> Claim:
    leases = Leases(house.engine, lease_seconds=600.0, attempts_max=1, retry_seconds=0.0)
    claim = leases.claim("benchmark")
    assert claim is not None
    absorbed = absorb(claim, house.blobs, device="cpu", missing_labels=[], progress=lambda _: None, check=lambda: None)
    leases.publish(claim, digest=absorbed.digest, kl_nats=absorbed.kl_nats, report=absorbed.report)
    return claim
