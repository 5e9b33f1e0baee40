"""Predictions with their uncertainty, from head, from any alias or from any version."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Annotated, Any, assert_never

import torch
from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from bayes import (
    Categorical,
    CategoricalPrediction,
    Draws,
    GaussianPrediction,
    InvalidInputs,
    Posterior,
    Prediction,
    predict,
)
from service.asked import TargetAsked, Way, WayAsked
from service.bodies import Array, Posted, parse, tensors_of
from service.house import House
from service.openapi import takes
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
    IntervalOfClasses,
    JsonInvalid,
    MediaTypeUnsupported,
    QueryInvalid,
    SamplesTooMany,
)
from service.requests import (
    JSON,
    SAFETENSORS,
    BodyMediaType,
    IfNoneMatch,
    ModelName,
    PathNumber,
    RawBody,
    TheHouse,
    is_fresh,
)
from service.resources import PredictionResource
from service.rows import inputs_of
from service.schemas import PredictionBody
from store.errors import AliasNotFound, BlobCorrupt, BlobMissing, ModelNotFound, VersionNotFound
from store.values import Resolved

router = APIRouter(prefix="/v1/models/{model}", tags=["predictions"])

REFUSALS = (
    *(ModelNotFound, VersionNotFound, AliasNotFound, BatchTooLarge, BatchEmpty, QueryInvalid),
    *(InputShape, InputDtype, InputNotFinite, InputTooLarge, SamplesTooMany, IntervalOfClasses),
    *(BlobMissing, BlobCorrupt),
)
BODY_REFUSALS = (JsonInvalid, BodyInvalid, BodyTooLarge, MediaTypeUnsupported)
LISTS: TypeAdapter[list[Any]] = TypeAdapter(list[Any])


@router.post(
    "/predictions",
    operation_id="predict",
    response_model=PredictionResource,
    openapi_extra=takes(PredictionBody, tensors="x"),
    responses=declared(*REFUSALS, *BODY_REFUSALS),
)
def predict_rows(
    *, model: ModelName, target: TargetAsked, way: WayAsked, media_type: BodyMediaType, raw: RawBody, house: TheHouse
) -> Response:
    """Predicts every row with head, or with the version or alias in the query.

    The same version, method, samples, seed, interval and inputs give the same bytes, whatever happened in between.
    """
    resolved = house.history.resolve(model, version=target.version, alias=target.alias)
    return _answer_body(house, resolved, way, media_type=media_type, raw=raw)


@router.post(
    "/versions/{version}/predictions",
    operation_id="predict_with_version",
    response_model=PredictionResource,
    openapi_extra=takes(PredictionBody, tensors="x"),
    responses=declared(*REFUSALS, *BODY_REFUSALS),
)
def predict_rows_with_version(
    *, model: ModelName, version: PathNumber, way: WayAsked, media_type: BodyMediaType, raw: RawBody, house: TheHouse
) -> Response:
    """Predicts every row with this version."""
    return _answer_body(house, house.history.resolve(model, version=version), way, media_type=media_type, raw=raw)


@router.get(
    "/predictions",
    operation_id="predict_small",
    response_model=PredictionResource,
    responses=declared(*REFUSALS, JsonInvalid, also={304: {"description": "The answer you have is still the answer."}}),
)
def predict_small(
    *,
    model: ModelName,
    inputs: Annotated[str, Query(description="Rows as JSON lists.", examples=["[[0.5,-1.0]]"])],
    target: TargetAsked,
    way: WayAsked,
    house: TheHouse,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The same for a few rows in the query; the ETag names the version, the way and the inputs."""
    try:
        posted = LISTS.validate_json(inputs)
    except ValidationError as error:
        raise JsonInvalid(reason=f"inputs: {error.errors()[0]['msg']}") from None
    resolved = house.history.resolve(model, version=target.version, alias=target.alias)
    rows = _rows(house, resolved, posted)
    level = way.level(house.loaded.posterior(resolved.digest).output)
    etag = _etag(resolved, replace(way, interval=level), rows)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if is_fresh(etag, if_none_match):
        return Response(status_code=304, headers=headers)
    return _answer(house, resolved, way, rows, headers=headers)


def _answer_body(house: House, resolved: Resolved, way: Way, *, media_type: str, raw: bytes) -> Response:
    posted: Posted
    if media_type == SAFETENSORS:
        posted = tensors_of(raw, required=("x",))["x"]
    else:
        body = parse(PredictionBody, raw)
        posted = body.inputs
        way = way.or_by(body)
    return _answer(house, resolved, way, _rows(house, resolved, posted))


def _rows(house: House, resolved: Resolved, posted: Posted) -> Array:
    declared_input = house.loaded.posterior(resolved.digest).input
    return inputs_of(posted, of=declared_input, rows_max=house.settings.rows_predict_max)


def _answer(
    house: House, resolved: Resolved, way: Way, rows: Array, *, headers: dict[str, str] | None = None
) -> Response:
    with house.computing:
        house.must_go_on()
        posterior = house.loaded.posterior(resolved.digest)
        level = way.level(posterior.output)
        draws = _draws(house, resolved, way, posterior)
        try:
            prediction = predict(
                posterior,
                torch.tensor(rows),
                samples=way.samples,
                seed=way.seed,
                draws=draws,
                check=house.must_go_on,
            )
        except InvalidInputs as error:
            raise InputTooLarge(reason=error) from None
    names = posterior.output.names if isinstance(posterior.output, Categorical) else None
    answer = {
        "model": resolved.model,
        "version": resolved.version,
        "digest": resolved.digest,
        "method": way.method,
        "samples": way.samples,
        "seed": way.seed,
        **({} if level is None else {"interval": level}),
        "outputs": _outputs(prediction, names, level),
    }
    return Response(to_json(answer), media_type=JSON, headers=headers)


def _draws(house: House, resolved: Resolved, way: Way, posterior: Posterior) -> Draws | None:
    """The nets that answer; None: they are more than memory is given for, and are to be drawn in turn."""
    held_max = house.settings.loaded_bytes_max // (4 * posterior.network.weights)
    if way.method == "ensemble":
        samples_max = house.settings.samples_max
        if posterior.network.is_chain:
            samples_max = min(samples_max, held_max)
        if way.samples > samples_max:
            raise SamplesTooMany(samples=way.samples, samples_max=samples_max)
        if way.samples > held_max:
            return None
    return house.loaded.draws(resolved.digest, method=way.method, samples=way.samples, seed=way.seed)


def _outputs(prediction: Prediction, names: tuple[str, ...] | None, level: float | None) -> list[dict[str, object]]:
    match prediction:
        case CategoricalPrediction():
            rows = _by_row(_columns(prediction, "probabilities", "entropy", "aleatoric", "mutual_information"))
            labels = prediction.probabilities.argmax(1).tolist()
            return [_label(label, names) | row for label, row in zip(labels, rows, strict=True)]
        case GaussianPrediction():
            assert level is not None
            lower, upper = prediction.interval(level)
            columns = _columns(prediction, "mean", "std", "epistemic_std", "noise_std")
            return _by_row(columns | {"lower": lower, "upper": upper})
        case _:
            assert_never(prediction)


def _columns(prediction: Prediction, *names: str) -> dict[str, torch.Tensor]:
    return {name: getattr(prediction, name) for name in names}


def _by_row(columns: dict[str, torch.Tensor]) -> list[dict[str, object]]:
    lists = (column.tolist() for column in columns.values())
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _label(label: int, names: tuple[str, ...] | None) -> dict[str, object]:
    return {"label": label} if names is None else {"label": label, "name": names[label]}


def _etag(resolved: Resolved, way: Way, rows: Array) -> str:
    asked = (resolved.digest, resolved.version, way.method, way.samples, way.seed, way.interval, rows.shape)
    return f'"{hashlib.sha256(repr(asked).encode() + rows.tobytes()).hexdigest()[:32]}"'
