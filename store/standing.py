"""Where a model stands, as metrics tell it."""

from __future__ import annotations

from dataclasses import dataclass, field

from store.kinds import UpdateState
from store.values import Json


@dataclass(frozen=True)
class Learned:
    """A version that an update published, and what its report says."""

    number: int
    rows: int
    kl_nats: float
    seconds: float | None
    steps: int | None
    steps_seconds: float | None
    """Of `seconds`, those that the steps took."""
    gpu_bytes_peak: int | None
    prequential: Json
    """How head predicted the rows of its chunk before: their number, and each score; empty where nothing was finite."""


@dataclass
class Standing:
    """Where one model stands."""

    name: str
    batches: int = 0
    versions: int = 0
    updates: dict[UpdateState, int] = field(default_factory=lambda: dict.fromkeys(UpdateState, 0))
    head: int | None = None
    head_moves: int = 0
    head_moved_at: float | None = None
    pending_batches: int = 0
    pending_rows: int = 0
    queued_rows: int = 0
    """In chunks whose updates are queued or running."""
    waiting_since: float | None = None
    """When the oldest row was accepted that no version has learned from."""
    lag_seconds: float | None = None
    """Of the chunk that was the last to be live: from its first batch to the move of head."""
    learned: list[Learned] = field(default_factory=list)
    """The newest versions, oldest first."""
    surprises: list[tuple[float | None, bool]] = field(default_factory=list)
    """z of the batches that were scored last, oldest first, and whether that is surprising; None: beyond all bounds."""
    parked: int = 0
    webhooks: int = 0
    webhooks_failing: int = 0
    webhook_events: int = 0
    """That the webhook furthest behind has not been sent."""


@dataclass(frozen=True)
class Overview:
    """All models, or those created first."""

    models: int
    now: float
    standings: list[Standing]
