"""The rows of a ledger in plain Python, one class for each table, and what follows from the rows of one model.

They have the columns of the tables by name, so that the two can be compared as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HEAD = "head"
OPEN = ("queued", "running")


class RefusedError(Exception):
    """What was asked is refused with this code, and nothing changed but what the caller did before."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


@dataclass
class Batch:
    number: int
    key: str
    digest: str
    rows: int
    accepted_at: float


@dataclass
class Chunk:
    number: int
    batch_first: int
    batch_last: int
    rows: int
    reason: str
    closed_at: float


@dataclass
class Update:
    number: int
    chunk: int
    created_at: float
    state: str = "queued"
    attempt: int = 0
    failures: int = 0
    prior: int | None = None
    owner: str | None = None
    lease_until: float | None = None
    not_before: float | None = None
    step: int | None = None
    steps: int | None = None
    elbo: float | None = None
    error_code: str | None = None
    started_at: float | None = None
    finished_at: float | None = None

    def let_go(self, state: str) -> None:
        self.state, self.owner, self.lease_until = state, None, None

    def end(self, state: str, now: float) -> None:
        self.let_go(state)
        self.finished_at = now


@dataclass
class Version:
    number: int
    parent: int | None
    chunk: int | None
    update: int | None
    digest: str
    created_at: float


@dataclass
class Move:
    alias: str
    seq: int
    version: int | None
    kind: str
    moved_by: str
    moved_at: float


@dataclass
class Claim:
    model: str
    update: int
    attempt: int
    failures: int
    chunk: int
    prior: int


@dataclass
class Model:
    """Everything of one model, in the order in which it was added; chunks, batches and updates count from 1."""

    name: str
    rows: int
    seconds: float | None
    created_at: float
    batches: list[Batch] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    moves: dict[str, list[Move]] = field(default_factory=dict)

    def chunk_of(self, batch: Batch) -> int | None:
        return next((one.number for one in self.chunks if one.batch_first <= batch.number <= one.batch_last), None)

    def pending(self) -> list[Batch]:
        return [batch for batch in self.batches if self.chunk_of(batch) is None]

    def line(self, version: int) -> list[int]:
        """From this version to the root."""
        parent = self.versions[version].parent
        return [version] if parent is None else [version, *self.line(parent)]

    def learned(self, version: int) -> list[int]:
        """The chunks on its line."""
        return [chunk for one in self.line(version) if (chunk := self.versions[one].chunk) is not None]

    def points_at(self, alias: str) -> int | None:
        history = self.moves.get(alias, [])
        return history[-1].version if history else None

    def head(self) -> int:
        version = self.points_at(HEAD)
        assert version is not None
        return version

    def running(self) -> Update | None:
        return next((update for update in self.updates if update.state == "running"), None)

    def oldest_queued(self) -> Update | None:
        return next((update for update in self.updates if update.state == "queued"), None)
