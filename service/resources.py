"""What the calls about models, blobs, updates and versions answer with. Times are ISO 8601 in UTC; KL is in nats."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

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
from store.kinds import Publication, UpdateState

NextCursor = Annotated[str | None, Field(description="Send it as `cursor` for the rest; null: this was the end.")]


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


class EvidenceResource(BaseModel):
    rows: int = Field(description="Of its batches; those that a gate held out of learning are among them.")
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
    rows_only_in_version: int = Field(description="With those that an imported version learned elsewhere.")
    rows_only_in_other: int
    chunks_only_in_version: list[int]
    chunks_only_in_other: list[int]
    batches_only_in_version: list[int]
    batches_only_in_other: list[int]
    predictions: PredictionDifference | None = Field(
        description="How their predictions of the same rows differ; null: no rows were named or sent."
    )
