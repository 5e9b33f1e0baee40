"""Tables of results: a row for each method, means over the seeds and their spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import assert_never

from benchmarks.paper.lines import Result
from benchmarks.paper.sets import Experiment, Kind

Found = Mapping[str, Sequence[Result]]
"""The results of an experiment by the label of their row, in the order of the seeds."""

Figure = Callable[[Result], float]
Column = tuple[str, Figure, int]
"""Heading, what it says of a result, digits behind the point."""


def final(route: str, score: str, factor: float = 1.0) -> Figure:
    """A score after the last part."""
    return lambda result: factor * result.final[route][score]


def after(score: str, factor: float = 1.0) -> Figure:
    """A score on rows held out, as the world looks then, after each part but the first; the mean of all."""
    return lambda result: factor * mean(part.scores["ensemble"][score] for part in result.parts[1:])


def before(score: str, factor: float = 1.0) -> Figure:
    """A score on the rows of each part but the first, before they are absorbed; the mean of all."""
    return lambda result: factor * mean(p.before["ensemble"][score] for p in result.parts if p.before is not None)


FINAL: tuple[Column, ...] = (
    ("accuracy %", final("ensemble", "accuracy", 100), 2),
    ("NLL", final("ensemble", "nll"), 4),
    ("ECE", final("ensemble", "ece"), 4),
    ("Brier", final("ensemble", "brier"), 4),
    ("accuracy %, mean weights", final("mean", "accuracy", 100), 2),
    ("NLL, mean weights", final("mean", "nll"), 4),
    ("ms per step", lambda result: result.milliseconds_per_step, 1),
)
DRIFT: tuple[Column, ...] = (
    ("accuracy % before", before("accuracy", 100), 2),
    ("NLL before", before("nll"), 4),
    ("accuracy % after", after("accuracy", 100), 2),
    ("NLL after", after("nll"), 4),
    ("accuracy % at the end", final("ensemble", "accuracy", 100), 2),
    ("NLL at the end", final("ensemble", "nll"), 4),
)


def table(experiment: Experiment, found: Found) -> list[list[str]]:
    """The headings, and a row for each label that has results."""
    shown = columns(experiment.kind)
    first = "beta" if experiment.kind == "sweep" else ""
    rows = [
        [named(label, results), *(spread(results, figure, digits) for _, figure, digits in shown), _seeds(results)]
        for label, results in found.items()
        if results
    ]
    return [[first, *(heading for heading, _, _ in shown), "seeds"], *rows]


def columns(kind: Kind) -> tuple[Column, ...]:
    """What the table of such an experiment shows."""
    match kind:
        case "parts" | "sweep":
            return FINAL
        case "drift":
            return DRIFT
        case _:
            assert_never(kind)


def named(label: str, results: Sequence[Result]) -> str:
    """The label, with the sigmas that were chosen by each seed's first part."""
    chosen = [f"{part.sigma:g}" for result in results for part in result.parts if part.sigma is not None]
    return f"{label} ({', '.join(chosen)})" if chosen else label


def spread(results: Sequence[Result], figure: Figure, digits: int) -> str:
    """The mean over the seeds, and their standard deviation where there are several."""
    values = [figure(result) for result in results]
    middle = f"{mean(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ± {stdev(values):.{digits}f}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The rows as a table; the first has the headings."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]])


def _seeds(results: Sequence[Result]) -> str:
    return ", ".join(str(result.line.seed) for result in results)
