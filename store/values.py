"""What the ledger answers with: frozen rows, in the words of the glossary. Times are seconds since 1970 (UTC).

The rows of what one module alone keeps, as keys, are beside its functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from store.kinds import CloseReason, MoveKind, ParkingKind, Publication, UpdateState
from store.runs import Runs

Json = dict[str, Any]

DEFAULTS_SINCE: Json = {
    "publish": "always",
    "gate": {"held_out": 0.2, "accuracy": 0.01, "nll": 0.1, "standard_errors": 1.0},
    "surprise": {"park": False, "threshold": 2.5},
    "predictions": {"keep": False, "seconds": 604_800.0},
}
"""What descriptions that were stored before a field existed mean by not having it."""


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
        return DEFAULTS_SINCE | description == DEFAULTS_SINCE | self.description or (
            posted is not None and posted == self.posted
        )


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
    aside: ParkingKind | None = None
    """Why it is not to be learned from; None where it is."""
    traceparent: str | None = None
    """The span of the request that posted it, where that was traced."""


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
    forget: int | None
    """The forget that it is a step of."""
    omitted: frozenset[int]
    """Batches of the chunk that it leaves out."""

    @property
    def batches(self) -> list[int]:
        return [batch for batch in self.chunk.batches if batch not in self.omitted]


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


@dataclass(frozen=True, slots=True)
class Part:
    """What one version has absorbed: a chunk, or what is left of it without some batches."""

    version: int
    chunk: int
    rows: int
    span: tuple[int, int]
    """The first and the last batch of the chunk."""
    omitted: frozenset[int]

    @property
    def batches(self) -> list[int]:
        return [batch for batch in range(self.span[0], self.span[1] + 1) if batch not in self.omitted]

    @property
    def left_out(self) -> list[int]:
        return sorted(self.omitted)


@dataclass(frozen=True)
class Evidence:
    """What a version has learned from: the chunks on its line, and the batches of them, each once."""

    rows: int
    chunk_runs: Runs
    batch_runs: Runs

    @property
    def chunks(self) -> list[int]:
        return self.chunk_runs.numbers

    @property
    def batches(self) -> list[int]:
        return self.batch_runs.numbers


@dataclass(frozen=True)
class Scored:
    """How a version predicted a batch before anything learned from it; None where it predicted nothing finite."""

    batch: int
    scores: Json | None
    surprise: Json | None = None


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
    batches: tuple[int, ...]
    """Those of the chunk that are to be learned from."""
    batch_digests: tuple[str, ...]
    rows: int
    released: frozenset[int]
    """Those that are to be learned from however surprising they are."""
    lease_seconds: float
    head_seq: int
    """Head's newest move when it was claimed."""
    forget: int | None = None
    """The forget that it is a step of: its prior is not head, and head does not move before the last step."""
    traceparents: tuple[str | None, ...] = ()
    """Of each batch, the span of the request that posted it, where that was traced."""


@dataclass(frozen=True)
class Progress:
    step: int
    steps: int
    elbo: float
