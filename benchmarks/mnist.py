"""MNIST as tensors, and the rows of it that a stream of chunks takes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.datasets import MNIST

DESCRIPTION: dict[str, object] = {
    "net": {"kind": "lenet5"},
    "input": {"shape": [1, 28, 28], "dtype": "uint8"},
    "output": {"kind": "categorical", "classes": 10},
}
PIXEL_MAX = 255.0


class Rows(NamedTuple):
    """Images, uint8 [rows, 1, 28, 28], and the digit each one shows, int64 [rows]."""

    images: Tensor
    labels: Tensor

    def at(self, index: Tensor) -> Rows:
        return Rows(self.images[index], self.labels[index])


def read(root: Path, *, train: bool) -> Rows:
    """The 60,000 rows to train on or the 10,000 to test on, from `root`; torchvision downloads them if absent."""
    known = MNIST(str(root), train=train, download=True)
    return Rows(known.data.unsqueeze(1), known.targets)


def stream(rows: Rows, seed: int, *, chunks: int, chunk_rows: int) -> tuple[list[Rows], Rows]:
    """So many chunks of rows drawn uniformly without replacement, and the rows left over, in random order.

    The same seed gives the same rows.
    """
    order = torch.randperm(len(rows.labels), generator=torch.Generator().manual_seed(seed))
    taken, left = order[: chunks * chunk_rows], order[chunks * chunk_rows :]
    return [rows.at(index) for index in torch.split(taken, chunk_rows)], rows.at(left)
