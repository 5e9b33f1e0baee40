"""Many versions in little time: rows posted, updates claimed and published as ever, and only the learning left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

import bayes
from benchmarks.live import digits
from client.client import Client
from store.blobs import open_blobs
from store.engine import connect
from store.leases import Leases
from store.settings import Settings

STRAYED = 0.01
"""Standard deviation of what is added to each mean, so that no two versions answer alike."""


def publish(client: Client, data_dir: Path, description: dict[str, Any], count: int, *, seed: int) -> None:
    """The model has versions 1 to `count`, each of one row; the client's service is that of the folder.

    The posterior of version 1 is absorbed; each further one is that with other means near by, written, claimed and
    published by the store's own classes, as a worker would.
    """
    shape = tuple(description["input"]["shape"])
    rows = np.random.default_rng(seed).integers(0, 256, (count, 1, *shape), dtype=np.uint8)
    posteriors = near(first(description, rows[0]), torch.Generator().manual_seed(seed))
    store = Settings(data_dir=data_dir)
    leases = Leases(connect(store.database), lease_seconds=600.0, attempts_max=1, retry_seconds=0.0)
    blobs = open_blobs(store)
    client.create_model({**description, "chunk": {"rows": 1, "seconds": None}})
    for row in track(rows, description=f"{count} versions"):
        client.ingest(description["name"], row, np.zeros(1, np.int64))
        claim = leases.claim("benchmark")
        assert claim is not None
        leases.publish(claim, digest=blobs.put(next(posteriors).to_bytes()), kl_nats=0.0, report={})
    leases.reading.dispose()


def first(description: dict[str, Any], row: digits.Bytes) -> bayes.Posterior:
    """What one step makes of one row."""
    fields = {name: value for name, value in description.items() if name != "name"}
    model = bayes.Model.from_description({**fields, "recipe": {"epochs": 1, "steps_least": 1}})
    posterior, _ = bayes.absorb(
        bayes.root(model), bayes.Chunk(torch.from_numpy(row), torch.zeros(1, dtype=torch.int64)), model.recipe
    )
    return posterior


def near(posterior: bayes.Posterior, generator: torch.Generator) -> Iterator[bayes.Posterior]:
    """The posterior, and then ever others like it."""
    yield posterior
    while True:
        moved = {
            name: tensor + STRAYED * torch.randn(tensor.shape, generator=generator) if name.endswith(".mu") else tensor
            for name, tensor in posterior.tensors.items()
        }
        yield replace(posterior, tensors=moved)
