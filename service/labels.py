"""Labels that arrive later, and the kept predictions that they are for."""

from __future__ import annotations

import base64
from functools import partial
from typing import Annotated, Any

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Response
from pydantic_core import from_json, to_json
from starlette.concurrency import run_in_threadpool

from service.encodings import READ_AT_ONCE_BYTES
from service.faults import MESSAGE_MAX, shortened
from service.given_labels import Labels, Sorted, labels_of
from service.kept import Kept, with_ids
from service.known import Known
from service.label_bodies import LabelsBody, read_labels
from service.label_resources import AcceptedLabels, KeptPredictionResource, RefusedLabel
from service.openapi import takes
from service.problems import declared
from service.rejected import (
    BatchEmpty,
    BatchTooLarge,
    BodyInvalid,
    BodyTooLarge,
    IdempotencyKeyInvalid,
    JsonInvalid,
    JsonTooLarge,
    LabelsTooLarge,
    MediaTypeUnsupported,
    Overloaded,
)
from service.requests import JSON, IdempotencyKeyIfAny, JsonOnly, ModelName, RawBody, TheHouse
from service.resources import moment
from store.errors import BlobBuried, IdempotencyKeyReused, ModelNotFound, PredictionExpired, PredictionNotFound
from store.kept_predictions import KeptPrediction
from store.values import BatchRow

router = APIRouter(prefix="/v1/models/{model}", tags=["labels"])

NUMBERS_AS_LISTS_MAX = 10_000

PredictionId = Annotated[str, Path(pattern=r"^[^\x00-\x1f\x7f]{1,200}$", examples=["p0…"])]


@router.post(
    "/labels",
    operation_id="post_labels",
    response_model=AcceptedLabels,
    status_code=202,
    dependencies=[JsonOnly],
    openapi_extra=takes(LabelsBody),
    responses=declared(
        *(JsonInvalid, JsonTooLarge, ModelNotFound, BodyTooLarge, BatchTooLarge, LabelsTooLarge, MediaTypeUnsupported),
        *(BodyInvalid, BatchEmpty, IdempotencyKeyInvalid, IdempotencyKeyReused, Overloaded, BlobBuried),
    ),
)
async def post_labels(*, model: ModelName, key: IdempotencyKeyIfAny, raw: RawBody, house: TheHouse) -> Response:
    """The kept inputs with these labels are rows of a batch, each once, however often its label is posted.

    Ids that are unknown or expired, and labels that are none of the model's, are named in the answer, and the others
    are rows all the same. The first label of a row stands.
    """
    at_hand = house.known.at_hand(model)
    known = at_hand if at_hand is not None else await run_in_threadpool(house.known.find, model)

    def read() -> Labels:
        return labels_of(known, read_labels(raw, rows_max=house.settings.rows_max), key=key)

    is_short = len(raw) <= READ_AT_ONCE_BYTES
    labels = read() if is_short else await run_sync(read, limiter=house.reading)
    answer, batch = await house.labeling.add(model, labels, nbytes=len(raw))
    if batch is not None:
        house.meters.accepted(batch.rows)
    accepted = partial(_accepted, model, labels, answer, batch)
    body = accepted() if is_short else await run_sync(accepted, limiter=house.reading)
    headers = {} if batch is None else {"Location": f"/v1/models/{model}/batches/{batch.number}"}
    return Response(body, 202, headers, JSON)


def _accepted(model: str, labels: Labels, answer: Sorted, batch: BatchRow | None) -> bytes:
    accepted = AcceptedLabels(
        model=model,
        batch=None if batch is None else batch.number,
        rows=len(answer.new),
        key=None if batch is None else batch.key,
        labeled=answer.labeled,
        already=answer.already,
        conflicting=answer.conflicting,
        expired=answer.expired,
        unknown=answer.unknown,
        refused=[
            RefusedLabel(
                where=f"labels[{index}]",
                prediction=labels.texts[index],
                code=refused.code,
                message=shortened(str(refused), MESSAGE_MAX),
            )
            for index, refused in answer.refused
        ],
    )
    return accepted.model_dump_json().encode()


@router.get(
    "/predictions/{prediction}",
    operation_id="get_prediction",
    response_model=KeptPredictionResource,
    responses=declared(ModelNotFound, PredictionNotFound, PredictionExpired),
)
def get_prediction(model: ModelName, prediction: PredictionId, house: TheHouse) -> Response:
    """A kept prediction as it was answered, with its inputs and the labels that came; by its id or that of a row."""
    kept = house.kept.find(model, prediction)
    return Response(to_json(_shown(house.known.find(model), kept)), media_type=JSON)


def _shown(known: Known, kept: KeptPrediction) -> dict[str, Any]:
    return with_ids(from_json(kept.answer), Kept(kept.id, kept.kept_until)) | {
        "predicted_by": kept.predicted_by,
        "predicted_at": moment(kept.predicted_at),
        "inputs": _inputs(known, kept),
        "labels": [
            {
                "row": label.row,
                "label": label.label,
                "batch": label.batch,
                "batch_row": label.batch_row,
                "labeled_at": moment(label.labeled_at),
            }
            for label in kept.labels
        ],
    }


def _inputs(known: Known, kept: KeptPrediction) -> object:
    """As a call takes them: lists, or where they are many, base64."""
    of = known.model.input
    shape = (kept.rows, *of.shape)
    array = np.frombuffer(kept.inputs, of.dtype).reshape(shape)
    if array.size <= NUMBERS_AS_LISTS_MAX:
        return array.tolist()
    return {"b64": base64.b64encode(kept.inputs).decode(), "dtype": of.dtype, "shape": shape}
