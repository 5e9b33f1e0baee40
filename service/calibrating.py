"""How well a version's confidence agrees with labels: on rows, on batches that were posted, or as it was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from bayes import Categorical, GaussianPrediction, Inside, Scores, bins_of
from bayes.scores import OfClasses, OfNumbers
from service.asked import Way
from service.asking import LabeledRows, has_learned, predicted, readable_batch, rows_in, until
from service.diagrams import CalibrationBatch, CalibrationBin, CalibrationLevel, CalibrationResource, Source
from service.house import House
from service.known import Known
from service.loaded import Chosen
from service.metrics import errors_of, metrics_of
from store.values import Resolved


@dataclass(frozen=True)
class Respondent:
    """A version, and how it is asked."""

    known: Known
    version: Resolved
    way: Way
    seconds: float
    """For so long an answer is of use."""


@dataclass(frozen=True)
class Measured:
    """The scores of some rows and, of numbers, how many labels lie in intervals of each level; both add up."""

    scores: Scores
    inside: Inside | None

    def __add__(self, other: Measured) -> Measured:
        if self.inside is None or other.inside is None:
            return Measured(self.scores + other.scores, None)
        return Measured(self.scores + other.scores, self.inside + other.inside)


def calibration_kept(house: House, respondent: Respondent) -> CalibrationResource:
    """Of the batches that the version predicted as head, before anything learned from them.

    Raises:
        ModelNotFound: the model is gone.
    """
    before = house.running_scores.before(respondent.version.model, 0)
    total = before.of_versions.get(respondent.version.version)
    scores = None if total is None else total.scores
    return _resource(respondent, None if scores is None else _kept(scores), source="kept")


def calibration_of_rows(house: House, respondent: Respondent, rows: LabeledRows) -> CalibrationResource:
    """Of these rows, predicted now.

    Raises:
        SamplesTooMany, InputTooLarge, PredictionLate: they cannot be predicted so, or not in time.
        BlobMissing, BlobCorrupt: the store does not have the posterior.
    """
    measured = _measured(house, respondent, rows, until(house, respondent.seconds))
    return _resource(respondent, measured, source="rows", chosen=_chosen(house, respondent))


def calibration_of_batches(house: House, respondent: Respondent, numbers: Sequence[int]) -> CalibrationResource:
    """Of the rows of these batches, predicted now, and whether the version has learned from each.

    Raises:
        BatchNotFound, RowsDeleted, BlobMissing, BlobCorrupt: the rows are not here.
        BatchTooLarge: those of one batch are more than are predicted at once.
        SamplesTooMany, InputTooLarge, PredictionLate: they cannot be predicted so, or not all of them in time.
    """
    check = until(house, respondent.seconds)
    batches = [readable_batch(house, respondent.known, respondent.version.model, number) for number in numbers]
    measured = reduce(add, (_measured(house, respondent, rows_in(house, batch), check) for batch in batches))
    asked = [
        CalibrationBatch(batch=batch.number, rows=batch.rows, learned=has_learned(house, respondent.version, batch))
        for batch in batches
    ]
    return _resource(respondent, measured, source="batches", chosen=_chosen(house, respondent), batches=asked)


def _chosen(house: House, respondent: Respondent) -> Chosen:
    return respondent.way.chosen(respondent.known, house.settings)


def _measured(house: House, respondent: Respondent, rows: LabeledRows, check: Callable[[], None]) -> Measured:
    assert rows.labels is not None
    known, way, version = respondent.known, respondent.way, respondent.version
    prediction = predicted(house, known, way, version, inputs=rows.inputs, check=check)
    inside = Inside.of(prediction, rows.labels) if isinstance(prediction, GaussianPrediction) else None
    return Measured(Scores.of(prediction, rows.labels), inside)


def _kept(scores: Scores) -> Measured:
    told = scores.outputs
    return Measured(scores, Inside.kept(scores.rows, told) if isinstance(told, OfNumbers) else None)


def _resource(
    respondent: Respondent,
    measured: Measured | None,
    *,
    source: Source,
    chosen: Chosen | None = None,
    batches: list[CalibrationBatch] | None = None,
) -> CalibrationResource:
    scores, version = None if measured is None else measured.scores, respondent.version
    is_of_classes = isinstance(respondent.known.model.output, Categorical)
    return CalibrationResource(
        model=version.model,
        version=version.version,
        digest=version.digest,
        source=source,
        batches=batches,
        rows=0 if scores is None else scores.rows,
        method=None if chosen is None else chosen.method,
        samples=None if chosen is None else chosen.samples,
        seed=None if chosen is None else chosen.seed,
        metrics=metrics_of(scores),
        standard_errors=errors_of(scores),
        bins=_bins(measured) if is_of_classes else None,
        levels=None if is_of_classes else _levels(measured),
    )


def _bins(measured: Measured | None) -> list[CalibrationBin]:
    if measured is None:
        return []
    assert isinstance(measured.scores.outputs, OfClasses)
    return [CalibrationBin(**vars(one)) for one in bins_of(measured.scores.outputs)]


def _levels(measured: Measured | None) -> list[CalibrationLevel]:
    if measured is None:
        return []
    assert measured.inside is not None
    return [CalibrationLevel(**vars(one)) for one in measured.inside.shares()]
