"""Two versions asked about the same rows: where they differ, and by how much one is better where labels are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from bayes import Categorical, CategoricalPrediction, Difference, Prediction, distance, paired
from service.asked import Way
from service.asking import LabeledRows, has_learned, predicted, readable_batch, rows_in, until
from service.differences import CLASSES_UNIT, NUMBERS_UNIT, MetricDifference, PredictionDifference, RowDifference, Said
from service.house import House
from service.known import Known
from service.rejected import QueryInvalid
from store.values import Resolved


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
        predicted(house, pair.known, pair.way, resolved, inputs=rows.inputs, check=check)
        for resolved in (pair.version, pair.other)
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


def differences_on_batch(house: House, pair: Pair, number: int) -> PredictionDifference:
    """The same on the rows of a batch that was posted, and whether the two have learned from them.

    Raises:
        BatchNotFound, RowsDeleted, BlobMissing, BlobCorrupt: the rows are not here.
        BatchTooLarge: they are more than are predicted at once.
        As from `differences`.
    """
    batch = readable_batch(house, pair.known, pair.version.model, number)
    found = differences(house, pair, rows_in(house, batch))
    by_version, by_other = (has_learned(house, resolved, batch) for resolved in (pair.version, pair.other))
    learned = {"learned_by_version": by_version, "learned_by_other": by_other}
    return found.model_copy(update={"batch": number, **learned})


def _must_be_tellable(house: House, pair: Pair, rows: int) -> None:
    """Nothing happens where what both say of the rows that differ most is no more numbers than an answer has."""
    output = pair.known.model.output
    arrays_of_both = 2 if isinstance(output, Categorical) else 4
    of_a_row = arrays_of_both * output.units
    if min(pair.most, rows) > (most_max := max(1, house.settings.numbers_predict_max // of_a_row)):
        raise QueryInvalid(reason=f"most: of this model a comparison tells of at most {most_max} rows")


def _metric(found: Difference) -> MetricDifference:
    return MetricDifference(difference=_finite(found.mean), standard_error=_finite(found.standard_error))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _said(prediction: Prediction, row: int) -> Said:
    if isinstance(prediction, CategoricalPrediction):
        return Said(probabilities=prediction.probabilities[row].tolist(), mean=None, std=None)
    return Said(probabilities=None, mean=prediction.mean[row].tolist(), std=prediction.std[row].tolist())
