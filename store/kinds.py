"""The closed sets of the ledger: states, kinds and reasons, in the words of the glossary; and names with a meaning."""

from __future__ import annotations

from enum import StrEnum

HEAD = "head"
"""The alias that updates start from and predictions default to."""

CHALLENGER = "challenger"
"""The alias of the newest version that was published without head moving to it."""

ALL_MODELS = "*"
"""The pattern of a key that is for every model, those of others and those to come."""


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
    HOLD = "hold"
    """The challenger is a version that head did not move to."""
    FORGET = "forget"
    """Head left the versions that had learned from some batches."""


class ParkingKind(StrEnum):
    """What was decided about a batch."""

    PARK = "park"
    """It waits for a decision, and nothing learns from it."""
    RELEASE = "release"
    """It is to be learned from, however surprising."""
    DISCARD = "discard"
    """Nothing will learn from it."""
    FORGET = "forget"
    """Nothing will learn from it, and head's line was learned anew without it."""


GIVEN_UP = {ParkingKind.DISCARD, ParkingKind.FORGET}
"""Decisions after which nothing learns from a batch any more."""


class ForgetState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


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
    APPROXIMATE = "approximate"
    """Nothing was learned: batches were divided out of its parent, which was head; head moved by that forget."""
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
