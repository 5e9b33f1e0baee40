"""Two versions asked about the same rows: where they differ, and by how much one is better where labels are known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor

from bayes import (
    Categorical,
    CategoricalPrediction,
    Difference,
    InvalidInputs,
    Prediction,
    ask,
    distance,
    paired,
    predict,
)
from service.asked import Way, draws_held_max, rows_answered_max
from service.differences import CLASSES_UNIT, NUMBERS_UNIT, MetricDifference, PredictionDifference, RowDifference, Said
from service.house import House
from service.known import Known
from service.rejected import BatchTooLarge, InputTooLarge, PredictionLate, QueryInvalid
from store.errors import RowsDeleted
from store.values import BatchRow, Resolved


@dataclass(frozen=True)
class Pair:
    """Two versions of a model, and how they are asked."""

    known: Known
    version: Resolved
    other: Resolved
    way: Way
    most: int
    seconds: float
    """For so long an answer is of use."""


@dataclass(frozen=True, eq=False)
class LabeledRows:
    """Rows as the model declares them; `labels`, where they are known: int64 [rows] or float32 [rows, dims]."""

    inputs: Tensor
    labels: Tensor | None


def differences(house: House, pair: Pair, rows: LabeledRows) -> PredictionDifference:
    """How the two versions' predictions of these rows differ.

    Raises:
        QueryInvalid: more rows are to be told of than an answer has numbers for.
        SamplesTooMany, InputTooLarge, PredictionLate: they cannot be predicted so, or not in time.
        BlobMissing, BlobCorrupt: the store does not have a posterior.
    """
    _must_be_tellable(house, pair, len(rows.inputs))
    chosen, check = pair.way.chosen(pair.known, house.settings), until(house, pair.seconds)
    ours, theirs = (
        _predicted(house, pair, resolved, inputs=rows.inputs, check=check) for resolved in (pair.version, pair.other)
    )
    apart = distance(ours, theirs)
    order = torch.argsort(apart, descending=True, stable=True)[: pair.most].tolist()
    found = {} if rows.labels is None else paired(ours, theirs, rows.labels)
    return PredictionDifference(
        rows=len(rows.inputs),
        batch=None,
        learned_by_version=None,
        learned_by_other=None,
        method=chosen.method,
        samples=chosen.samples,
        seed=chosen.seed,
        metrics=None if rows.labels is None else {name: _metric(one) for name, one in found.items()},
        mean_distance=float(apart.mean()),
        unit=CLASSES_UNIT if isinstance(ours, CategoricalPrediction) else NUMBERS_UNIT,
        most=[
            RowDifference(row=row, distance=float(apart[row]), version=_said(ours, row), other=_said(theirs, row))
            for row in order
        ],
    )


def until(house: House, seconds: float) -> Callable[[], None]:
    """Asked again and again while two versions are compared, it raises where the answer is of no use any more.

    It raises:
        PredictionLate: so many seconds are over.
        Unavailable: the service is stopping.
    """
    last = time.monotonic() + seconds

    def check() -> None:
        house.must_go_on()
        if time.monotonic() > last:
            raise PredictionLate

    return check


def differences_on_batch(house: House, pair: Pair, number: int) -> PredictionDifference:
    """The same on the rows of a batch that was posted, and whether the two have learned from them.

    Raises:
        BatchNotFound, RowsDeleted, BlobMissing, BlobCorrupt: the rows are not here.
        BatchTooLarge: they are more than are predicted at once.
        As from `differences`.
    """
    batch = house.history.batch(pair.version.model, number)
    if batch.deleted_at is not None:
        raise RowsDeleted(model=pair.version.model, batches=number)
    if batch.rows > (rows_max := rows_answered_max(pair.known, house.settings)):
        raise BatchTooLarge(rows=batch.rows, rows_max=rows_max)
    tensors: Mapping[str, Tensor] = safetensors.torch.load(house.blobs.get(batch.digest))
    found = differences(house, pair, LabeledRows(tensors["x"], tensors["y"]))
    by_version, by_other = (_has_learned(house, resolved, batch) for resolved in (pair.version, pair.other))
    learned = {"learned_by_version": by_version, "learned_by_other": by_other}
    return found.model_copy(update={"batch": number, **learned})


def _must_be_tellable(house: House, pair: Pair, rows: int) -> None:
    """Nothing happens where what both say of the rows that differ most is no more numbers than an answer has."""
    output = pair.known.model.output
    arrays_of_both = 2 if isinstance(output, Categorical) else 4
    of_a_row = arrays_of_both * output.units
    if min(pair.most, rows) > (most_max := max(1, house.settings.numbers_predict_max // of_a_row)):
        raise QueryInvalid(reason=f"most: of this model a comparison tells of at most {most_max} rows")


def _has_learned(house: House, resolved: Resolved, batch: BatchRow) -> bool:
    if batch.chunk is None:
        return False
    parts = house.history.absorbed_in(resolved.model, batch.chunk)
    born = {part.version for part in parts if batch.number not in part.omitted}
    return bool(born and house.history.on_line(resolved.model, resolved.version, born))


def _predicted(
    house: House, pair: Pair, resolved: Resolved, *, inputs: Tensor, check: Callable[[], None]
) -> Prediction:
    """What a version says of the rows, as it answers predictions."""
    chosen = pair.way.chosen(pair.known, house.settings)
    try:
        if chosen.samples is not None and chosen.samples > draws_held_max(pair.known, house.settings):
            posterior = house.loaded.posterior(resolved.digest)
            samples, seed = chosen.samples, chosen.seed
            return predict(posterior, inputs, method=chosen.method, samples=samples, seed=seed, check=check)
        return ask(house.loaded.ready(resolved.digest, chosen), inputs, check=check)
    except InvalidInputs as error:
        raise InputTooLarge(reason=error) from None


def _metric(found: Difference) -> MetricDifference:
    return MetricDifference(difference=_finite(found.mean), standard_error=_finite(found.standard_error))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _said(prediction: Prediction, row: int) -> Said:
    if isinstance(prediction, CategoricalPrediction):
        return Said(probabilities=prediction.probabilities[row].tolist(), mean=None, std=None)
    return Said(probabilities=None, mean=prediction.mean[row].tolist(), std=prediction.std[row].tolist())
