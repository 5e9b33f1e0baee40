"""What a script claims, beside what it found; and the spread of what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Claim:
    """A line of the table: what is claimed, what bounds the figure, what was found, and whether that keeps the bound.

    Figures that are only stated have no bound, and then nothing to hold.
    """

    words: str
    figure: str
    bound: str | None = None
    holds: bool | None = None

    @property
    def cells(self) -> list[str]:
        """Claim, bound, figure, and whether it holds."""
        return [self.words, self.bound or "", self.figure, {True: "yes", False: "**no**", None: ""}[self.holds]]


@dataclass(frozen=True)
class Figure:
    """A median with the least and the most that it is a median of."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{number(self.middle)} ({number(self.least)} to {number(self.most)})"


def figure(values: Sequence[float]) -> Figure:
    return Figure(median(values), min(values), max(values))


def ratio(own: Sequence[float], base: Sequence[float]) -> Figure:
    """The ratio of the medians, with the least and the most ratio within a round."""
    each = [mine / other for mine, other in zip(own, base, strict=True)]
    return Figure(median(own) / median(base), min(each), max(each))


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def number(value: float) -> str:
    """Three digits, or all in front of the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 0.1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
