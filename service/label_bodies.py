"""Labels as they are posted: many small objects, read without a fault for each field that none of them has."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel

from service.bodies import invalid_body, validated
from service.json_bounds import must_be_bounded, must_name_each_once
from service.rejected import BatchEmpty, BatchTooLarge, JsonTooLarge

EXAMPLE: dict[str, JsonValue] = {"prediction": f"p{'0' * 11}AAAAAAAAAAAAAAAAAAAAAA", "label": 1}
NAMES = ("prediction", "label", "weight")

LABELS_MAX = 10_000
"""Of one request: each that is refused is told of by itself, and all are answered at once."""


class LabelBody(BaseModel):
    """The label of one row of a kept prediction."""

    # Fields that it does not have are refused by the reader: here each would be a fault, in objects of any size.
    model_config = ConfigDict(allow_inf_nan=False, json_schema_extra={"additionalProperties": False})

    prediction: str = Field(max_length=200, description="Its id; of many rows, that of the row.")
    label: JsonValue = Field(description="The index or name of its class; or a number, or numbers, [dims].")
    weight: JsonValue = Field(None, description="How much the row counts, above 0, at most 1e6; absent or null: 1.")


LabelsAsked = Annotated[list[LabelBody], Field(fail_fast=True)]


class LabelsObject(BaseModel):
    """Labels, as a field."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    labels: LabelsAsked


class LabelList(RootModel[LabelsAsked]):
    """Labels, as they are."""


class LabelsBody(RootModel[LabelsAsked | LabelsObject]):
    """Labels for rows of kept predictions, in a list, by itself or as the field `labels`."""

    model_config = ConfigDict(json_schema_extra={"examples": [[EXAMPLE], {"labels": [EXAMPLE]}]})


def read_labels(raw: bytes, *, rows_max: int) -> list[tuple[str, Any, object]]:
    """Predictions with their labels and weights, which may be of any kind.

    Raises:
        JsonInvalid, JsonTooLarge, BodyInvalid: the body holds no labels.
        BatchEmpty, BatchTooLarge: none, or more than a batch has rows, or than `LABELS_MAX`.
    """
    labels_max = min(rows_max, LABELS_MAX)
    try:
        must_be_bounded(raw, members_max=len(NAMES) * labels_max + 1)
    except JsonTooLarge:
        if raw.count(b"{") > labels_max:
            raise BatchTooLarge(rows=f"more than {labels_max}", rows_max=labels_max) from None
        raise
    is_list = raw.lstrip(b" \t\r\n").startswith(b"[")
    given = validated(LabelList, raw).root if is_list else validated(LabelsObject, raw).labels
    must_name_each_once(raw, check=_must_be_fields)
    if not given:
        raise BatchEmpty
    if len(given) > labels_max:
        raise BatchTooLarge(rows=len(given), rows_max=labels_max)
    return [(one.prediction, one.label, one.weight) for one in given]


def _must_be_fields(named: set[str]) -> None:
    if named == {"labels"}:
        return
    for name in sorted(named.difference(NAMES)):
        raise invalid_body("labels", f"hold the field {name[:100]!r}, and a label has {', '.join(NAMES)}")
