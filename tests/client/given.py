"""A small model, and rows for it that a few steps can learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHUNK_ROWS = 10


def description(name: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "net": {"kind": "mlp", "hidden": [4]},
        "input": {"shape": [2], "dtype": "float32"},
        "output": {"kind": "categorical", "classes": ["left", "right"]},
        "recipe": {"epochs": 5},
        "chunk": {"rows": CHUNK_ROWS, "seconds": None},
        **more,
    }


def rows(count: int, *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points left and right of zero; equal numbers give equal rows."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, 2)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


def empty_config(directory: Path) -> Path:
    """A configuration file that sets nothing, so that none from elsewhere counts."""
    path = directory / "none.toml"
    path.touch()
    return path
