"""How long until a rollback is seen: `python -m benchmarks.rollback` writes results/rollback.json.

One service on SQLite with two versions of the digits model. Each round moves head from version 2 to version 1 by a
rollback and asks for a prediction at once, then moves head back. Every answer must come from the version that head
was moved to: the first prediction after the call is the first that could see it.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from benchmarks import record
from client.client import Client
from client.demo.process import running_service

ROUNDS = 200
SEED = 0
DESCRIPTION: dict[str, Any] = {
    "name": "digits",
    "net": {"kind": "mlp", "hidden": [64]},
    "input": {"shape": [64], "dtype": "uint8", "std": 16.0},
    "output": {"kind": "categorical", "classes": 10},
    "chunk": {"rows": 200, "seconds": None},
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"POSTERITY_DATA_DIR": folder, "POSTERITY_THREADS": "1"}
        with running_service(environment, log=Path(folder) / "service.log") as url, Client(url) as client:
            seconds = measure(client)
    result = {
        "what": "milliseconds over HTTP on loopback, embedded SQLite, one client",
        "rounds": ROUNDS,
        "seed": SEED,
        **{name: spread(values) for name, values in seconds.items()},
        **record.surroundings(),
    }
    record.write("rollback", result)
    print(json.dumps(result, indent=2))


def measure(client: Client) -> dict[str, list[float]]:
    """Seconds of each round: the rollback's call, that and the prediction after it, and a prediction alone."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(images))
    images, labels = images[order].astype(np.uint8), labels[order].astype(np.int64)
    client.create_model(DESCRIPTION)
    for rows in (slice(0, 200), slice(200, 400)):
        client.ingest("digits", images[rows], labels[rows])
    client.settle("digits")
    row = images[400:401]
    for earlier in (1, 2):
        client.predict("digits", row, version=earlier)
    seconds: dict[str, list[float]] = {"rollback": [], "rollback_and_prediction": [], "prediction": []}
    for _ in range(ROUNDS):
        began = time.perf_counter()
        client.rollback("digits", to=1)
        moved = time.perf_counter()
        seen = client.predict("digits", row)
        answered = time.perf_counter()
        assert seen.version == 1
        client.set_alias("digits", "head", 2)
        again = time.perf_counter()
        assert client.predict("digits", row).version == 2
        seconds["prediction"].append(time.perf_counter() - again)
        seconds["rollback"].append(moved - began)
        seconds["rollback_and_prediction"].append(answered - began)
    return seconds


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 5th and 95th percentile and maximum, in milliseconds."""
    cuts = quantiles(seconds, n=20)
    found = {"median": median(seconds), "p5": cuts[0], "p95": cuts[-1], "max": max(seconds)}
    return {f"{name}_ms": round(1000 * value, 2) for name, value in found.items()}


if __name__ == "__main__":
    main()
