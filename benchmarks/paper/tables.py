"""Tables of results: a row for each method, means over the seeds and their spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, stdev

from benchmarks.paper.lines import Result

COLUMNS = ("accuracy %", "NLL", "ECE", "Brier", "accuracy %, mean", "NLL, mean", "ms/step", "seeds")


def cells(found: Sequence[Result]) -> list[str]:
    """The columns of one row, each a mean over the seeds and their standard deviation; dashes where there are none."""
    if not found:
        return ["-"] * len(COLUMNS)
    return [
        _spread(found, lambda r: 100 * r.final["ensemble"]["accuracy"], 2),
        _spread(found, lambda r: r.final["ensemble"]["nll"], 4),
        _spread(found, lambda r: r.final["ensemble"]["ece"], 4),
        _spread(found, lambda r: r.final["ensemble"]["brier"], 4),
        _spread(found, lambda r: 100 * r.final["mean"]["accuracy"], 2),
        _spread(found, lambda r: r.final["mean"]["nll"], 4),
        _spread(found, lambda r: r.milliseconds_per_step, 1),
        ", ".join(str(r.line.seed) for r in found),
    ]


def _spread(found: Sequence[Result], figure: Callable[[Result], float], digits: int) -> str:
    values = [figure(result) for result in found]
    middle = f"{mean(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ± {stdev(values):.{digits}f}"
