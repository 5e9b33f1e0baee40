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
    forget: int | None = None

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
    depth: int = 0
    branch: int = 0
    fork: int | None = None
    rows: int = 0
    rows_learned: int = 0
    publication: str = "root"
    head_seq: int = 0


@dataclass
class Omission:
    update: int
    batch: int


@dataclass
class Decision:
    batch: int
    seq: int
    kind: str
    decided_by: str
    decided_at: float


@dataclass
class Forget:
    number: int
    batches: list[int]
    base: int
    head_seq: int
    asked_by: str
    created_at: float
    state: str = "running"
    head: int | None = None
    error_code: str | None = None
    finished_at: float | None = None


@dataclass
class Event:
    number: int
    kind: str
    at: float


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
    batches: tuple[int, ...]
    rows: int
    head_seq: int
    forget: int | None


@dataclass
class Model:
    """Everything of one model, in the order in which it was added; chunks, batches and updates count from 1."""

    name: str
    rows: int
    seconds: float | None
    publish: str
    created_at: float
    batches: list[Batch] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    moves: dict[str, list[Move]] = field(default_factory=dict)
    omissions: set[tuple[int, int]] = field(default_factory=set)
    """(update, batch)."""
    decisions: dict[int, list[Decision]] = field(default_factory=dict)
    forgets: list[Forget] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def chunk_of(self, batch: Batch) -> int | None:
        return next((one.number for one in self.chunks if one.batch_first <= batch.number <= one.batch_last), None)

    def pending(self) -> list[Batch]:
        return [batch for batch in self.batches if self.chunk_of(batch) is None]

    def waiting(self) -> list[Batch]:
        """Those of the pending batches that are to be learned from."""
        return [batch for batch in self.pending() if self.aside(batch.number) is None]

    def aside(self, batch: int) -> str | None:
        """Why the batch is not to be learned from."""
        history = self.decisions.get(batch, [])
        return history[-1].kind if history and history[-1].kind != "release" else None

    def part(self, update: Update) -> list[int]:
        """The batches of its chunk that the update does not leave out."""
        chunk = self.chunks[update.chunk - 1]
        held = range(chunk.batch_first, chunk.batch_last + 1)
        return [batch for batch in held if (update.number, batch) not in self.omissions]

    def line(self, version: int) -> list[int]:
        """From this version to the root."""
        parent = self.versions[version].parent
        return [version] if parent is None else [version, *self.line(parent)]

    def learned(self, version: int) -> list[int]:
        """The batches on its line."""
        made = (self.versions[one].update for one in self.line(version))
        return [batch for update in made if update is not None for batch in self.part(self.updates[update - 1])]

    def points_at(self, alias: str) -> int | None:
        history = self.moves.get(alias, [])
        return history[-1].version if history else None

    def head(self) -> int:
        version = self.points_at(HEAD)
        assert version is not None
        return version

    def running(self) -> Update | None:
        return next((update for update in self.updates if update.state == "running"), None)

    def oldest_queued(self, forget: Forget | None) -> Update | None:
        """Of the steps of this forget, or of the updates that are no steps."""
        number = None if forget is None else forget.number
        return next((one for one in self.updates if (one.state, one.forget) == ("queued", number)), None)

    def forgetting(self) -> Forget | None:
        return next((forget for forget in self.forgets if forget.state == "running"), None)

    def tip(self, forget: Forget) -> int:
        """What the newest of its steps has published."""
        steps = {update.number for update in self.updates if update.forget == forget.number}
        return max((one.number for one in self.versions if one.update in steps), default=forget.base)
