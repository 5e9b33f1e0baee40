"""Models that are there before the hostile calls come, each with a version, and rows that fit them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx

Json = dict[str, Any]

ONCE: Json = {"recipe": {"epochs": 1, "steps_least": 0}, "chunk": {"rows": 1000, "seconds": 5.0}}
CLASSES: Json = {"kind": "categorical", "classes": ["low", "high"]}
PIXELS: Json = {"b64": "AAECAwQFBgc=", "dtype": "uint8", "shape": [2, 1, 2, 2]}

MODELS: Mapping[str, Json] = {
    # As the document's example, so that its other examples find their model.
    "pairs": {"net": {"kind": "mlp", "hidden": [8]}, "input": {"shape": [2]}, "output": CLASSES},
    "named": ONCE | {"net": {"kind": "mlp", "hidden": [3]}, "input": {"shape": [2]}, "output": CLASSES},
    "numbers": ONCE
    | {
        "net": {"kind": "mlp", "hidden": [3]},
        "input": {"shape": [2]},
        "output": {"kind": "gaussian", "dims": 1, "noise": 0.5},
    },
    "pixels": ONCE
    | {"net": {"kind": "mlp", "hidden": [3]}, "input": {"shape": [1, 2, 2], "dtype": "uint8"}, "output": CLASSES},
}

PAIRS: tuple[Json, ...] = (
    {"inputs": [[0.5, -1.0], [2.0, 0.25]], "labels": [0, 1]},
    {"inputs": [[1e15, -0.0]], "labels": [1], "weights": [1e6]},
    {"inputs": {"b64": "AACAPwAAAEA=", "dtype": "float32", "shape": [1, 2]}, "labels": ["high"]},
)
ROWS: Mapping[str, tuple[Json, ...]] = {
    "pairs": PAIRS,
    "named": PAIRS,
    "numbers": ({"inputs": [[0.5, -1.0]], "labels": [0.25]}, {"inputs": [[1, 2], [3, 4]], "labels": [[-1e15], [0]]}),
    "pixels": ({"inputs": [[[[0, 255], [1, 2]]]], "labels": [1]}, {"inputs": PIXELS, "labels": ["low", "high"]}),
}
"""Bodies that the models take."""

SECONDS_MAX = 240.0
POLL_SECONDS = 0.05


def prepare(client: httpx.Client) -> None:
    """The models are there, and the worker has published a version of each."""
    for name, description in MODELS.items():
        client.post("/v1/models", json={"name": name} | description).raise_for_status()
        for number, rows in enumerate(ROWS[name]):
            key = {"Idempotency-Key": f"prepared-{number}"}
            client.post(f"/v1/models/{name}/batches", json=rows, headers=key).raise_for_status()
        client.post(f"/v1/models/{name}/updates").raise_for_status()
    deadline = time.monotonic() + SECONDS_MAX
    for name in MODELS:
        while client.get(f"/v1/models/{name}").json()["versions"] == 0:
            assert time.monotonic() < deadline, f"no worker published a version of {name}"
            time.sleep(POLL_SECONDS)
