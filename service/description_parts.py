"""The parts of a description, each with its fields, defaults and bounds, as they are in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from bayes.surprise import THRESHOLD

YEAR_SECONDS = 365 * 86_400.0
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
    names: Annotated[list[str], FIRST_FAULT] | None = Field(
        None,
        exclude_if=lambda names: names is None,
        description="What the numbers of a flat row are called, each of at most 200 characters; the columns of tables "
        "are matched by them.",
    )


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
