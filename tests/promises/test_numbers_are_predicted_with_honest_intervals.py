"""Regression from end to end: diabetes progression over HTTP, chunk by chunk, with the recipe that is chosen for it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV

from client import Client, Prediction
from tests.promises.house import House, connected

ROWS, CHUNK_ROWS = 320, 80
Floats = NDArray[np.float64]


def split(seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """320 rows of ten features with their labels, and the 122 held out with theirs."""
    x, y = load_diabetes(return_X_y=True, scaled=False)
    order = np.random.default_rng(seed).permutation(len(x))
    learned, held_out = order[:ROWS], order[ROWS:]
    return x[learned], y[learned], x[held_out], y[held_out]


def rmse(predicted: Floats, y: Floats) -> float:
    return float(np.sqrt(np.square(predicted - y).mean()))


def covered(answer: Prediction, y: Floats) -> float:
    return float(((answer.lower[:, 0] <= y) & (y <= answer.upper[:, 0])).mean())


def learn(client: Client, name: str, x: Floats, y: Floats) -> None:
    """A model of these numbers has absorbed them in chunks of 80."""
    client.create_model(
        {
            "name": name,
            "net": {"kind": "mlp", "hidden": [32]},
            "input": {"shape": [10], "mean": x.mean(0).tolist(), "std": x.std(0).tolist()},
            "output": {"kind": "gaussian"},
            "recipe": "auto",
            "chunk": {"rows": CHUNK_ROWS, "seconds": None},
        }
    )
    for at in range(0, ROWS, CHUNK_ROWS):
        batch = client.ingest(name, x[at : at + CHUNK_ROWS], y[at : at + CHUNK_ROWS])
        client.wait(name, batch=batch.batch, timeout_seconds=60)


def test_intervals_cover_the_held_out_rows_they_say_and_means_are_as_near_as_ridge_regression_s(
    embedded: House,
) -> None:
    _, url = embedded.serve()
    coverages, off, ridge_off, mean_off = [], [], [], []

    with connected(url) as client:
        for seed in (0, 1, 2):
            x, y, x_held_out, y_held_out = split(seed)
            learn(client, f"diabetes-{seed}", x, y)
            answer = client.predict(f"diabetes-{seed}", x_held_out, samples=64)
            assert answer.version == ROWS // CHUNK_ROWS
            coverages.append(covered(answer, y_held_out))
            off.append(rmse(answer.mean[:, 0], y_held_out))
            ridge = RidgeCV(np.logspace(-2, 3, 11)).fit((x - x.mean(0)) / x.std(0), y)
            ridge_off.append(rmse(ridge.predict((x_held_out - x.mean(0)) / x.std(0)), y_held_out))
            mean_off.append(rmse(np.full_like(y_held_out, y.mean()), y_held_out))

    assert np.mean(coverages) == pytest.approx(0.9, abs=0.05), coverages
    assert np.mean(off) < 0.85 * np.mean(mean_off), off
    assert np.mean(off) < 1.07 * np.mean(ridge_off), (off, ridge_off)
