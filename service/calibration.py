"""A version's calibration: how well its confidence agrees with labels, kept ones or those of rows that are named."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated

import torch
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query

from service.asked import Patience, Way, rows_answered_max
from service.asking import LabeledRows
from service.calibrating import Respondent, calibration_kept, calibration_of_batches, calibration_of_rows
from service.callers import TheCaller
from service.diagrams import CalibrationResource
from service.encodings import OF_BATCHES, BatchKind, BodyKind
from service.house import House
from service.known import Known
from service.needs import INGEST
from service.openapi import takes_rows
from service.posted import calibration_posted
from service.problems import declared
from service.rejected import (
    BatchEmpty,
    BatchTooLarge,
    BodyInvalid,
    BodyTooLarge,
    InputDtype,
    InputNotFinite,
    InputShape,
    InputTooLarge,
    JsonInvalid,
    JsonTooLarge,
    LabelDtype,
    LabelOutOfRange,
    LabelShape,
    MediaTypeUnsupported,
    PredictionLate,
    QueryInvalid,
    SamplesTooMany,
)
from service.requests import ModelName, PathNumber, RawBody, TheHouse
from service.schemas import METHODS, SEED_MAX, CalibrationBody, Method
from store.errors import BatchNotFound, BlobCorrupt, BlobMissing, ModelNotFound, RowsDeleted, VersionNotFound

BATCHES_MAX = 100
NUMBER = "[1-9][0-9]{0,8}"
NUMBERS = f"^{NUMBER}(,{NUMBER}){{0,{BATCHES_MAX - 1}}}$"
PREDICTING = (SamplesTooMany, InputTooLarge, PredictionLate, BlobMissing, BlobCorrupt, BatchTooLarge)

router = APIRouter(prefix="/v1/models/{model}/versions/{version}/calibration", tags=["metrics"])


async def _way(
    method: Annotated[Method | None, Query(description=METHODS)] = None,
    samples: Annotated[int | None, Query(ge=1, description="Weight draws of the ensemble.")] = None,
    seed: Annotated[int | None, Query(ge=0, le=SEED_MAX, description="Which draws.")] = None,
) -> Way:
    return Way(method, samples, seed)


async def _batches(
    batch: Annotated[
        str | None,
        Query(
            description=f"Predict these batches' rows now; up to {BATCHES_MAX} numbers with commas between them.",
            examples=["1"],
            json_schema_extra={"pattern": NUMBERS},
        ),
    ] = None,
) -> tuple[int, ...]:
    """The numbers of the batches; none: the kept scores are asked for.

    Raises:
        QueryInvalid: these are no numbers, or too many, or one is named twice, whose rows would count twice.
    """
    if batch is None:
        return ()
    if not re.fullmatch(NUMBERS, batch):
        raise QueryInvalid(reason=f"batch: must be 1 to {BATCHES_MAX} numbers of batches, with commas between them")
    numbers = tuple(map(int, batch.split(",")))
    for number, count in Counter(numbers).items():
        if count > 1:
            raise QueryInvalid(reason=f"batch: {number} is named {count} times")
    return numbers


WayAsked = Annotated[Way, Depends(_way)]
BatchesAsked = Annotated[tuple[int, ...], Depends(_batches)]


@router.get(
    "",
    operation_id="get_calibration",
    responses=declared(ModelNotFound, VersionNotFound, BatchNotFound, RowsDeleted, QueryInvalid, *PREDICTING),
)
async def get_calibration(
    *,
    model: ModelName,
    version: PathNumber,
    way: WayAsked,
    batches: BatchesAsked,
    caller: TheCaller,
    patience: Patience,
    house: TheHouse,
) -> CalibrationResource:
    """How well the version's confidence agrees with labels: a reliability diagram, or the coverage of its intervals.

    Of the batches that it predicted as head, before anything learned from them; they are a fair test. With `batch`, of
    the rows of these batches, predicted now; for each it is said whether the version has learned from it. That tells of
    labels, as batches do, so it needs a key that may see batches: with the scope ingest, or admin.
    """
    if batches:
        caller.require_scope(INGEST, "to ask for the calibration on a batch")
    elif way != Way():
        raise QueryInvalid(reason="method, samples, seed: say how rows are predicted; name their batch, or POST")

    def work() -> CalibrationResource:
        respondent = _respondent(house, model, version, way, seconds=patience)
        if not batches:
            return calibration_kept(house, respondent)
        return calibration_of_batches(house, respondent, batches)

    return await run_sync(work, limiter=house.comparing if batches else None)


@router.post(
    "",
    operation_id="calibrate",
    openapi_extra=takes_rows(CalibrationBody, OF_BATCHES, tensors="x and y"),
    responses=declared(
        *(ModelNotFound, VersionNotFound, QueryInvalid, *PREDICTING, BatchEmpty),
        *(InputShape, InputDtype, InputNotFinite, LabelShape, LabelDtype, LabelOutOfRange),
        *(JsonInvalid, JsonTooLarge, BodyInvalid, BodyTooLarge, MediaTypeUnsupported),
    ),
)
async def calibrate(
    *,
    model: ModelName,
    version: PathNumber,
    way: WayAsked,
    kind: BatchKind,
    raw: RawBody,
    patience: Patience,
    house: TheHouse,
) -> CalibrationResource:
    """The same of the given rows and labels, predicted now; nothing of them is kept."""

    def work() -> CalibrationResource:
        respondent = _respondent(house, model, version, way, seconds=patience)
        return calibration_of_rows(house, respondent, _rows(house, respondent.known, kind, raw))

    return await run_sync(work, limiter=house.comparing)


def _respondent(house: House, model: str, version: int, way: Way, *, seconds: float) -> Respondent:
    return Respondent(house.known.find(model), house.history.resolve(model, version=version), way, seconds)


def _rows(house: House, known: Known, kind: BodyKind, raw: bytes) -> LabeledRows:
    inputs, labels = calibration_posted(
        raw,
        kind=kind,
        of=known.model.input,
        labeled=known.model.output,
        rows_max=rows_answered_max(known, house.settings),
        bytes_max=house.settings.body_bytes_max,
    )
    return LabeledRows(torch.from_numpy(inputs), torch.from_numpy(labels))
