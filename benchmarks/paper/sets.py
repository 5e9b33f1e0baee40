"""The experiments, and the lines of each: the laptop's, those of a large machine, and a quick look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from benchmarks.paper.images import VALIDATION_ROWS, DatasetName
from benchmarks.paper.lines import Line

SetName = Literal["quick", "laptop", "full"]
Recipe = Mapping[str, str | float]

TRAIN_ROWS: dict[DatasetName, int] = {"mnist": 60_000, "cifar10": 50_000}

ADAM: Recipe = {
    "optimizer": "adam",
    "lr": 1e-3,
    "lr_log_sigma": 2e-2,
    "lr_final": 0.02,
    "log_sigma_start": -5.0,
    "prior_power": 1.0,
}
"""What every line has unless it says otherwise: one learning-rate decay for all."""

METHODS: dict[str, tuple[str, Recipe]] = {
    "point": ("point", {}),
    "ffg": ("ffg", {}),
    "ivon": ("ffg", {"optimizer": "ivon"}),
    "joint point": ("point", {}),
    "joint ffg": ("ffg", {}),
}
"""Family and own part of the recipe, by the name in the tables."""


@dataclass(frozen=True)
class Row:
    """A row of an experiment's table: one line for each seed."""

    label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Experiment:
    """One table and its plot; `name` is that of its markers in docs/paper.md."""

    name: str
    title: str
    rows: tuple[Row, ...]

    @property
    def lines(self) -> Iterator[Line]:
        return (line for row in self.rows for line in row.lines)


@dataclass(frozen=True)
class Size:
    """How large the experiment without pretraining is made on one data set."""

    name: str
    title: str
    dataset: DatasetName
    parts: int
    part_rows: int
    epochs: int
    batch_rows: int
    beta: float
    final_rows: int = 10_000


MNIST_500 = Size("mnist-500", "MNIST, LeNet-5", "mnist", 10, 500, epochs=15, batch_rows=50, beta=0.01)
MNIST_6000 = Size("mnist-6000", "MNIST, LeNet-5", "mnist", 10, 6_000, epochs=2, batch_rows=100, beta=0.1)
CIFAR_1000 = Size(
    "cifar10", "CIFAR-10, 3Conv3FC", "cifar10", 10, 1_000, epochs=10, batch_rows=50, beta=0.02, final_rows=5_000
)
CIFAR_5000 = Size("cifar10", "CIFAR-10, 3Conv3FC", "cifar10", 10, 5_000, epochs=10, batch_rows=50, beta=0.1)


def experiments(name: SetName) -> tuple[Experiment, ...]:
    """The experiments of a set, in the order of the page."""
    seeds = (1,) if name == "quick" else (1, 2, 3)
    sizes: tuple[Size, ...]
    match name:
        case "quick":
            sizes = (
                replace(MNIST_500, parts=5, final_rows=2_000),
                replace(CIFAR_1000, parts=4, part_rows=250, epochs=5, final_rows=1_000),
            )
        case "laptop":
            sizes = (MNIST_500, MNIST_6000, CIFAR_1000)
        case "full":
            sizes = (MNIST_500, MNIST_6000, CIFAR_5000)
        case _:
            assert_never(name)
    return tuple(without_pretraining(size, METHODS, seeds) for size in sizes)


def without_pretraining(size: Size, methods: Mapping[str, tuple[str, Recipe]], seeds: tuple[int, ...]) -> Experiment:
    """Experiments (a) and (b): parts one after another, and all rows at once as the bound."""
    rows = tuple(Row(label, tuple(line(size, label, seed) for seed in seeds)) for label in methods)
    return Experiment(size.name, f"{size.title}, {size.parts} parts of {size.part_rows:,} rows", rows)


def line(size: Size, method: str, seed: int) -> Line:
    family, own = METHODS[method]
    is_joint = method.startswith("joint ")
    return Line(
        dataset=size.dataset,
        parts=1 if is_joint else size.parts,
        part_rows=size.parts * size.part_rows if is_joint else size.part_rows,
        family=family,
        recipe={**ADAM, "epochs": size.epochs, "batch_rows": size.batch_rows, "beta": size.beta, **own},
        seed=seed,
        final_rows=size.final_rows,
    )


def on_validation(one: Line) -> Line:
    """The line scored on rows of the training set, sooner and so a little less exactly than on the test set.

    Its parts have fewer rows where there are not enough others.
    """
    rows = (TRAIN_ROWS[one.dataset] - VALIDATION_ROWS[one.dataset]) // one.parts
    if one.stream == "new-classes":
        rows = one.part_rows
    return replace(one, held_out="validation", part_rows=min(one.part_rows, rows), final_rows=5_000, final_draws=16)
