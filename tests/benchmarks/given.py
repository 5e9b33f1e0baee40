"""Data sets as small as the readers take them, lines that take a second, and results without any."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from benchmarks.paper.images import CIFAR10_ARCHIVE, Dataset, Rows
from benchmarks.paper.lines import Line, Part, Result

TRAIN_ROWS, TEST_ROWS = 400, 60
IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

LINE = Line(
    dataset="mnist",
    parts=2,
    part_rows=20,
    family="ffg",
    recipe={"epochs": 2, "batch_rows": 10, "beta": 0.01},
    seed=1,
    curve_rows=30,
    curve_draws=2,
    final_draws=3,
)


def rows(count: int, shape: tuple[int, ...] = (1, 28, 28), seed: int = 0) -> Rows:
    """Rows that differ from each other, of ten classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    return Rows(images, torch.arange(count) % 10)


def dataset() -> Dataset:
    return Dataset("mnist", "made up", rows(10_000 + TRAIN_ROWS, (1, 2, 2)), rows(TEST_ROWS, (1, 2, 2), seed=1))


def mnist(root: Path) -> Path:
    """A root with the four files of MNIST, of a few rows."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for (images, labels), made in zip(IDX.values(), (rows(TRAIN_ROWS), rows(TEST_ROWS, seed=1)), strict=True):
        (folder / images).write_bytes(_idx(made.images.squeeze(1)))
        (folder / labels).write_bytes(_idx(made.labels.to(torch.uint8)))
    return root


def cifar10_archive(root: Path) -> Rows:
    """A root with the archive of JPEG files; returns the training rows in its order, class after class."""
    names = ("airplane", "bird", "cat")
    made = torch.stack(
        [torch.full((3, 32, 32), 80 * place + 10 * i, dtype=torch.uint8) for place in range(3) for i in (0, 1)]
    )
    with tarfile.open(root / CIFAR10_ARCHIVE, "w:xz") as tar:
        for part in ("train", "test"):
            for index, image in enumerate(made):
                file = root / f"{part}-{index}.jpg"
                to_pil_image(image).save(file, quality=100)
                tar.add(file, f"{part}/{names[index // 2]}/{index:04}.jpg")
    return Rows(made, torch.arange(6) // 2)


def result(line: Line, accuracy: float, *, nll: float = 0.5) -> Result:
    """The result of a line of which each part came to the same scores."""
    scores = {route: {"accuracy": accuracy, "nll": nll, "ece": 0.01, "brier": 0.1} for route in ("ensemble", "mean")}
    part = Part(scores, scores if line.drifts else None, None, [])
    surroundings = {"commit": "c", "machine": "m", "torch": "t", "processor": "p", "threads": 1}
    return Result(line, "made up", "cpu", {}, [part] * line.parts, scores, 100, 4.0, 2.0, surroundings)


def seeds(line: Line, *accuracies: float) -> list[Result]:
    """One result of the line for each accuracy, with the seeds 1, 2, …"""
    return [result(replace(line, seed=seed), accuracy) for seed, accuracy in enumerate(accuracies, start=1)]


def _idx(values: Tensor) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.dim()]) + sizes + bytes(values.contiguous().numpy())
