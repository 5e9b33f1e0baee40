"""The description of a model, as a client posts it and as it is stored: data, never code.

Types and names are checked here, so that they are in the OpenAPI document; whether the parts fit each other is asked of
`bayes.Model`, which also fills in what the client left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag

from bayes import FamilyName, InvalidDescription, Model
from bayes.surprise import THRESHOLD
from service.bodies import parse
from service.faults import FAULTS_MAX, Fault, in_words
from service.rejected import DescriptionInvalid

MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
YEAR_SECONDS = 365 * 86_400.0
MEMBERS_MAX = 2_000
"""In the objects of a description: the layers of the longest net have 1,280."""
CLASS_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}")
DIGITS: dict[str, JsonValue] = {
    "name": "digits",
    "net": {"kind": "mlp", "hidden": [64]},
    "input": {"shape": [1, 8, 8], "dtype": "uint8", "std": 16.0},
    "output": {"kind": "categorical", "classes": 10},
    "chunk": {"rows": 200, "seconds": 60.0},
}
"""scikit-learn's 8 by 8 digits, whose pixels go from 0 to 16."""
PAIRS: dict[str, JsonValue] = {
    "name": "pairs",
    "net": {"kind": "mlp", "hidden": [8]},
    "input": {"shape": [2]},
    "output": {"kind": "categorical", "classes": ["low", "high"]},
}
"""The model that the examples of rows are for: two numbers, small enough to type."""


FIRST_FAULT = Field(fail_fast=True)
"""Of a list without a bound on its length, the first item that is wrong is told."""

Numbers = Annotated[list[float], FIRST_FAULT]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class DenseLayer(Part):
    kind: Literal["dense"]
    units: int


class ConvLayer(Part):
    kind: Literal["conv"]
    filters: int
    kernel: int = Field(description="Side of the square kernel, in pixels.")
    padding: int = 0
    stride: int = 1


class MaxPoolLayer(Part):
    kind: Literal["maxpool"]
    size: int
    stride: int | None = Field(None, description="Absent: as large as `size`.")


class PlainLayer(Part):
    kind: Literal["relu", "softplus", "flatten"]


Layer = Annotated[DenseLayer | ConvLayer | MaxPoolLayer | PlainLayer, Field(discriminator="kind")]


class MlpNet(Part):
    """Dense layers with ReLU between them, on the flattened input."""

    kind: Literal["mlp"]
    hidden: list[int] = Field(max_length=64, description="Units of each hidden layer.")


class LeNet5Net(Part):
    """LeNet-5 of Caffe: two convolutions with pooling, one dense layer of 500."""

    kind: Literal["lenet5"]


class Conv3Fc3Net(Part):
    """3Conv3FC: three convolutions with pooling, two dense layers of 1000, softplus between them."""

    kind: Literal["3conv3fc"]


class LayersNet(Part):
    """Layers of your own; the dense layer of the output is appended."""

    kind: Literal["layers"]
    layers: list[Layer] = Field(max_length=256)


class TorchvisionNet(Part):
    """A classification model of torchvision, such as resnet18; its last layer becomes the output layer."""

    kind: Literal["torchvision"]
    name: str = Field(max_length=64, description="As torchvision spells it.", examples=["resnet18"])


Net = Annotated[MlpNet | LeNet5Net | Conv3Fc3Net | LayersNet | TorchvisionNet, Field(discriminator="kind")]


class Input(Part):
    """One row is a tensor of this shape; the net sees (x - mean) / std."""

    shape: list[int] = Field(max_length=8, description="Without the axis of the rows.")
    dtype: Literal["uint8", "float32"] = "float32"
    mean: float | Numbers = Field(0.0, description="In raw units; one number, or one per index of the first axis.")
    std: float | Numbers | None = Field(None, description="As `mean`. Absent: 255 for uint8, 1 for float32.")


class Categorical(Part):
    kind: Literal["categorical"]
    classes: int | Annotated[list[str], FIRST_FAULT] = Field(
        description="How many, or their names of at most 200 characters."
    )


class Gaussian(Part):
    kind: Literal["gaussian"]
    dims: int = 1
    noise: float | None = Field(None, description="Standard deviation of a label, in its units. null: learned.")


Output = Annotated[Categorical | Gaussian, Field(discriminator="kind")]


Digest = Annotated[str, Field(examples=[f"sha256:{'0' * 64}"])]
Head = Annotated[
    Literal["keep", "fresh"], Field(description="keep: w*'s output layer, new units vague; fresh: all of it vague.")
]


class GaussianPrior(Part):
    kind: Literal["gaussian"]
    sigma: float | None = Field(None, description="null: 2 / sqrt(fan-in) per layer, 0.2 for biases.")


class WeightsPrior(Part):
    """N(w*, sigma^2) around weights that were learned elsewhere."""

    kind: Literal["weights"]
    blob: Digest = Field(description="Weights, as POST /v1/blobs names them; or the digest of a version.")
    sigma: float | None = None
    sigmas: Numbers | None = Field(None, description="Instead of sigma: the first chunk chooses one of these.")
    head: Head = "keep"


class LaplacePrior(Part):
    """A Gaussian around weights that were learned elsewhere, as wide as the rows they were learned from leave it."""

    kind: Literal["laplace"]
    blob: Digest = Field(description="Weights, as POST /v1/blobs names them; or the digest of a version.")
    batch: Digest = Field(description="Old rows, the tensor x: a blob, or the digest of a batch.")
    rows: int | None = Field(
        None, description="How many rows the batch stands for. Absent: as many as it has, or fewer."
    )
    sigma: float | None = Field(None, description="Width without any rows. null: 2 / sqrt(fan-in), 0.2 for biases.")
    head: Head = "keep"


Prior = Annotated[GaussianPrior | WeightsPrior | LaplacePrior, Field(discriminator="kind")]


class Recipe(Part):
    """How a chunk is absorbed; what is absent is chosen from `chunk.rows` when the model is created."""

    optimizer: Literal["adam", "ivon"] | None = None
    epochs: int | None = Field(None, description="Passes over the chunk.")
    steps_least: int | None = Field(None, description="More passes, where these make fewer steps; 0: never.")
    batch_rows: int | None = Field(None, description="Rows of one minibatch.")
    lr: float | None = Field(None, description="Learning rate of the means.")
    lr_log_sigma: float | None = Field(None, description="Learning rate of the log standard deviations.")
    lr_final: float | None = Field(None, description="Part of both rates that is left at the last step.")
    beta: float | None = Field(None, description="Weight of the KL to the prior.")
    log_sigma_start: float | None = Field(None, description="Where log sigma starts in the first update of a line.")
    curvature_decay: float | None = Field(None, description="Part of the curvature that ivon keeps in a step.")
    prior_power: float | None = Field(None, description="Power of the prior against the root; below 1 it forgets.")
    shift_pixels: int | None = Field(None, description="How far images are moved at random, in pixels; 0: not at all.")
    seed: int | None = None


class ChunkLimits(Part):
    """When accepted rows are absorbed: at the latest when one of the two limits is reached."""

    rows: int = Field(500, ge=1, le=1_000_000, description="Rows that close a chunk.")
    seconds: float | None = Field(60.0, gt=0, description="Age of its oldest row that closes a chunk; null: none.")


class Keep(Part):
    """The rows stay."""

    kind: Literal["keep"] = "keep"


class DeleteAfterAbsorb(Part):
    """The rows go as soon as a version has learned from them."""

    kind: Literal["delete-after-absorb"]


class DeleteAfterDays(Part):
    """The rows go so many days after they were accepted, and not before a version has learned from them."""

    kind: Literal["delete-after-days"]
    days: float = Field(gt=0, le=36_500)


PublishName = Literal["always", "gated", "manual"]


class GatePart(Part):
    """Of a gated model: what a fresh version may lose against its parent on rows that neither has learned from.

    Worse is what has lost more than that, and more than so many standard errors beyond it; or, of 100 rows and more,
    more than twice that.
    """

    held_out: float = Field(0.2, gt=0, le=0.5, description="Share of every batch that nothing learns from.")
    accuracy: float = Field(0.01, ge=0, le=1, description="As a part of the rows: 0.01 is a point.")
    nll: float = Field(0.1, ge=0, description="In nats per row.")
    standard_errors: float = Field(1.0, ge=0, le=10)


class SurprisePart(Part):
    """What is done about batches that head predicts worse than it expects to."""

    park: bool = Field(False, description="true: they are parked until somebody releases or discards them.")
    threshold: float = Field(THRESHOLD, gt=0, description="The z from which a batch is surprising.")


def _retention_kind(stated: Any) -> object:  # noqa: ANN401 - pydantic asks of whatever was posted
    return stated.get("kind", "keep") if isinstance(stated, dict) else getattr(stated, "kind", None)


Retention = Annotated[
    Annotated[Keep, Tag("keep")]
    | Annotated[DeleteAfterAbsorb, Tag("delete-after-absorb")]
    | Annotated[DeleteAfterDays, Tag("delete-after-days")],
    Discriminator(_retention_kind),
]


class KeptPredictions(Part):
    """Whether predictions are kept, so that labels may come for them later, and for how long."""

    keep: bool = Field(False, description="Where a request does not say.")
    seconds: float = Field(604_800.0, ge=1, le=YEAR_SECONDS, description="From the answer on; at most a year.")


class ModelBody(Part):
    """A model to create. All but name, net, input and output may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [PAIRS, DIGITS]})

    name: str = Field(pattern=MODEL_NAME, description="1 to 128 letters, digits, '.', '_' and '-'.")
    net: Net
    input: Input
    output: Output
    family: FamilyName = Field("ffg", description="The shape of the posterior; point: plain weights.")
    prior: Prior = Field({"kind": "gaussian"}, validate_default=True)
    recipe: Literal["auto"] | Recipe = "auto"
    chunk: ChunkLimits = Field({}, validate_default=True)
    retention: Retention = Field({"kind": "keep"}, validate_default=True)
    publish: PublishName = Field(
        "always",
        description="When head moves to a fresh version: always; if it is no worse than its parent; if you move it.",
    )
    gate: GatePart = Field({}, validate_default=True)
    surprise: SurprisePart = Field({}, validate_default=True)
    predictions: KeptPredictions = Field({}, validate_default=True)


def read_description(raw: bytes) -> tuple[Model, dict[str, Any], dict[str, Any]]:
    """The model that the JSON describes, its description with every default resolved, and what the client wrote of it.

    Raises:
        JsonInvalid: the body is not JSON.
        DescriptionInvalid: it describes no model; the problem says where.
    """
    body = parse(ModelBody, raw, DescriptionInvalid, members_max=MEMBERS_MAX)
    _check_class_names(body.output)
    stated = body.model_dump(exclude_unset=True, exclude_none=True)
    with refused_as_a_problem():
        model = Model.from_description(stated | {"chunk": body.chunk.model_dump()})
    resolved = {
        "name": body.name,
        "chunk": body.chunk.model_dump(),
        "retention": body.retention.model_dump(),
        "publish": body.publish,
        "gate": body.gate.model_dump(),
        "surprise": body.surprise.model_dump(),
        "predictions": body.predictions.model_dump(),
    }
    # With its nulls: `chunk.seconds` says another thing by null than by being absent.
    return model, resolved | model.to_description(), body.model_dump(exclude_unset=True)


@contextmanager
def refused_as_a_problem() -> Iterator[None]:
    """What `bayes` refuses of a description inside is answered with its place.

    Raises:
        DescriptionInvalid: it refused something.
    """
    try:
        yield
    except InvalidDescription as error:
        faults = [Fault(error.where or "body", error.message)]
        raise DescriptionInvalid(faults=faults, reason=in_words(faults)) from None


def _check_class_names(output: Categorical | Gaussian) -> None:
    # Not in the schema, which answers too: a model that exists is shown whatever its classes are called.
    names = output.classes if isinstance(output, Categorical) and isinstance(output.classes, list) else []
    bad = [index for index, name in enumerate(names) if not CLASS_NAME.fullmatch(name)]
    if bad:
        said = "must be 1 to 200 characters, none of them a control character"
        faults = [Fault(f"output.classes.{index}", said) for index in bad[:FAULTS_MAX]]
        raise DescriptionInvalid(faults=faults, reason=in_words(faults, found=len(bad)))
