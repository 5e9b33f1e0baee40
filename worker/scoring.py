"""How well a prior predicts rows that it has not learned from; of however many, few answers are held at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bayes
from bayes.prediction import rows_of

OUTPUTS_MAX = 2**24
"""The most numbers, rows times units, of predictions that are held at once: 128 MiB in float64, and a few copies."""


@dataclass(frozen=True)
class Prequential:
    """The scores of all rows by name, None where one is beyond the numbers of JSON, and those of each batch."""

    metrics: dict[str, float | None]
    scores: tuple[bayes.Scores | None, ...]


def predicted(
    prior: bayes.Posterior, chunk: bayes.Chunk, batches: Sequence[slice], *, device: str, check: Callable[[], None]
) -> Prequential:
    """What the prior's predictions of the chunk are worth to its labels, and to those of each batch of it.

    They are as the service would predict the rows, together as far as `OUTPUTS_MAX` lets them. Where it predicts
    nothing finite for a row there are no metrics, and no scores of its batch.
    """
    try:
        return _together(prior, chunk, batches, device=device, check=check)
    except bayes.InvalidInputs:
        alone = (_alone(prior, chunk, rows, device=device, check=check) for rows in batches)
        return Prequential({}, tuple(alone))


def _together(
    prior: bayes.Posterior, chunk: bayes.Chunk, batches: Sequence[slice], *, device: str, check: Callable[[], None]
) -> Prequential:
    """The same of rows that all have a finite prediction.

    Raises:
        InvalidInputs: one has none.
    """
    at_once = max(1, OUTPUTS_MAX // prior.output.units)
    found: list[bayes.Scores | None] = [None] * len(batches)
    metrics: dict[str, float | None] = {}
    for first in range(0, chunk.rows, at_once):
        part = slice(first, min(first + at_once, chunk.rows))
        prediction = bayes.predict(prior, chunk.inputs[part], device=device, check=check)
        for index, rows in _within(batches, part):
            here = slice(rows.start - first, rows.stop - first)
            scores, before = bayes.Scores.of(rows_of(prediction, here), chunk.labels[rows]), found[index]
            found[index] = scores if before is None else before + scores
        if chunk.rows <= at_once:
            metrics = _finite(bayes.score(prediction, chunk.labels))
    if chunk.rows > at_once:
        known = [scores for scores in found if scores is not None]
        metrics = sum(known[1:], known[0]).metrics()
    return Prequential(metrics, tuple(found))


def _alone(
    prior: bayes.Posterior, chunk: bayes.Chunk, rows: slice, *, device: str, check: Callable[[], None]
) -> bayes.Scores | None:
    """The scores of some rows of a chunk that has others without a finite prediction, if these have one."""
    some = bayes.Chunk(chunk.inputs[rows], chunk.labels[rows])
    try:
        return _together(prior, some, [slice(0, some.rows)], device=device, check=check).scores[0]
    except bayes.InvalidInputs:
        return None


def _within(batches: Sequence[slice], part: slice) -> list[tuple[int, slice]]:
    """The rows of each batch that are in this part, by the index of the batch."""
    ends = ((index, max(rows.start, part.start), min(rows.stop, part.stop)) for index, rows in enumerate(batches))
    return [(index, slice(start, stop)) for index, start, stop in ends if start < stop]


def _finite(metrics: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
