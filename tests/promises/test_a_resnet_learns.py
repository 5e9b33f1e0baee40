"""A model of torchvision goes all the way: created, taught and asked over HTTP, on a CPU."""

from __future__ import annotations

import numpy as np

from client.client import Client
from tests.promises.house import House, digits

RESNET = {
    "name": "resnet",
    "net": {"kind": "torchvision", "name": "resnet18"},
    "input": {"shape": [3, 32, 32], "dtype": "uint8", "mean": 78, "std": 90},
    "output": {"kind": "categorical", "classes": 10},
    "recipe": {"epochs": 2, "batch_rows": 16},
    "chunk": {"rows": 32, "seconds": None},
}


def large_digits(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The digits as images of 3 channels and 32 by 32 pixels, uint8 in 0 .. 240."""
    images, labels = digits()
    large = np.kron(images[:rows].reshape(-1, 1, 8, 8) * np.uint8(15), np.ones((1, 3, 4, 4), np.uint8))
    return large, labels[:rows]


def test_a_resnet18_is_created_absorbs_a_chunk_and_predicts(embedded: House) -> None:
    images, labels = large_digits(36)
    _, url = embedded.serve(workers=1)
    with Client(url) as client:
        client.create_model(RESNET)
        before = client.predict("resnet", images[32:], samples=2)

        client.ingest("resnet", images[:32], labels[:32])
        client.settle("resnet")

        after, again = (client.predict("resnet", images[32:], samples=2) for _ in range(2))
        report = client.version("resnet", 1).raw["report"]
    assert (before.version, after.version) == (0, 1)
    assert after.probabilities.shape == (4, 10)
    np.testing.assert_allclose(after.probabilities.sum(1), 1.0, rtol=1e-12)
    assert not np.array_equal(before.probabilities, after.probabilities)
    np.testing.assert_array_equal(after.probabilities, again.probabilities)
    assert (report["steps"], report["rows"], len(report["kl_nats"])) == (4, 32, 21)
