"""Two versions compared: how far they are apart, what only one has learned from, and where they predict otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Response

from bayes import kl_divergence
from service.asked import Patience, Way, rows_answered_max
from service.asking import LabeledRows, until
from service.callers import TheCaller
from service.comparing import Pair, differences, differences_on_batch
from service.differences import PredictionDifference
from service.encodings import OF_PREDICTIONS, BodyKind, PredictionKind
from service.house import House
from service.known import Known
from service.needs import INGEST
from service.openapi import takes_rows
from service.posted import comparison_posted
from service.predictions import BODY_REFUSALS
from service.problems import declared
from service.rejected import (
    BatchEmpty,
    BatchTooLarge,
    InputDtype,
    InputNotFinite,
    InputShape,
    InputTooLarge,
    LabelDtype,
    LabelOutOfRange,
    LabelShape,
    PredictionLate,
    QueryInvalid,
    SamplesTooMany,
)
from service.requests import JSON, ModelName, PathNumber, RawBody, TheHouse
from service.resources import ComparisonResource, LayersKl
from service.schemas import METHODS, NUMBER_MAX, SEED_MAX, ComparisonBody, Method
from store.errors import BatchNotFound, BlobCorrupt, BlobMissing, ModelNotFound, RowsDeleted, VersionNotFound

MOST, MOST_MAX = 10, 1000

router = APIRouter(prefix="/v1/models/{model}/versions", tags=["versions"])

PREDICTING = (SamplesTooMany, InputTooLarge, PredictionLate, BlobMissing, BlobCorrupt)


@dataclass(frozen=True)
class How:
    """How the two are asked, as far as it was said, and how many rows are told of."""

    way: Way
    most: int | None


UNSAID = How(Way(), None)


async def _how(
    method: Annotated[Method | None, Query(description=METHODS)] = None,
    samples: Annotated[int | None, Query(ge=1, description="Weight draws of the ensemble.")] = None,
    seed: Annotated[int | None, Query(ge=0, le=SEED_MAX, description="Which draws.")] = None,
    most: Annotated[
        int | None, Query(ge=0, le=MOST_MAX, description=f"How many of the rows that differ most; absent: {MOST}.")
    ] = None,
) -> How:
    return How(Way(method, samples, seed), most)


HowAsked = Annotated[How, Depends(_how)]
BatchAsked = Annotated[
    int | None, Query(ge=1, le=NUMBER_MAX, description="Compare the predictions of this batch's rows too.")
]


@router.get(
    "/{version}/compare/{other}",
    operation_id="compare_versions",
    response_model=ComparisonResource,
    responses=declared(
        *(ModelNotFound, VersionNotFound, BatchNotFound, RowsDeleted, QueryInvalid, *PREDICTING, BatchTooLarge),
    ),
)
async def compare_versions(
    *,
    model: ModelName,
    version: PathNumber,
    other: PathNumber,
    how: HowAsked,
    batch: BatchAsked = None,
    caller: TheCaller,
    patience: Patience,
    house: TheHouse,
) -> Response:
    """How far a version is from another one, and which evidence only one of them has.

    With `batch`, also how their predictions of its rows differ, with the standard errors of the differences. That
    tells of its labels, as batches do, so it needs a key that may see batches: with the scope ingest, or admin.
    """
    if batch is not None:
        caller.require_scope(INGEST, "to compare by a batch")
    if batch is None and how != UNSAID:
        raise QueryInvalid(reason="method, samples, seed, most: say how rows are predicted; name their batch, or POST")

    def work() -> Response:
        found = _compared(house, model, (version, other), seconds=patience)
        if batch is None:
            return _answer(found, None)
        pair = _pair(house, model, (version, other), how, seconds=patience)
        return _answer(found, differences_on_batch(house, pair, batch))

    return await run_sync(work, limiter=house.comparing)


@router.post(
    "/{version}/compare/{other}",
    operation_id="compare_predictions",
    response_model=ComparisonResource,
    openapi_extra=takes_rows(ComparisonBody, OF_PREDICTIONS, tensors="x and optionally y"),
    responses=declared(
        *(ModelNotFound, VersionNotFound, QueryInvalid, *PREDICTING, BatchTooLarge, BatchEmpty),
        *(InputShape, InputDtype, InputNotFinite, LabelShape, LabelDtype, LabelOutOfRange, *BODY_REFUSALS),
    ),
)
async def compare_predictions(
    *,
    model: ModelName,
    version: PathNumber,
    other: PathNumber,
    how: HowAsked,
    kind: PredictionKind,
    raw: RawBody,
    patience: Patience,
    house: TheHouse,
) -> Response:
    """The same, and where the two predict the given rows differently; with labels, which one is better by how much."""

    def work() -> Response:
        found = _compared(house, model, (version, other), seconds=patience)
        pair = _pair(house, model, (version, other), how, seconds=patience)
        rows = _rows(house, pair.known, kind, raw)
        return _answer(found, differences(house, pair, rows))

    return await run_sync(work, limiter=house.comparing)


def _answer(found: ComparisonResource, predictions: PredictionDifference | None) -> Response:
    """What is written here, by the thread that computed it, may be as long as the answer to a prediction."""
    whole = found.model_copy(update={"predictions": predictions})
    return Response(whole.model_dump_json(), media_type=JSON)


def _rows(house: House, known: Known, kind: BodyKind, raw: bytes) -> LabeledRows:
    inputs, labels = comparison_posted(
        raw,
        kind=kind,
        of=known.model.input,
        labeled=known.model.output,
        rows_max=rows_answered_max(known, house.settings),
        bytes_max=house.settings.body_bytes_max,
    )
    return LabeledRows(torch.from_numpy(inputs), None if labels is None else torch.from_numpy(labels))


def _pair(house: House, model: str, numbers: tuple[int, int], how: How, *, seconds: float) -> Pair:
    one, two = (house.history.resolve(model, version=number) for number in numbers)
    return Pair(house.known.find(model), one, two, how.way, MOST if how.most is None else how.most, seconds)


def _compared(house: House, model: str, numbers: tuple[int, int], *, seconds: float) -> ComparisonResource:
    """How far the two versions are apart, and their evidence.

    Raises:
        PredictionLate: it would take longer than these seconds.
    """
    version, other = numbers
    check = until(house, seconds)
    one, two, difference = house.history.compared(model, version, other)
    layers = kl_divergence(house.loaded.posterior(one.digest), house.loaded.posterior(two.digest), check=check)
    return ComparisonResource(
        model=model,
        version=version,
        other=other,
        kl_nats=LayersKl(total=sum(layers.values()), layers=layers),
        common_ancestor=difference.ancestor,
        rows_only_in_version=difference.rows_only(0),
        rows_only_in_other=difference.rows_only(1),
        chunks_only_in_version=difference.chunks_only(0),
        chunks_only_in_other=difference.chunks_only(1),
        batches_only_in_version=difference.batches_only(0),
        batches_only_in_other=difference.batches_only(1),
        predictions=None,
    )
