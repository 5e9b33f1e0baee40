"""The data sets of the paper, as tensors."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.datasets import CIFAR10, ImageFolder
from torchvision.transforms import PILToTensor

from benchmarks import mnist

DatasetName = Literal["mnist", "cifar10"]

CIFAR10_ARCHIVE = "cifar10-jpeg.tar.xz"
CIFAR10_FOLDER = "cifar-10-batches-py"
VALIDATION_ROWS: dict[DatasetName, int] = {"mnist": 10_000, "cifar10": 5_000}
"""The last rows of the training set, on which recipes are chosen; no part of a line that does so has any of them."""


class Rows(NamedTuple):
    """Images, uint8 [rows, channels, height, width], and the class that each one shows, int64 [rows]."""

    images: Tensor
    labels: Tensor

    def at(self, index: Tensor | slice) -> Rows:
        return Rows(self.images[index], self.labels[index])


@dataclass(frozen=True)
class Dataset:
    """Rows to train on and rows to test on; `source` says which copy of the data set they are."""

    name: DatasetName
    source: str
    train: Rows
    test: Rows


def cache_folder() -> Path:
    """Where what can be made again is kept: posterity/ in XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "posterity"


def read(name: DatasetName, root: Path, *, announce: Callable[[str], object] = lambda _: None) -> Dataset:
    """The data set under `root`; torchvision downloads it to there if it is absent.

    CIFAR-10 is read once and then kept in the cache folder. Where root has its original and a JPEG copy, the original
    counts.
    """
    match name:
        case "mnist":
            train, test = (Rows(*mnist.read(root, train=is_train)) for is_train in (True, False))
            return Dataset(name, "MNIST, the original files", train, test)
        case "cifar10":
            is_jpeg = (root / CIFAR10_ARCHIVE).exists() and not (root / CIFAR10_FOLDER).exists()
            folder = cache_folder() / ("cifar10-jpeg" if is_jpeg else "cifar10")
            if not folder.exists():
                announce(f"CIFAR-10 is read from {root}, once, and kept in {folder}.")
                _keep(folder, _cifar10_jpeg(root / CIFAR10_ARCHIVE) if is_jpeg else _cifar10(root))
            source = "CIFAR-10, a copy that went through JPEG once" if is_jpeg else "CIFAR-10, the original files"
            return Dataset(name, source, _kept(folder, "train"), _kept(folder, "test"))
        case _:
            assert_never(name)


def _cifar10(root: Path) -> Iterator[tuple[str, Rows]]:
    for part in ("train", "test"):
        known = CIFAR10(str(root), train=part == "train", download=True)
        yield part, Rows(torch.from_numpy(known.data).permute(0, 3, 1, 2), torch.tensor(known.targets))


def _cifar10_jpeg(archive: Path) -> Iterator[tuple[str, Rows]]:
    """Its two parts, each shuffled, as the archive has one class after another."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive, "r:xz") as tar:
            tar.extractall(folder, filter="data")
        for part in ("train", "test"):
            known = ImageFolder(str(Path(folder) / part), PILToTensor())
            images = torch.stack([image for image, _ in known])
            order = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))
            yield part, Rows(images, torch.tensor(known.targets)).at(order)


def _keep(folder: Path, parts: Iterator[tuple[str, Rows]]) -> None:
    """The folder holds the parts as .npy files, all or none of them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent))
    for part, rows in parts:
        np.save(partial / f"{part}-images.npy", rows.images.contiguous().numpy())
        np.save(partial / f"{part}-labels.npy", rows.labels.numpy())
    try:
        partial.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        shutil.rmtree(partial)


def _kept(folder: Path, part: str) -> Rows:
    # Copy on write: read when it is used, shared between processes, and no tensor of memory that cannot be written.
    arrays: list[NDArray[np.generic]] = [
        np.load(folder / f"{part}-{name}.npy", mmap_mode="c") for name in ("images", "labels")
    ]
    return Rows(*(torch.from_numpy(array) for array in arrays))
