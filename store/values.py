"""What the ledger answers with: frozen rows, in the words of the glossary. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

HEAD = "head"
"""The alias that updates start from and predictions default to."""

ALL_MODELS = "*"
"""The pattern of a key that is for every model, those of others and those to come."""

Json = dict[str, Any]


class UpdateState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PUBLISHED = "published"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (UpdateState.QUEUED, UpdateState.RUNNING)
"""The states of an update that has not ended."""


class MoveKind(StrEnum):
    CREATE = "create"
    PUBLISH = "publish"
    PUT = "put"
    ROLLBACK = "rollback"
    REMOVE = "remove"


class Publication(StrEnum):
    """What became of head when a version was published: it moved, or why it did not."""

    ROOT = "root"
    HEAD = "head"
    GATED = "gated"
    """It was worse than its parent on rows that neither has learned from."""
    MANUAL = "manual"
    """Head is moved by hand."""
    ASIDE = "aside"
    """It is part of a line that is learned anew, and head moves to the end of that."""
    IMPORTED = "imported"


class EventKind(StrEnum):
    """What happened to a model."""

    ACCEPTED = "accepted"
    CLOSED = "closed"
    STARTED = "started"
    PUBLISHED = "published"
    HELD = "held"
    """A version was published, and head did not move to it."""
    MOVED = "moved"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARKED = "parked"
    RELEASED = "released"
    DISCARDED = "discarded"
    DELETED = "deleted"
    FORGOTTEN = "forgotten"
    """Head moved to a line that has not learned from some batches."""


class DeletionKind(StrEnum):
    """Why the rows of a batch were given up: by the model's retention, or because somebody asked."""

    RETENTION = "retention"
    DEMAND = "demand"


class Scope(StrEnum):
    """What a key allows: to read models and predict, to post rows, or everything."""

    PREDICT = "predict"
    INGEST = "ingest"
    ADMIN = "admin"


class CloseReason(StrEnum):
    """Why a chunk was closed: its rows reached the model's size, its oldest row its age, or somebody asked."""

    ROWS = "rows"
    AGE = "age"
    DEMAND = "demand"


@dataclass(frozen=True)
class ModelRow:
    id: int
    name: str
    description: Json
    """With every default resolved by the release that created the model."""
    posted: Json | None
    """As the client wrote it; None for models from before this was kept."""
    imported: Json | None
    """Where it was learned, for a model that came from another installation."""
    created_at: float

    def is_described_by(self, description: Json, posted: Json | None) -> bool:
        """True where this is the same model: as it was posted, or as it resolves."""
        return description == self.description or (posted is not None and posted == self.posted)


@dataclass(frozen=True)
class Counters:
    """How much a model has accepted, what of it waits outside a chunk, and its updates by state."""

    versions: int
    batches: int
    rows: int
    pending_batches: int
    pending_rows: int
    updates: dict[UpdateState, int]


@dataclass(frozen=True)
class BatchRow:
    number: int
    key: str
    digest: str
    rows: int
    label_counts: dict[str, int]
    accepted_at: float
    chunk: int | None
    """The chunk the batch is in; None while it is only accepted."""
    deleted_at: float | None = None
    """When its rows were given up; None while they are kept."""


@dataclass(frozen=True)
class Accepted:
    batch: BatchRow
    is_replay: bool
    """True when the key was known and nothing new was stored."""


@dataclass(frozen=True)
class ChunkRow:
    number: int
    batch_first: int
    batch_last: int
    rows: int
    reason: CloseReason
    closed_at: float

    @property
    def batches(self) -> range:
        return range(self.batch_first, self.batch_last + 1)


@dataclass(frozen=True)
class UpdateRow:
    number: int
    chunk: ChunkRow
    state: UpdateState
    attempt: int
    """How often it was claimed; also the fencing token of the claim."""
    failures: int
    prior: int | None
    step: int | None
    steps: int | None
    elbo: float | None
    error_code: str | None
    error_message: str | None
    version: int | None
    report: Json | None
    created_at: float
    started_at: float | None
    finished_at: float | None


@dataclass(frozen=True)
class VersionRow:
    number: int
    parent: int | None
    chunk: int | None
    update: int | None
    digest: str
    rows: int
    kl_nats: float
    report: Json
    created_at: float
    depth: int
    """How many versions lie before it on its line."""
    branch: int
    fork: int | None
    """The version that its branch starts from; None on the first branch."""
    rows_learned: int
    """All rows on its line."""
    publication: Publication


@dataclass(frozen=True)
class Evidence:
    """What a version has learned from: every chunk on its line, and the batches in them, each once."""

    chunks: tuple[ChunkRow, ...]

    @property
    def rows(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)

    @property
    def batches(self) -> list[int]:
        return [batch for chunk in self.chunks for batch in chunk.batches]


@dataclass(frozen=True)
class Deletion:
    """A batch whose rows were given up; what it was, and what was learned from it, stays known."""

    batch: int
    digest: str
    kind: DeletionKind
    deleted_by: str
    reason: str
    deleted_at: float
    bytes_removed: bool
    """False: something else has the same bytes, or they are still to be removed."""
    learned_by: tuple[int, ...]
    """The versions that have the batch in their evidence."""


@dataclass(frozen=True)
class MoveRow:
    alias: str
    seq: int
    version: int | None
    previous: int | None
    kind: MoveKind
    moved_by: str
    reason: str
    moved_at: float


@dataclass(frozen=True)
class EventRow:
    """Something that happened; `number` counts the model's events in the order of their commits."""

    number: int
    kind: EventKind
    facts: Json
    at: float


@dataclass(frozen=True)
class KeyRow:
    """A key as the ledger knows it; the key itself is nowhere."""

    name: str
    hash: str = field(repr=False)
    scopes: frozenset[Scope]
    models: str
    """Which models it is for: a pattern as of `fnmatch`, where * stands for all."""
    requests_per_minute: int | None
    created_by: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None

    @property
    def is_for_all(self) -> bool:
        return self.models == ALL_MODELS

    def is_for(self, model: str) -> bool:
        return fnmatchcase(model, self.models)

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True)
class Resolved:
    """Which version a prediction is to be answered by, as of one moment."""

    model: str
    version: int
    digest: str


@dataclass(frozen=True)
class Claim:
    """The right to absorb one chunk into one prior while the lease is renewed; `attempt` fences out earlier holders."""

    model_id: int
    model: str
    description: Json
    update: int
    attempt: int
    failures: int
    """Attempts that failed before this one."""
    chunk: ChunkRow
    prior: int
    prior_digest: str
    root_digest: str
    batch_digests: tuple[str, ...]
    lease_seconds: float


@dataclass(frozen=True)
class Progress:
    step: int
    steps: int
    elbo: float
