"""A model of handwritten digits as large as MNIST's, learned through the product; nothing need be downloaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from benchmarks import mnist
from benchmarks.live.processes import service
from client.client import Client

NAME = "digits"
CHUNK_ROWS = 500
LENET: dict[str, Any] = {"name": NAME, **mnist.DESCRIPTION, "chunk": {"rows": CHUNK_ROWS, "seconds": None}}

Bytes = NDArray[np.uint8]


def rows(count: int, seed: int) -> tuple[Bytes, NDArray[np.int64]]:
    """Scikit-learn's digits, 8x8, enlarged to uint8 [rows, 1, 28, 28], in random order and again from the start."""
    images, labels = load_digits(return_X_y=True)
    order = np.resize(np.random.default_rng(seed).permutation(len(images)), count)
    small = (images[order].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    large = np.pad(small.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2)))
    return large[:, None], labels[order].astype(np.int64)


def bodies(images: Bytes) -> list[bytes]:
    """Each image as the JSON body of a prediction."""
    return [json.dumps({"inputs": [image.tolist()]}).encode() for image in images]


def learned(data_dir: Path, *, chunks: int, seed: int, **fields: object) -> None:
    """The folder has the model with so many versions, each of one more chunk; no service runs on it."""
    images, labels = rows(chunks * CHUNK_ROWS, seed)
    with service(data_dir, workers=1, threads=1, worker_nice=0) as server, Client(server.url) as client:
        client.create_model({**LENET, **fields})
        for part in parts(chunks):
            client.ingest(NAME, images[part], labels[part])
        client.settle(NAME)


def parts(chunks: int) -> Sequence[slice]:
    """The rows of each chunk."""
    return [slice(first, first + CHUNK_ROWS) for first in range(0, chunks * CHUNK_ROWS, CHUNK_ROWS)]
