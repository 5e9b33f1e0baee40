"""The resources about what is learned from: decisions, forgets and metrics."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from client.values import Json, Progress, Resource, UpdateError

ForgetMethod = Literal["replay", "approximate"]
ForgetState = Literal["running", "done", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Decision(Resource):
    """What was decided about a batch, and what led to it."""

    batch: int
    seq: int
    kind: str
    decided_by: str
    reason: str
    surprise: Json | None
    decided_at: datetime


@dataclass(frozen=True, kw_only=True)
class Parked(Resource):
    """A batch that waits for a decision; `surprise` says how head predicted its rows, where that is why."""

    batch: int
    rows: int
    chunk: int | None
    accepted_at: datetime
    parked_by: str
    reason: str
    surprise: Json | None
    parked_at: datetime


@dataclass(frozen=True)
class Steps:
    """How many chunks are learned again, and how many of them were."""

    published: int
    all: int
    running: Progress | None = None


@dataclass(frozen=True, kw_only=True)
class Forget(Resource):
    """Head's line, learned anew without these batches; `head` is where head moved to, once it is done.

    By the method "approximate", `divided` are the batches whose part was divided out of `base`, and `approximation` is
    what was measured of that. Their evidence stays.
    """

    model: str
    forget: int
    batches: tuple[int, ...]
    method: str
    state: ForgetState
    base: int
    head: int | None
    updates: tuple[int, ...]
    steps: Steps
    divided: tuple[int, ...] = ()
    approximation: Json | None = None
    warnings: tuple[str, ...] = ()
    asked_by: str
    reason: str
    error: UpdateError | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class BatchMetrics:
    """A batch, as the version that was head predicted it before anything learned from it."""

    batch: int
    version: int
    update: int
    rows: int
    metrics: dict[str, float | None] | None
    running: dict[str, float | None] | None
    windowed: dict[str, float | None] | None
    surprise: Json | None
    scored_at: datetime
    standard_errors: dict[str, float | None] | None = None
    running_standard_errors: dict[str, float | None] | None = None
    windowed_standard_errors: dict[str, float | None] | None = None


@dataclass(frozen=True)
class Notice:
    """What an update had to say."""

    kind: str
    update: int
    version: int
    batch: int | None
    message: str


@dataclass(frozen=True, kw_only=True)
class Metrics(Resource):
    """The test-then-train series of a model."""

    model: str
    window: int
    rows: int
    metrics: dict[str, float | None] | None
    standard_errors: dict[str, float | None] | None = None
    batches: tuple[BatchMetrics, ...]
    notices: tuple[Notice, ...]
