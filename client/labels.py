"""The calls about labels that arrive after the prediction: what was kept, and what a label makes of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from client.calls import Call, ask
from client.values import Resource
from client.wire import JSON, Request, get, quoted, url_path

Label = tuple[str, object] | tuple[str, object, float | None] | Mapping[str, object]
"""A prediction and its label, and perhaps a weight; or a mapping of `prediction`, `label` and `weight`."""


@dataclass(frozen=True)
class RefusedLabel:
    """A label that is none of the model's; `where` is its place among those that were posted."""

    where: str
    prediction: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Labeled(Resource):
    """What became of each label, by the predictions as they were named; `batch` holds those in `labeled`."""

    model: str
    batch: int | None
    rows: int
    key: str | None
    labeled: tuple[str, ...]
    already: tuple[str, ...]
    conflicting: tuple[str, ...]
    expired: tuple[str, ...]
    unknown: tuple[str, ...]
    refused: tuple[RefusedLabel, ...]


@dataclass(frozen=True)
class LabelOfRow:
    row: int
    label: Any
    batch: int
    batch_row: int
    labeled_at: datetime


@dataclass(frozen=True, kw_only=True)
class KeptPrediction(Resource):
    """A prediction that is kept; its outputs are in `raw`, as they were answered."""

    model: str
    prediction: str
    version: int
    digest: str
    inputs: Any
    predicted_by: str
    predicted_at: datetime
    kept_until: datetime
    labels: tuple[LabelOfRow, ...]


def label(model: str, labels: Iterable[Label], *, key: str | None = None) -> Call[Labeled]:
    """Kept predictions have these labels: each new one is a row of one batch, and the answer says what became of all.

    A label is a class number, the name of a class, a number or numbers. No row gets two labels, so posting them again
    changes nothing; `key` is the batch's idempotency key. A service takes 10,000 labels at once.

    Raises:
        ServiceProblem: nothing was labeled.
    """
    headers = {"Content-Type": JSON} | ({} if key is None else {"Idempotency-Key": quoted(key)})
    body = json.dumps({"labels": list(map(_posted, labels))}).encode()
    request = Request("POST", url_path("models", model, "labels"), headers=headers, body=body, is_repeatable=True)
    return (yield from ask(request, Labeled))


def kept_prediction(model: str, prediction: str) -> Call[KeptPrediction]:
    """A prediction that was asked for with `keep`, with its inputs and the labels that came for it.

    Raises:
        ServiceProblem: `prediction-expired` or `prediction-not-found`.
    """
    return (yield from ask(get("models", model, "predictions", prediction), KeptPrediction))


def _posted(label: Label) -> dict[str, object]:
    parts = (
        dict(label) if isinstance(label, Mapping) else dict(zip(("prediction", "label", "weight"), label, strict=False))
    )
    # What comes out of an array is no number that JSON knows.
    plain = {name: value if isinstance(value, str) else np.asarray(value).tolist() for name, value in parts.items()}
    return {name: value for name, value in plain.items() if value is not None or name == "label"}
