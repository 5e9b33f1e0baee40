"""Whether a batch is worse predicted than its version expects, and than the batches before it were by theirs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median_low
from typing import Any

from bayes.scores import Scores

THRESHOLD = 2.5
"""The z from which a batch is surprising, unless told otherwise."""
REFERENCES_LEAST, REFERENCES_MOST = 2, 20
"""So many earlier batches must be there before anything is surprising, and of more than so many the newest count."""
REFERENCE_ROWS = 32
"""Smaller batches count together with their neighbours, until they have so many rows."""
SPREAD_ASSUMED, COUNTS_AS = 0.1, 4
"""Nats per row by which the excess of versions is taken to differ, and as how many batches' word that counts."""
SCALE_OF_MAD = 1.4826
"""The standard deviation of a normal distribution, in median absolute deviations."""


@dataclass(frozen=True)
class Surprise:
    """How a batch compares with its own expectation and with earlier batches; nats per row unless said otherwise.

    Attributes:
        nats: the surprisal of the labels beyond what the version expected of it.
        expected: the same of earlier batches, each under the version of its time: their median.
        spread: the standard deviation of nats around it that is no cause for surprise.
        z: (nats - expected) / spread; never more than the square root of the batch's rows.
        references: how many earlier batches, or groups of small ones, this rests on.
        threshold: the z from which the batch is surprising.
    """

    nats: float
    expected: float
    spread: float
    z: float
    references: int
    threshold: float

    @property
    def is_surprising(self) -> bool:
        """Whether drift, wrong labels or poison must be thought of; never before there is enough to compare with."""
        return self.references >= REFERENCES_LEAST and self.z >= self.threshold

    def to_json(self) -> dict[str, Any]:
        """The values by name, and `is_surprising`; one that is infinite is None."""
        plain = {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}
        return {**plain, "is_surprising": self.is_surprising}


def surprise(now: Scores, earlier: Sequence[Scores], *, threshold: float = THRESHOLD) -> Surprise:
    r"""How far the excess of these rows lies above that of earlier batches, oldest first, in units of its spread.

    .. math:: z = \frac{x - m}{\sqrt{(1 + 1/k)\,\tau^2 + v/n}}

    with x the excess per row of the n rows, m and tau the median and the spread of k earlier batches, both robust, so
    that less than half of them poisoned or drifted do not hide the next one; v is the mean square of the rows' own
    distances from m, or the variance that the version expected where that is more.

    A version is never as right about itself as it thinks: the excess of clean batches is not 0, and changes as the
    line grows. What they have in common is m, by how much they differ is tau; the last term is the chance of the rows.
    """
    references = list(_references(earlier))
    nats, rows = now.excess / now.rows, now.rows
    # The lower of two middle ones, here and for tau: one bad batch of two, or a root's, raises neither.
    expected = median_low(references) if references else 0.0
    between = _variance_between(references, expected) * (1 + 1 / max(1, len(references)))
    if not math.isfinite(now.excess_squares):
        return Surprise(nats, expected, math.inf, math.sqrt(rows), len(references), threshold)
    around = (now.excess_squares - 2 * expected * now.excess) / rows + expected**2
    within = max(around, (nats - expected) ** 2, now.excess_variance / rows) / rows
    spread = math.sqrt(between + within)
    return Surprise(nats, expected, spread, (nats - expected) / spread, len(references), threshold)


def _references(earlier: Sequence[Scores]) -> Iterable[float]:
    """The excess per row of the newest earlier batches, small neighbours together; what overflows is left out."""
    found, group = 0, None
    for scores in reversed(earlier):
        if found == REFERENCES_MOST:
            return
        if not math.isfinite(scores.excess_squares):
            continue
        group = scores if group is None else group + scores
        if group.rows >= REFERENCE_ROWS:
            yield group.excess / group.rows
            found, group = found + 1, None


def _variance_between(references: Sequence[float], expected: float) -> float:
    """The square of tau: that of the references' robust deviation, drawn to the assumed one where they are few."""
    count = len(references)
    found = SCALE_OF_MAD * median_low(abs(each - expected) for each in references) if references else 0.0
    return (COUNTS_AS * SPREAD_ASSUMED**2 + count * found**2) / (COUNTS_AS + count)
