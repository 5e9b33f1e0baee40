"""Real labeled rows for the demo: scikit-learn's handwritten digits, or MNIST from its IDX files."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from client.errors import ClientProblem

Images = NDArray[np.uint8]  # [rows, 1, height, width]
Labels = NDArray[np.int64]  # [rows]

BATCHES = 10
DIGITS_HELD_OUT = 357
MNIST_BATCH_ROWS = 500
IDX_NAMES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
SMALL_CONVOLUTION = {
    "kind": "layers",
    "layers": [
        {"kind": "conv", "filters": 16, "kernel": 3},
        {"kind": "relu"},
        {"kind": "maxpool", "size": 2, "stride": 2},
        {"kind": "flatten"},
        {"kind": "dense", "units": 64},
        {"kind": "relu"},
    ],
}
DOWNLOAD = "import sys, torchvision; torchvision.datasets.MNIST(sys.argv[1], download=True)"


class DatasetName(StrEnum):
    DIGITS = "digits"
    MNIST = "mnist"


class DataUnavailable(ClientProblem):
    """The data set is neither where it was said to be nor can it be fetched."""


@dataclass(frozen=True)
class LabeledImages:
    """Images with the digit each one shows."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, rows: int) -> "LabeledImages":
        return LabeledImages(self.images[:rows], self.labels[:rows])


@dataclass(frozen=True)
class Dataset:
    """Batches to post, in order, and rows that are never posted."""

    name: DatasetName
    source: str
    net: dict[str, Any]
    pixel_max: int
    batches: tuple[LabeledImages, ...]
    held_out: LabeledImages
    accuracy_due: float

    @property
    def batch_rows(self) -> int:
        return len(self.batches[0])

    def description(self, name: str) -> dict[str, Any]:
        """The model to create for these rows; what it leaves out, the service resolves."""
        return {
            "name": name,
            "net": self.net,
            "input": {"shape": list(self.held_out.images.shape[1:]), "dtype": "uint8", "std": float(self.pixel_max)},
            "output": {"kind": "categorical", "classes": 10},
            "family": "ffg",
            "chunk": {"rows": self.batch_rows, "seconds": None},
        }

    def noise(self, rows: int, generator: np.random.Generator) -> Images:
        """Images that show no digit: every pixel uniform over the range of the real ones."""
        shape = (rows, *self.held_out.images.shape[1:])
        return generator.integers(0, self.pixel_max, shape, dtype=np.uint8, endpoint=True)


def load_dataset(
    name: DatasetName, root: Path, generator: np.random.Generator, *, announce: Callable[[str], object]
) -> Dataset:
    """The data set, shuffled by the generator; MNIST is looked for under `root`, and fetched when absent.

    Raises:
        DataUnavailable: MNIST is not there and could not be fetched.
    """
    match name:
        case DatasetName.DIGITS:
            return _digits(generator)
        case DatasetName.MNIST:
            return _mnist(root, generator, announce)
        case _:
            assert_never(name)


def _digits(generator: np.random.Generator) -> Dataset:
    bunch = load_digits()
    order = generator.permutation(len(bunch.target))
    images = bunch.images.astype(np.uint8)[order][:, np.newaxis]
    labels = bunch.target.astype(np.int64)[order]
    return Dataset(
        name=DatasetName.DIGITS,
        source="scikit-learn's handwritten digits, 8x8 pixels",
        net=SMALL_CONVOLUTION,
        pixel_max=16,
        batches=_split(images[DIGITS_HELD_OUT:], labels[DIGITS_HELD_OUT:]),
        held_out=LabeledImages(images[:DIGITS_HELD_OUT], labels[:DIGITS_HELD_OUT]),
        accuracy_due=0.95,
    )


def _mnist(root: Path, generator: np.random.Generator, announce: Callable[[str], object]) -> Dataset:
    folder = root / "MNIST" / "raw"
    if not all((folder / f"{name}-ubyte").exists() for name in IDX_NAMES):
        announce(f"MNIST is not in {folder}; torchvision fetches it now.")
        _download(root)
    images, labels, held_out, held_out_labels = (read_idx(folder / f"{name}-ubyte") for name in IDX_NAMES)
    chosen = generator.permutation(len(labels))[: BATCHES * MNIST_BATCH_ROWS]
    return Dataset(
        name=DatasetName.MNIST,
        source="MNIST, 28x28 pixels",
        net={"kind": "lenet5"},
        pixel_max=255,
        batches=_split(images[chosen][:, np.newaxis], labels[chosen].astype(np.int64)),
        held_out=LabeledImages(held_out[:, np.newaxis], held_out_labels.astype(np.int64)),
        accuracy_due=0.965,
    )


def read_idx(path: Path) -> Images:
    """The unsigned bytes of an IDX file, in the shape its header states.

    Raises:
        DataUnavailable: the file is none, or is cut short.

    Source: LeCun, Cortes, Burges, *The MNIST database*: magic 0x00000800 + axes, big-endian sizes, data.
    """
    content = path.read_bytes()
    axes = content[3] if content[:3] == b"\x00\x00\x08" else 0
    shape = tuple(int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes))
    if not axes or len(content) != 4 + 4 * axes + prod(shape):
        raise DataUnavailable(f"{path} is no whole IDX file of bytes; remove it, and it is fetched again.")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _split(images: Images, labels: Labels) -> tuple[LabeledImages, ...]:
    """Batches of equal rows."""
    parts = zip(np.split(images, BATCHES), np.split(labels, BATCHES), strict=True)
    return tuple(LabeledImages(*part) for part in parts)


def _download(root: Path) -> None:
    """MNIST lies under root; torchvision fetches it in a process of its own, so that torch stays out of this one."""
    command = [sys.executable, "-c", DOWNLOAD, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell reads it.
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataUnavailable(
            f"MNIST is not in {root / 'MNIST' / 'raw'}, and torchvision could not fetch it: {reason}. "
            "Set DATA to a folder that has it, or leave DATASET unset for the digits that need no download."
        )
