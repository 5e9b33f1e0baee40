"""`python -m tests.bayes.kept_files`: a small posterior of each family in the present format, written to be kept.

A released format stays readable: its files are never written anew, a new format gets files of its own beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import bayes
from bayes.posterior import FORMAT

FOLDER = Path(__file__).parent / "files"
FAMILIES = ("point", "ffg", "cfg", "mnf")


def model_of(family: str) -> bayes.Model:
    return bayes.Model.from_description(
        {
            "net": {
                "kind": "layers",
                "layers": [{"kind": "conv", "filters": 2, "kernel": 3}, {"kind": "relu"}, {"kind": "flatten"}],
            },
            "input": {"shape": [1, 4, 4], "dtype": "uint8", "mean": 3.0, "std": [2.5]},
            "output": {"kind": "categorical", "classes": ["cat", "dog", "owl"]},
            "family": family,
            "recipe": {"epochs": 2, "batch_rows": 6, "seed": 5},
            "chunk": {"rows": 12, "seconds": None},
        }
    )


def posterior_of(family: str) -> bayes.Posterior:
    """The posterior of twelve random images after the root; it has learned from one chunk."""
    stream = torch.Generator().manual_seed(11)
    images = torch.randint(0, 17, (12, 1, 4, 4), generator=stream, dtype=torch.uint8)
    labels = torch.randint(0, 3, (12,), generator=stream)
    model = model_of(family)
    posterior, _ = bayes.absorb(bayes.root(model), bayes.Chunk(inputs=images, labels=labels), model.recipe)
    return posterior


def file_of(family: str, number: int = FORMAT) -> Path:
    return FOLDER / f"posterior-{number}-{family}.safetensors"


def main() -> int:
    for family in FAMILIES:
        path = file_of(family)
        if path.exists():
            sys.stdout.write(f"{path.name} is there, and stays as it is\n")
            continue
        path.write_bytes(posterior_of(family).to_bytes())
        sys.stdout.write(f"{path.name}: {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
