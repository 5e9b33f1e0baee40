"""How far a version's stated probabilities can be believed: the call, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from client.arrays import Given
from client.calls import Call, ask
from client.calls import model as read_model
from client.fitting import inputs_for, labels_for
from client.tensors import rows_request
from client.values import Resource
from client.wire import Request, stated, url_path


@dataclass(frozen=True)
class CalibrationBin:
    """The rows whose top probability is above `lower` and at most `upper`; without rows the rest is None.

    `low` to `high` is the interval of 95 % of the accuracy.
    """

    lower: float
    upper: float
    rows: int
    confidence: float | None
    accuracy: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CalibrationLevel:
    """The share of labels inside central intervals of this probability, and its interval of 95 %."""

    level: float
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class CalibrationBatch:
    """A batch that was predicted; where the version has `learned` from it, its rows are no test."""

    batch: int
    rows: int
    learned: bool


@dataclass(frozen=True, kw_only=True)
class Calibration(Resource):
    """How well a version's confidence agrees with labels: of classes `bins`, of numbers `levels`.

    `source` says of which rows: "kept" (batches that it predicted as head, before anything learned from them),
    "batches" or "rows". Where there are none, there are no metrics.
    """

    model: str
    version: int
    digest: str
    source: Literal["kept", "batches", "rows"]
    rows: int
    batches: tuple[CalibrationBatch, ...] | None = None
    method: str | None = None
    samples: int | None = None
    seed: int | None = None
    metrics: dict[str, float | None] | None
    standard_errors: dict[str, float | None] | None
    bins: tuple[CalibrationBin, ...] | None
    levels: tuple[CalibrationLevel, ...] | None


def calibration(
    model: str,
    x: Given | None = None,
    y: Given | None = None,
    *,
    version: int | None = None,
    batch: int | Sequence[int] | None = None,
    method: str | None = None,
    samples: int | None = None,
    seed: int | None = None,
) -> Call[Calibration]:
    """How well the confidence of a version (head unless stated) agrees with labels.

    Of the batches that it predicted as head, before anything learned from them; or of the rows of a batch, or of some,
    predicted now; or of inputs `x` [rows, *shape] with labels `y`.

    Raises:
        UnusableArray: the rows do not fit the model.
        ServiceProblem: there is no such version or batch, its rows were deleted, or these are no rows of the model.
    """
    if version is None:
        version = (yield from read_model(model)).head
    path = url_path("models", model, "versions", version, "calibration")
    numbers = (batch,) if isinstance(batch, int) else batch
    batches = None if numbers is None else ",".join(map(str, numbers))
    query = stated({"batch": batches, "method": method, "samples": samples, "seed": seed})
    if x is None and y is None:
        return (yield from ask(Request("GET", path, query=query, is_repeatable=True), Calibration))
    inputs = None if x is None else (yield from inputs_for(model, x))
    labels = None if y is None else (yield from labels_for(model, y))
    return (yield from ask(rows_request(path, query, inputs, labels), Calibration))
