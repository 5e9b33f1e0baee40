"""How large an experiment is made, and the lines that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks.paper.images import VALIDATION_ROWS, DatasetName
from benchmarks.paper.lines import Line
from benchmarks.paper.stream import StreamName

Recipe = Mapping[str, str | float]

TRAIN_ROWS: dict[DatasetName, int] = {"mnist": 60_000, "cifar10": 50_000}

SHARED: Recipe = {
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
    "cfg": ("cfg", {}),
    "mnf": ("mnf", {}),
    "mnf-filter": ("mnf-filter", {}),
    "mnf-rank1": ("mnf-rank1", {}),
    "ivon": ("ffg", {"optimizer": "ivon", "curvature_decay": 0.95, "lr": 2e-3}),
}
"""Family and own part of the recipe, by the name in the tables; "joint" before it is all rows at once."""


@dataclass(frozen=True)
class Parts:
    """Experiments (a) and (b) of the paper on one data set; rows and draws of the scores are those of a line."""

    title: str
    dataset: DatasetName
    parts: int
    part_rows: int
    epochs: int
    batch_rows: int
    beta: float
    final_rows: int = 10_000
    final_draws: int = 32
    curve_rows: int = 1_000

    @property
    def stated(self) -> str:
        return f"{self.parts} parts of {self.part_rows:,} rows, {self.epochs} passes over each"

    def line(self, method: str, seed: int) -> Line:
        is_joint = method.startswith("joint ")
        family, own = METHODS[method.removeprefix("joint ")]
        return Line(
            dataset=self.dataset,
            parts=1 if is_joint else self.parts,
            part_rows=self.parts * self.part_rows if is_joint else self.part_rows,
            family=family,
            recipe={**SHARED, "epochs": self.epochs, "batch_rows": self.batch_rows, "beta": self.beta, **own},
            seed=seed,
            final_rows=self.final_rows,
            final_draws=self.final_draws,
            curve_rows=self.curve_rows,
        )


@dataclass(frozen=True)
class Pretrained:
    """Experiment (c): classes that w* has not seen, from weights learned on the others."""

    of: Parts
    old_rows: int
    old_epochs: int
    old_batch_rows: int = 600
    sigmas: tuple[float, ...] = (0.01, 0.03, 0.1)

    @property
    def labels(self) -> tuple[str, ...]:
        around = (*(f"ffg, sigma {sigma:g}" for sigma in self.sigmas), "ffg, grid", "ffg, Laplace")
        return "point", "point from w*", "ffg, vague", *around

    def line(self, label: str, seed: int) -> Line:
        blank = replace(self.of.line(label.partition(",")[0].split()[0], seed), stream="new-classes")
        if label in ("point", "ffg, vague"):
            return blank
        star = replace(blank, prior="weights", old_rows=self.old_rows, old_epochs=self.old_epochs)
        match label.rpartition(" ")[2]:
            case "Laplace":
                return replace(star, prior="laplace", old_batch_rows=self.old_batch_rows)
            case "grid":
                return replace(star, sigmas=self.sigmas)
            case "w*":
                return replace(star, sigmas=self.sigmas[:1])
            case sigma:
                return replace(star, sigmas=(float(sigma),))


@dataclass(frozen=True)
class Sweep:
    """Experiment (d): the same with other weights of the KL, beside its own."""

    of: Parts
    others: tuple[float, ...]

    @property
    def betas(self) -> tuple[float, ...]:
        return tuple(sorted({*self.others, self.of.beta}))

    def line(self, beta: float, seed: int) -> Line:
        return replace(self.of, beta=beta).line("ffg", seed)


@dataclass(frozen=True)
class Drift:
    """Experiment (e): streams that change, with priors that keep all of their past, and that forget."""

    of: Parts
    powers: tuple[float, ...] = (1.0, 0.9, 0.7, 0.5)

    @property
    def labels(self) -> tuple[str, ...]:
        return "point", *(f"ffg, alpha {power:g}" for power in self.powers)

    def line(self, stream: StreamName, label: str, seed: int) -> Line:
        method, _, power = label.partition(", alpha ")
        line = replace(self.of.line(method, seed), stream=stream)
        return replace(line, recipe={**line.recipe, "prior_power": float(power)}) if power else line


def on_validation(line: Line) -> Line:
    """The line scored on rows of the training set, sooner and so a little less exactly than on the test set.

    Its parts have fewer rows where there are not enough others.
    """
    rows = (TRAIN_ROWS[line.dataset] - VALIDATION_ROWS[line.dataset]) // line.parts
    part_rows, final_rows = min(line.part_rows, rows), 5_000 if line.dataset == "mnist" else 2_000
    return replace(line, held_out="validation", part_rows=part_rows, final_rows=final_rows, final_draws=16)
