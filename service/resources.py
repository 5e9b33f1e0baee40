"""What the calls answer with. Times are ISO 8601 in UTC; KL, ELBO and entropies are in nats."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from bayes import FamilyName
from service.description_parts import (
    ChunkLimits,
    GatePart,
    Input,
    KeptPredictions,
    Net,
    Output,
    Prior,
    PublishName,
    Recipe,
    Retention,
    SurprisePart,
)
from service.differences import PredictionDifference
from service.schemas import Method
from store.kinds import DeletionKind, ParkingKind, Publication, UpdateState

NextCursor = Annotated[str | None, Field(description="Send it as `cursor` for the rest; null: this was the end.")]
Nats = Annotated[float, Field(description="In nats.")]


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


class Pending(BaseModel):
    batches: int
    rows: int


class ImportedResource(BaseModel):
    """The version of another installation that a model goes on from; version 1, or 0 where nothing was learned."""

    model: str = Field(description="What its model is called there.", examples=["digits"])
    version: int = Field(description="Its number there.")
    digest: str = Field(description="Of its posterior, here and there.")
    root_digest: str = Field(description="Of the root prior, here and there.")
    rows: int = Field(description="Rows that it has learned from there.")
    chunks: int = Field(description="In how many updates.")
    posterity: str = Field(description="The release that exported it.")
    divided: list[str] = Field(
        [],
        description="Digests of the batches whose part was divided out on its line there, by approximate forgets. It "
        "has learned from them all the same.",
    )


class ModelResource(BaseModel):
    """A model: its description with every default resolved, where its aliases point, and how much it has seen."""

    name: str = Field(examples=["digits"])
    net: Net
    input: Input
    output: Output
    family: FamilyName
    prior: Prior
    recipe: Recipe
    chunk: ChunkLimits
    retention: Retention
    predictions: KeptPredictions
    publish: PublishName
    gate: GatePart
    surprise: SurprisePart
    created_at: datetime
    imported: ImportedResource | None = Field(description="Where it was learned before; null: it began here.")
    head: int = Field(description="The version that predictions default to and updates start from.")
    aliases: dict[str, int] = Field(examples=[{"head": 3}])
    versions: int = Field(description="Published versions; the root prior, version 0, is not counted.")
    batches: int
    rows: int
    pending: Pending = Field(description="Accepted, but not in a chunk yet.")
    updates: dict[UpdateState, int] = Field(examples=[{"queued": 0, "running": 1, "published": 3}])
    undecided: int | None = Field(
        description="Where head is moved by hand: the version that waits for it, and with it all further chunks."
    )


class ModelList(BaseModel):
    models: list[ModelResource]
    next_cursor: NextCursor


class TensorResource(BaseModel):
    dtype: str = Field(examples=["float32"])
    shape: list[int]


class BlobResource(BaseModel):
    """A safetensors file that is kept, and what is in it."""

    blob: str = Field(description="sha256 of the bytes; what a prior names it by.", examples=[f"sha256:{'0' * 64}"])
    bytes: int = Field(description="Its size.")
    tensors: dict[str, TensorResource] = Field(
        examples=[{"conv1.weight": {"dtype": "float32", "shape": [20, 1, 5, 5]}}]
    )


class AcceptedBatch(BaseModel):
    """The rows are stored, once, under this key."""

    model: str = Field(examples=["digits"])
    batch: int = Field(examples=[12])
    rows: int = Field(examples=[100])
    state: Literal["accepted"]
    key: str = Field(examples=["2026-11-23T10:00/17"])
    digest: str = Field(description="sha256 of the rows in their stored form, the same for every encoding.")
    accepted_at: datetime


BatchState = Literal["accepted", "in-chunk", "absorbed", "parked", "discarded", "forgotten"]
SET_ASIDE: dict[ParkingKind, BatchState] = {
    ParkingKind.PARK: "parked",
    ParkingKind.DISCARD: "discarded",
    ParkingKind.FORGET: "forgotten",
}


class BatchResource(BaseModel):
    """A batch and how far it has come."""

    model: str
    batch: int
    rows: int
    state: BatchState
    key: str
    digest: str
    accepted_at: datetime
    chunk: int | None
    absorbed_in: list[int] = Field(description="Versions that absorbed its chunk; several after a replay.")
    on_head: bool = Field(description="Whether head has learned from it.")
    deleted_at: datetime | None = Field(None, description="When its rows were deleted; null: they are kept.")


class DeletionResource(BaseModel):
    """The rows of a batch are deleted; that they were there, and what has learned from them, stays known."""

    model: str
    batch: int
    digest: str
    kind: DeletionKind = Field(description="By the model's retention, or because somebody asked.")
    deleted_by: str
    reason: str
    deleted_at: datetime
    bytes_removed: bool = Field(
        description="false: a batch, version or prior has the same bytes, or a worker is about to remove them. "
        "A key for some models is told of these alone: true also where only others have the same bytes."
    )
    learned_by: list[int] = Field(description="The versions that have the batch in their evidence. They stay.")


class BatchList(BaseModel):
    batches: list[BatchResource]
    next_cursor: NextCursor


class ProgressResource(BaseModel):
    step: int
    steps: int | None
    elbo: float | None


class ErrorResource(BaseModel):
    code: str
    message: str


class UpdateResource(BaseModel):
    """The absorption of one chunk into one prior."""

    model: str
    update: int
    chunk: int
    rows: int = Field(description="Rows of the chunk, with those of omitted batches.")
    batches: list[int] = Field(description="Those that it learns from.")
    omitted: list[int] = Field(description="Batches of the chunk that were parked, discarded or forgotten.")
    forget: int | None = Field(description="The forget that it is a step of.")
    state: UpdateState
    attempt: int
    prior: int | None = Field(description="The version it starts from; null while it waits.")
    version: int | None = Field(description="The version it has become.")
    progress: ProgressResource | None
    report: dict[str, Any] | None = Field(description="How it went: ELBO parts, KL per layer, and more.")
    warnings: list[str]
    error: ErrorResource | None = Field(description="Why the last attempt failed.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class UpdateList(BaseModel):
    updates: list[UpdateResource]
    next_cursor: NextCursor


class ReplayResource(BaseModel):
    updates: list[UpdateResource]


RowId = Annotated[
    str | None, Field(None, description="The name that a label of this row is posted under; absent: it is not kept.")
]


class CategoricalAnswer(BaseModel):
    """One row's prediction: entropy = aleatoric + mutual_information, in nats."""

    label: int = Field(description="The most probable class.", examples=[3])
    name: str | None = Field(None, description="Its name, when the model names its classes.")
    probabilities: list[float]
    entropy: Nats
    aleatoric: Nats = Field(description="The part that more data would not take away, in nats.")
    mutual_information: Nats = Field(description="The part that more data could take away, in nats.")
    prediction: RowId


class GaussianAnswer(BaseModel):
    """One row's prediction, in label units: std^2 = epistemic_std^2 + noise_std^2."""

    mean: list[float]
    std: list[float]
    epistemic_std: list[float]
    noise_std: list[float]
    lower: list[float] = Field(description="Lower end of the central interval.")
    upper: list[float] = Field(description="Its upper end.")
    prediction: RowId


class PredictionResource(BaseModel):
    """One answer per row of the inputs, in their order, and all it takes to get the same bytes again."""

    model: str = Field(examples=["digits"])
    version: int = Field(examples=[3])
    digest: str
    method: Method = Field(description="The one that answered.")
    samples: int | None = Field(description="Draws of the ensemble; null for other methods.", examples=[None])
    seed: int | None = Field(description="Which draws; null for other methods.", examples=[None])
    instead_of: Literal["moments"] | None = Field(
        None, description="What was asked for, where this model cannot answer so; else absent."
    )
    because: str | None = Field(None, description="Why it cannot; else absent.")
    interval: float | None = Field(
        None, description="Probability of the intervals; absent for classes.", examples=[0.9]
    )
    outputs: list[CategoricalAnswer] | list[GaussianAnswer]
    prediction: str | None = Field(None, description="Its id, where it is kept for later labels; else absent.")
    kept_until: datetime | None = Field(None, description="Until when; else absent.")


class EvidenceResource(BaseModel):
    rows: int
    chunks: list[int] | None = Field(description="null: in a list, where there are many; GET the version by itself.")
    batches: list[int] | None = Field(description="As `chunks`.")
    elsewhere: int = Field(description="Of the rows, those that were learned from before the model was imported.")
    divided: list[int] = Field(
        description="Of the batches, those whose part was divided out on this line by an approximate forget. It has "
        "learned from them all the same."
    )


class VersionResource(BaseModel):
    """An immutable posterior, and what it was learned from."""

    model: str
    version: int
    parent: int | None
    chunk: int | None
    update: int | None
    digest: str
    rows: int = Field(
        description="Rows that it absorbed: of its chunk, without batches that were set aside; or all of elsewhere."
    )
    evidence: EvidenceResource = Field(description="Everything on its line, each batch once.")
    kl_nats: float = Field(description="KL from its parent, in nats.")
    prequential: dict[str, float | None] | None = Field(
        description="Scores of its parent on its chunk, before it was absorbed; null: beyond the numbers of JSON."
    )
    seconds: float | None
    recipe: Recipe
    report: dict[str, Any]
    aliases: list[str] = Field(description="The aliases that point here now.")
    created_at: datetime
    depth: int = Field(description="How many versions lie before it on its line.")
    branch: int = Field(description="A run of versions, each learned from the one before it; the first is 0.")
    fork: int | None = Field(description="The version that its branch starts from; null on the first branch.")
    publication: Publication = Field(description="Whether head moved to it when it was published, or why it did not.")


class VersionList(BaseModel):
    versions: list[VersionResource]
    next_cursor: NextCursor


class LayersKl(BaseModel):
    total: float
    layers: dict[str, float]


class ComparisonResource(BaseModel):
    """How two versions differ."""

    model: str
    version: int
    other: int
    kl_nats: LayersKl = Field(description="KL(version || other).")
    common_ancestor: int = Field(description="The newest version that both were learned from.")
    rows_only_in_version: int
    rows_only_in_other: int
    chunks_only_in_version: list[int]
    chunks_only_in_other: list[int]
    batches_only_in_version: list[int]
    batches_only_in_other: list[int]
    predictions: PredictionDifference | None = Field(
        description="How their predictions of the same rows differ; null: no rows were named or sent."
    )
