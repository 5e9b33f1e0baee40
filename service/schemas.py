"""What the calls take, beside the description of a model: bodies are strict, an unknown field is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from store.kinds import ALL_MODELS, EventKind, Scope
from store.settings import REQUESTS_MAX

SEED_MAX = 2**63 - 1
NUMBER_MAX = 2**31 - 1
AXES_MAX = 16
SIDE_MAX = 2**40
TENSORS_MAX = 16

Number = Annotated[int, Field(ge=0, le=NUMBER_MAX)]
# PostgreSQL holds every character but NUL.
Reason = Annotated[
    str, Field(max_length=1000, pattern=r"^[^\x00]*$", description="Why; kept in the history of the alias.")
]
Side = Annotated[int, Field(ge=0, le=SIDE_MAX)]
Whole = Literal["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]
Datatype = Literal[Whole, "BOOL", "FP16", "BF16", "FP32", "FP64"]
"""The types of numbers of the Open Inference Protocol, and BOOL, which is 0 or 1."""
Shape = Annotated[list[Side], Field(max_length=AXES_MAX)]
Method = Literal["moments", "ensemble", "mean"]
METHOD_NAMES: tuple[Method, ...] = get_args(Method)
METHODS = (
    "`moments`: mean and variance of every activation, in one pass. `ensemble`: an average over weight draws. `mean`: "
    "the mean weights alone. Absent: the ensemble where samples or seed are given, else moments."
)


KEEP = "Whether the inputs are kept for a time, so that labels may come for them later; absent: as the model says."


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Encoded(Body):
    """An array as base64: little-endian, row-major, without gaps."""

    b64: str
    dtype: Literal["uint8", "int64", "float32"]
    shape: Shape


Nested = Annotated[list[Any], Field(description="Nested lists of numbers, one list per axis.")]
ArrayBody = Nested | Encoded


class BatchBody(Body):
    """Labeled rows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": [[0.5, -1.0], [2.0, 0.25]], "labels": [0, 1]}]}
    )

    inputs: ArrayBody = Field(description="[rows, *shape of the model's input].")
    labels: ArrayBody = Field(description="Class indices or names, [rows]; or numbers, [rows, dims].")
    weights: ArrayBody | None = Field(None, description="How much each row counts, [rows]; absent: 1 each.")


class KeyBody(Body):
    """A key to make."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "dashboard", "scopes": ["predict"]},
                {
                    "name": "team-a",
                    "scopes": ["predict", "ingest"],
                    "models": "team-a-*",
                    "requests_per_minute": 600,
                    "expires_at": "2099-01-01T00:00:00Z",
                },
            ]
        }
    )

    name: str = Field(
        description="1 to 128 of A-Z, a-z, 0-9, '.', '_', '@' and '-', not beginning as keys do; never used again."
    )
    scopes: list[Scope] = Field(min_length=1, max_length=len(Scope))
    models: str = Field(
        ALL_MODELS, max_length=255, description="Pattern of the models that it is for: `*`, `?`, `[ab]`."
    )
    requests_per_minute: int | None = Field(None, ge=1, le=REQUESTS_MAX, description="Absent: the service's setting.")
    expires_at: AwareDatetime | None = Field(None, description="Absent: it counts until it is revoked.")


class DrawsBody(Body):
    """How to predict."""

    samples: int | None = Field(None, ge=1, description="Weight draws the prediction is averaged over.")
    seed: int | None = Field(None, ge=0, le=SEED_MAX, description="Which draws; the same seed, the same answer.")
    method: Method | None = Field(None, description=METHODS)
    interval: float | None = Field(
        None, gt=0, lt=1, description="Probability that an interval holds its number; absent: 0.9. Not for classes."
    )


class WayBody(DrawsBody):
    """How to predict, and whether to keep it."""

    keep: bool | None = Field(None, description=KEEP)


class PredictionBody(WayBody):
    """Rows to predict, and how."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": [[0.5, -1.0]], "samples": 16}]})

    inputs: ArrayBody = Field(description="[rows, *shape of the model's input].")


class ComparisonBody(Body):
    """Rows that two versions are asked about, and their labels where they are known."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": [[0.5, -1.0], [2.0, 0.25]]}]})

    inputs: ArrayBody = Field(description="[rows, *shape of the model's input].")
    labels: ArrayBody | None = Field(None, description="Class indices or names, [rows]; or numbers, [rows, dims].")


class CalibrationBody(ComparisonBody):
    """Rows that a version is asked about, and what became of them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": [[0.5, -1.0], [2.0, 0.25]], "labels": [0, 1]}]}
    )

    labels: ArrayBody = Field(description="Class indices or names, [rows]; or numbers, [rows, dims].")


class BinarySize(Body):
    """How many of the bytes after the JSON are the tensor's."""

    binary_data_size: Side


class RawTensor(Body):
    """A tensor whose bytes follow the JSON: little-endian, row-major, without gaps."""

    name: str
    shape: Shape
    datatype: Datatype
    parameters: BinarySize


class RawBatchHeader(Body):
    """The tensors of labeled rows, in the order of their bytes."""

    inputs: list[RawTensor] = Field(min_length=1, max_length=TENSORS_MAX)


class RawPredictionHeader(RawBatchHeader):
    """The tensor of rows to predict, and how."""

    parameters: WayBody | None = None


class AliasBody(Body):
    """Where an alias is to point."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 3, "reason": "passed the review"}]})

    version: Number
    reason: Reason = ""


def _one_of(stated: str, other: str) -> dict[str, Any]:
    """One of two numbers is stated and the other is not.

    Not as `oneOf`, of which generators of clients make two bodies, each without the other's fields.
    """
    number, nothing = {"type": "integer"}, {"type": "null"}
    return {
        "if": {"required": [stated], "properties": {stated: number}},
        "then": {"properties": {other: nothing}},
        "else": {"required": [other], "properties": {other: number}},
    }


class RollbackBody(Body):
    """An earlier version of head's line: `to` names it, or `steps` counts the parents; one of the two."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"to": 1, "reason": "mislabeled batch"}],
        }
        | _one_of("to", "steps")
    )

    to: Number | None = None
    steps: Annotated[int, Field(ge=1, le=NUMBER_MAX)] | None = None
    reason: Reason = ""


class WebhookBody(Body):
    """An address that is told of events."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://hooks.example.com/posterity", "kinds": ["published", "moved"]}]
        }
    )

    url: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^https?://[!-~]+$")]
    kinds: Annotated[list[EventKind], Field(min_length=1, max_length=len(EventKind))] | None = Field(
        None, description="Only these; absent: everything."
    )


class ReplayBody(Body):
    """Chunks to absorb again on the present line, in this order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"chunks": [3]}]})

    chunks: list[Annotated[int, Field(ge=1, le=NUMBER_MAX)]] = Field(min_length=1, max_length=100)


class ReasonBody(Body):
    """Why a batch is parked, released or discarded."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "labels look shuffled"}, {}]})

    reason: Reason = ""


class ForgetBody(Body):
    """Batches to take back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"batches": [7], "reason": "asked by its owner"}]})

    batches: list[Annotated[int, Field(ge=1, le=NUMBER_MAX)]] = Field(min_length=1, max_length=1000)
    reason: Reason = ""
    method: Literal["replay", "approximate"] = Field(
        "replay",
        description="replay: learn again what followed, exactly; approximate: divide the posterior, which is not exact "
        "and no deletion, where rows are gone.",
    )
