"""What a version says of rows with labels: those of a request, or of batches that were posted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import safetensors.torch
from torch import Tensor

from bayes import InvalidInputs, Prediction, ask, predict
from service.asked import Way, draws_held_max, rows_answered_max
from service.house import House
from service.known import Known
from service.rejected import BatchTooLarge, InputTooLarge, PredictionLate
from store.errors import RowsDeleted
from store.values import BatchRow, Resolved


@dataclass(frozen=True, eq=False)
class LabeledRows:
    """Rows as the model declares them; `labels`, where they are known: int64 [rows] or float32 [rows, dims]."""

    inputs: Tensor
    labels: Tensor | None


def until(house: House, seconds: float) -> Callable[[], None]:
    """Asked again and again while versions are asked, it raises where the answer is of no use any more.

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


def predicted(
    house: House, known: Known, way: Way, resolved: Resolved, *, inputs: Tensor, check: Callable[[], None]
) -> Prediction:
    """What a version says of the rows, as it answers predictions.

    Raises:
        SamplesTooMany, InputTooLarge, PredictionLate: they cannot be predicted so, or not in time.
        BlobMissing, BlobCorrupt: the store does not have a posterior.
    """
    chosen = way.chosen(known, house.settings)
    try:
        if chosen.samples is not None and chosen.samples > draws_held_max(known, house.settings):
            posterior = house.loaded.posterior(resolved.digest)
            samples, seed = chosen.samples, chosen.seed
            return predict(posterior, inputs, method=chosen.method, samples=samples, seed=seed, check=check)
        return ask(house.loaded.ready(resolved.digest, chosen), inputs, check=check)
    except InvalidInputs as error:
        raise InputTooLarge(reason=error) from None


def readable_batch(house: House, known: Known, model: str, number: int) -> BatchRow:
    """The batch, whose rows are here, and no more than are predicted at once.

    Raises:
        BatchNotFound, RowsDeleted: the rows are not here.
        BatchTooLarge: they are more.
    """
    batch = house.history.batch(model, number)
    if batch.deleted_at is not None:
        raise RowsDeleted(model=model, batches=number)
    if batch.rows > (rows_max := rows_answered_max(known, house.settings)):
        raise BatchTooLarge(rows=batch.rows, rows_max=rows_max)
    return batch


def rows_in(house: House, batch: BatchRow) -> LabeledRows:
    """The rows of the batch.

    Raises:
        BlobMissing, BlobCorrupt: the store does not have them.
    """
    tensors: Mapping[str, Tensor] = safetensors.torch.load(house.blobs.get(batch.digest))
    return LabeledRows(tensors["x"], tensors["y"])


def has_learned(house: House, resolved: Resolved, batch: BatchRow) -> bool:
    """Whether the batch is evidence of the version."""
    if batch.chunk is None:
        return False
    parts = house.history.absorbed_in(resolved.model, batch.chunk)
    born = {part.version for part in parts if batch.number not in part.omitted}
    return bool(born and house.history.on_line(resolved.model, resolved.version, born))
