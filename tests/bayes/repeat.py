"""Prints the digests of two updates in a row, and of a prediction, after using the global generator."""

import hashlib
import sys

import torch

from bayes import Chunk, FamilyName, Model, absorb, predict, root


def digests(device: str = "cpu", family: FamilyName = "ffg") -> list[str]:
    """The digests of two versions and of an ensemble's probabilities, the same whenever they are computed."""
    layers = [
        {"kind": "conv", "filters": 4, "kernel": 3},
        {"kind": "maxpool", "size": 3, "stride": 2},
        {"kind": "relu"},
        {"kind": "flatten"},
    ]
    model = Model.from_description(
        {
            "net": {"kind": "layers", "layers": layers},
            "input": {"shape": [1, 12, 12], "dtype": "uint8"},
            "output": {"kind": "categorical", "classes": 3},
            "family": family,
            "recipe": {"epochs": 4, "batch_rows": 16},
        }
    )
    stream = torch.Generator().manual_seed(5)
    inputs = torch.randint(0, 256, (40, 1, 12, 12), generator=stream, dtype=torch.uint8)
    chunk = Chunk(inputs, torch.randint(0, 3, (40,), generator=stream))
    first, _ = absorb(root(model), chunk, model.recipe, device=device)
    second, _ = absorb(first, chunk, model.recipe, device=device)
    probabilities = predict(second, inputs, samples=3, seed=1, device=device).probabilities  # type: ignore[union-attr]
    return [first.digest, second.digest, hashlib.sha256(probabilities.numpy().tobytes()).hexdigest()]


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(int(sys.argv[1]))
    torch.randn(int(sys.argv[1]))
    sys.stdout.write("\n".join(digests()))
