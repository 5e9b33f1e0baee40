"""Givens of the worker's tests: a small real model, and batches of two separable classes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import safetensors.torch
import torch

import bayes
from store.blobs import Blobs
from store.ledger import Ledger

DESCRIPTION: dict[str, Any] = {
    "name": "moons",
    "net": {"kind": "mlp", "hidden": [8]},
    "input": {"shape": [2], "dtype": "float32"},
    "output": {"kind": "categorical", "classes": 2},
    "recipe": {"epochs": 3, "batch_rows": 10},
    "chunk": {"rows": 40, "seconds": None},
}


def a_model(ledger: Ledger, blobs: Blobs, **changes: object) -> bayes.Model:
    description = DESCRIPTION | changes
    model = bayes.Model.from_description(description)
    stored = model.to_description() | {key: description[key] for key in ("name", "chunk")}
    ledger.create_model(str(description["name"]), stored, blobs.put(bayes.root(model).to_bytes()))
    return model


def rows(count: int, seed: int, *, classes: tuple[int, ...] = (0, 1)) -> dict[str, torch.Tensor]:
    """Rows around (-1, -1) for class 0 and (1, 1) for class 1."""
    noise = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    y = torch.tensor([classes[row % len(classes)] for row in range(count)])
    return {"x": noise * 0.3 + (2.0 * y.unsqueeze(1) - 1.0), "y": y}


def accept(
    ledger: Ledger, blobs: Blobs, key: str, batch: dict[str, torch.Tensor], *, labels: dict[str, int] | None = None
) -> None:
    """The batch is accepted; `labels` counts its classes, where they are not to be counted here."""
    counted = Counter(map(str, batch["y"].tolist())) if labels is None else labels
    ledger.accept(
        "moons",
        key=key,
        digest=blobs.put(safetensors.torch.save(batch)),
        rows=len(batch["y"]),
        label_counts=dict(counted),
    )
