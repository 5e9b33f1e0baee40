"""Two versions compared, and the branches of a tree: what a client asks to see how versions are related."""

from dataclasses import dataclass

from client.arrays import Given
from client.calls import Call, ask, every
from client.fitting import inputs_for, labels_for
from client.tensors import rows_request
from client.values import Resource
from client.wire import Request, stated, url_path


@dataclass(frozen=True)
class LayerwiseKl:
    total: float
    layers: dict[str, float]


@dataclass(frozen=True)
class MetricDifference:
    """By how much the first version's mean score is above the second's; None where there is no such number."""

    difference: float | None
    standard_error: float | None


@dataclass(frozen=True)
class Said:
    """What a version says of one row: of classes probabilities, of numbers mean and std."""

    probabilities: tuple[float, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class RowDifference:
    row: int
    distance: float
    version: Said
    other: Said


@dataclass(frozen=True)
class PredictionDifference:
    """How the two predict the same rows; `most` are the rows that differ most, `unit` is that of the distances."""

    rows: int
    method: str
    metrics: dict[str, MetricDifference] | None
    mean_distance: float
    unit: str
    most: tuple[RowDifference, ...]
    batch: int | None = None
    learned_by_version: bool | None = None
    learned_by_other: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison(Resource):
    """KL(first || second) in nats, whole and per layer, and what only one of them has learned from."""

    version: int
    other: int
    kl_nats: LayerwiseKl
    common_ancestor: int
    rows_only_in_version: int = 0
    rows_only_in_other: int = 0
    chunks_only_in_version: tuple[int, ...] = ()
    chunks_only_in_other: tuple[int, ...] = ()
    batches_only_in_version: tuple[int, ...] = ()
    batches_only_in_other: tuple[int, ...] = ()
    predictions: PredictionDifference | None = None


@dataclass(frozen=True, kw_only=True)
class Branch(Resource):
    """A run of versions, each learned from the one before it; `fork` is the version that it starts from."""

    branch: int
    fork: int | None
    parent_branch: int | None
    first: int
    tip: int
    versions: int
    is_on_head: bool
    aliases: dict[str, int]


def compare(  # noqa: PLR0913 - each is a parameter of the call.
    model: str,
    version: int,
    other: int,
    *,
    x: Given | None = None,
    y: Given | None = None,
    batch: int | None = None,
    method: str | None = None,
    samples: int | None = None,
    seed: int | None = None,
    most: int | None = None,
) -> Call[Comparison]:
    """How far the two versions are apart, and what each has learned from alone.

    With inputs `x` [rows, *shape], or with the number of a batch, also where the two predict its rows differently; with
    labels `y`, or those of the batch, which of them is better by how much, with the standard error of the difference.

    Raises:
        ServiceProblem: there is no such version or batch, its rows were deleted, or these are no rows of the model.
    """
    path = url_path("models", model, "versions", version, "compare", other)
    query = stated({"batch": batch, "method": method, "samples": samples, "seed": seed, "most": most})
    if x is None:
        return (yield from ask(Request("GET", path, query=query, is_repeatable=True), Comparison))
    inputs = yield from inputs_for(model, x)
    labels = None if y is None else (yield from labels_for(model, y))
    return (yield from ask(rows_request(path, query, inputs, labels), Comparison))


def branches(model: str) -> Call[tuple[Branch, ...]]:
    """The branches of the model's tree of versions, in the order in which they began.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    return (yield from every(Branch, "models", model, "branches"))
