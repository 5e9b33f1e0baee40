"""The three sets of experiments: the laptop's, that of a large machine, and a quick look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from benchmarks.paper.lines import Line
from benchmarks.paper.sizes import Drift, Parts, Pretrained, Sweep

SetName = Literal["quick", "laptop", "full"]
Kind = Literal["parts", "sweep", "drift"]
"""What its table and its plot are about: scores part by part, the final ones by beta, or a world that changes."""

SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Row:
    """A row of an experiment's table: one line for each seed."""

    label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Experiment:
    """One table and its plot; `name` is that of its place in docs/paper.md."""

    name: str
    kind: Kind
    title: str
    rows: tuple[Row, ...]

    @property
    def lines(self) -> Iterator[Line]:
        return (line for row in self.rows for line in row.lines)

    def row(self, label: str) -> Row:
        """The row of this label."""
        return next(row for row in self.rows if row.label == label)


MNIST_500 = Parts("MNIST, LeNet-5", "mnist", 10, 500, epochs=15, batch_rows=50, beta=0.01)
MNIST_6000 = Parts("MNIST, LeNet-5", "mnist", 10, 6_000, epochs=4, batch_rows=100, beta=0.03)
CIFAR10_1000 = Parts("CIFAR-10, 3Conv3FC", "cifar10", 10, 1_000, epochs=10, batch_rows=50, beta=0.001)
CIFAR10_5000 = Parts("CIFAR-10, 3Conv3FC", "cifar10", 10, 5_000, epochs=10, batch_rows=50, beta=0.005)

MNIST_NEW = Pretrained(
    replace(MNIST_500, parts=5, part_rows=100, batch_rows=25, beta=0.002), old_rows=8_000, old_epochs=3
)
CIFAR10_NEW = Pretrained(replace(CIFAR10_1000, parts=5, part_rows=500, beta=0.01), old_rows=5_000, old_epochs=10)
CIFAR10_NEW_FULL = Pretrained(replace(CIFAR10_5000, parts=5), old_rows=25_000, old_epochs=15)

ALL_METHODS = ("point", "ffg", "cfg", "mnf", "mnf-filter", "ivon", "joint point", "joint ffg")


def experiments(name: SetName) -> tuple[Experiment, ...]:
    """The experiments of the set, in the order of the page."""
    match name:
        case "quick":
            return _quick()
        case "laptop":
            return _laptop()
        case "full":
            return _full()
        case _:
            assert_never(name)


def _laptop() -> tuple[Experiment, ...]:
    mnist_500, mnist_6000 = (replace(size, final_draws=16, curve_rows=600) for size in (MNIST_500, MNIST_6000))
    cifar10 = replace(
        CIFAR10_1000, part_rows=500, epochs=15, beta=0.003, final_rows=5_000, final_draws=16, curve_rows=300
    )
    drift = Drift(replace(mnist_500, part_rows=300, final_rows=2_000), powers=(1.0, 0.9, 0.7))
    methods = ("point", "ffg", "ivon", "joint point", "joint ffg", "cfg", "mnf")
    return (
        parts("mnist-500", mnist_500, methods),
        parts("mnist-6000", mnist_6000, methods, once=("joint ffg",)),
        parts("cifar10", cifar10, ("point", "ffg", "joint point", "joint ffg"), once=("joint ffg",)),
        pretrained("mnist-new", replace(MNIST_NEW, of=replace(MNIST_NEW.of, final_draws=16, curve_rows=600))),
        sweep("mnist-500-beta", Sweep(mnist_500, others=(0.001, 0.1, 1.0)), seeds=(1,)),
        sweep("mnist-6000-beta", Sweep(mnist_6000, others=(1.0,)), seeds=(1,)),
        sweep("cifar10-beta", Sweep(cifar10, others=(0.001, 0.01, 1.0)), seeds=(1,)),
        drift_of("rotation", drift, seeds=(1,)),
        drift_of("relabeling", drift, seeds=(1,)),
    )


def _full() -> tuple[Experiment, ...]:
    methods = (*ALL_METHODS, "mnf-rank1")
    betas = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    return (
        parts("mnist-500", MNIST_500, methods),
        parts("mnist-6000", MNIST_6000, methods),
        parts("cifar10", CIFAR10_5000, methods),
        pretrained("mnist-new", MNIST_NEW),
        pretrained("cifar10-new", CIFAR10_NEW_FULL),
        sweep("mnist-500-beta", Sweep(MNIST_500, betas)),
        sweep("mnist-6000-beta", Sweep(MNIST_6000, betas)),
        sweep("cifar10-beta", Sweep(CIFAR10_5000, betas)),
        drift_of("rotation", Drift(MNIST_500)),
        drift_of("relabeling", Drift(MNIST_500)),
    )


def _quick() -> tuple[Experiment, ...]:
    mnist = replace(MNIST_500, parts=5, part_rows=200, final_rows=1_000, final_draws=8, curve_rows=500)
    cifar10 = replace(CIFAR10_1000, parts=3, part_rows=200, epochs=5, final_rows=500, final_draws=8, curve_rows=200)
    new = replace(MNIST_NEW.of, parts=3, final_rows=1_000, final_draws=8, curve_rows=500)
    return (
        parts("mnist-500", mnist, ("point", "ffg", "cfg", "mnf", "ivon", "joint point"), seeds=(1,)),
        parts("cifar10", cifar10, ("point", "ffg", "joint point"), seeds=(1,)),
        pretrained("mnist-new", Pretrained(new, old_rows=2_000, old_epochs=2), seeds=(1,)),
        sweep("mnist-500-beta", Sweep(mnist, others=(1.0,)), seeds=(1,)),
        drift_of("relabeling", Drift(mnist, powers=(1.0, 0.7)), seeds=(1,)),
    )


def parts(
    name: str, size: Parts, methods: tuple[str, ...], *, seeds: tuple[int, ...] = SEEDS, once: tuple[str, ...] = ()
) -> Experiment:
    """Parts one after another, and all rows at once as the bound; of the methods in `once`, the first seed only."""
    rows = (Row(m, tuple(size.line(m, seed) for seed in (seeds[:1] if m in once else seeds))) for m in methods)
    return Experiment(name, "parts", f"{size.title}: {size.stated}", tuple(rows))


def pretrained(name: str, size: Pretrained, *, seeds: tuple[int, ...] = SEEDS) -> Experiment:
    """The classes that w* has not seen, part by part, from priors around w* and without."""
    rows = (Row(label, tuple(size.line(label, seed) for seed in seeds)) for label in size.labels)
    title = f"{size.of.title}: 5 new classes, {size.of.stated}; w* of {size.old_rows:,} rows of the 5 others"
    return Experiment(name, "parts", title, tuple(rows))


def sweep(name: str, size: Sweep, *, seeds: tuple[int, ...] = SEEDS) -> Experiment:
    """The family ffg with each beta."""
    rows = (Row(f"{beta:g}", tuple(size.line(beta, seed) for seed in seeds)) for beta in size.betas)
    return Experiment(name, "sweep", f"{size.of.title}: ffg by beta, {size.of.stated}", tuple(rows))


def drift_of(name: Literal["rotation", "relabeling"], size: Drift, *, seeds: tuple[int, ...] = SEEDS) -> Experiment:
    """A world that changes, and priors that forget."""
    rows = (Row(label, tuple(size.line(name, label, seed) for seed in seeds)) for label in size.labels)
    return Experiment(name, "drift", f"{size.of.title} under {name}: {size.of.stated}", tuple(rows))
