"""How far a stated probability can be believed: what reliability diagrams, of classes and of intervals, show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add

from torch import Tensor

from bayes.calibration import coverage
from bayes.prediction import GaussianPrediction
from bayes.scores import BINS, OfClasses, OfNumbers

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Probabilities of central intervals that labels are counted in."""
LEVEL_KEPT = 0.9
"""The one of them that sums of scores know of."""
Z_95 = 1.959963984540054
"""Between minus this and this lies a standard normal number with a probability of 95 %."""


def wilson(share: float, trials: int, *, z: float = Z_95) -> tuple[float, float]:
    r"""The interval that holds the probability of which `share` was seen in so many trials; 95 % if told nothing else.

    .. math:: \left( \hat p + \tfrac{z^2}{2n} \pm z \sqrt{\tfrac{\hat p (1 - \hat p)}{n} + \tfrac{z^2}{4 n^2}} \right)
        / \left( 1 + \tfrac{z^2}{n} \right)

    It never leaves 0 to 1, and has a width also where the share is 0 or 1.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    assert trials > 0
    assert 0 <= share <= 1
    shrunk = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / shrunk
    reach = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / shrunk
    # Where the share is 0 or 1 so is one end, but for the rounding.
    low = 0.0 if share == 0 else max(0.0, middle - reach)
    return low, 1.0 if share == 1 else min(1.0, middle + reach)


@dataclass(frozen=True)
class Bin:
    """The rows whose confidence, the probability of the predicted class, is above `lower` and at most `upper`.

    confidence is the mean of it, accuracy the part of the rows that are right, `low` to `high` its interval of 95 %. A
    bin without rows has none of these.
    """

    lower: float
    upper: float
    rows: int
    confidence: float | None
    accuracy: float | None
    low: float | None
    high: float | None


def bins_of(told: OfClasses) -> tuple[Bin, ...]:
    """All equal bins of confidence, those without rows among them; their gaps, weighted by rows, are the ECE."""
    tallied = zip(told.bin_rows, told.bin_confidence, told.bin_correct, strict=True)
    return tuple(_bin(index, *found) for index, found in enumerate(tallied))


@dataclass(frozen=True)
class Level:
    """Of the central intervals with this probability, the share of labels inside, and its interval of 95 %."""

    level: float
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Inside:
    """How many labels of some rows lie in central intervals of each level: sums, which add up over batches."""

    rows: int
    values: int
    levels: tuple[float, ...]
    counts: tuple[int, ...]

    @staticmethod
    def of(prediction: GaussianPrediction, labels: Tensor, *, levels: Sequence[float] = LEVELS) -> Inside:
        """The labels counted in the prediction's intervals.

        Raises:
            InvalidInputs: the two do not pair up, or there are no rows.
        """
        values = prediction.mean.numel()
        counts = tuple(round(coverage(prediction, labels, level=level) * values) for level in levels)
        return Inside(len(prediction.mean), values, tuple(levels), counts)

    @staticmethod
    def kept(rows: int, told: OfNumbers) -> Inside:
        """What the sums of scores of so many rows know of it: one level."""
        return Inside(rows, told.values, (LEVEL_KEPT,), (told.covered,))

    def __add__(self, other: Inside) -> Inside:
        """The same of the rows of both, counted at the same levels."""
        assert self.levels == other.levels
        counts = tuple(map(add, self.counts, other.counts))
        return Inside(self.rows + other.rows, self.values + other.values, self.levels, counts)

    def shares(self) -> tuple[Level, ...]:
        """By level, in order; the numbers of one row may be inside or outside together, so only rows are trials."""
        shares = [count / self.values for count in self.counts]
        return tuple(
            Level(level, share, *wilson(share, self.rows)) for level, share in zip(self.levels, shares, strict=True)
        )


def _bin(index: int, rows: int, confidence: float, correct: int) -> Bin:
    lower, upper = index / BINS, (index + 1) / BINS
    if not rows:
        return Bin(lower, upper, 0, None, None, None, None)
    return Bin(lower, upper, rows, confidence / rows, correct / rows, *wilson(correct / rows, rows))
