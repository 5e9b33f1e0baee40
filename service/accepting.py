"""Batches that come while others are written are written next, together: one transaction, one flush of the disk."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.gathering import Gathering, Waiting
from service.keeping import discard, keep_and_name
from store.accepting import Answer, Posted, needs_no_bytes
from store.blobs import Blobs, digest_of
from store.collecting import Collecting
from store.errors import BlobBuried
from store.history import History
from store.ledger import Ledger
from store.values import Accepted

WRITERS = 2
"""Of different models."""


@dataclass(frozen=True)
class Batch:
    """The rows of one batch in the form in which they are stored, under the client's key."""

    key: str
    data: bytes
    rows: int
    label_counts: dict[str, int]
    traceparent: str | None = None


class Accepting:
    """Stores batches: one writer for each model at a time, with up to 64 of those who wait."""

    def __init__(
        self, blobs: Blobs, ledger: Ledger, history: History, collecting: Collecting, *, items_max: int, bytes_max: int
    ) -> None:
        self._blobs = blobs
        self._ledger = ledger
        self._history = history
        self._collecting = collecting
        self._gathering: Gathering[str, Batch, Accepted] = Gathering(
            self._accept, threads=WRITERS, items_max=items_max, bytes_max=bytes_max, name="accept"
        )

    async def add(self, model: str, batch: Batch) -> Accepted:
        """The batch is stored once under its key, durably.

        Raises:
            Overloaded: too many wait already.
            Unavailable: the service is stopping, or the store cannot be written to.
            IdempotencyKeyReused: the key names a batch with other rows.
            ModelNotFound, SQLAlchemyError: as from the ledger.
        """
        answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._gathering.put(model, Waiting(batch, len(batch.data), math.inf, answer), is_shared=True)
        return await answer

    @property
    def items(self) -> int:
        """How many wait that nobody has begun with."""
        return self._gathering.items

    def close(self) -> None:
        """Those who wait are refused, and no thread is left."""
        self._gathering.close()

    def _accept(self, model: str, waiting: Sequence[Waiting[Batch, Accepted]]) -> Sequence[Accepted | BaseException]:
        batches = [one.item for one in waiting]
        settled = self._settled(model, batches)
        left = [batch for batch, answer in zip(batches, settled, strict=True) if answer is None]
        written = iter(self._write(model, left) if left else ())
        return [next(written) if answer is None else answer for answer in settled]

    def _settled(self, model: str, batches: Sequence[Batch]) -> Sequence[Answer | None]:
        """The answers to keys that are known and for which nothing is written; None: something may be."""
        known = self._history.batches_named(model, [batch.key for batch in batches])
        return [
            needs_no_bytes(model, _posted(batch, digest_of(batch.data)), known[batch.key])
            if batch.key in known
            else None
            for batch in batches
        ]

    def _write(self, model: str, batches: Sequence[Batch]) -> Sequence[Accepted | BaseException]:
        """The answers; those whose bytes are being removed are refused, and the others are stored all the same."""
        try:
            return self._write_all(model, batches)
        except BlobBuried as buried:
            refused = [digest_of(batch.data) in buried.digests for batch in batches]
            if not any(refused):
                raise
            left = [batch for batch, is_refused in zip(batches, refused, strict=True) if not is_refused]
            written = iter(self._write(model, left) if left else ())
            return [buried if is_refused else next(written) for is_refused in refused]

    def _write_all(self, model: str, batches: Sequence[Batch]) -> Sequence[Accepted | BaseException]:
        posted: list[Posted] = []

        def write(digests: list[str]) -> Sequence[Accepted | BaseException]:
            posted[:] = map(_posted, batches, digests)
            return self._ledger.accept_all(model, posted)

        answers = keep_and_name(self._blobs, self._ledger, [batch.data for batch in batches], write)
        # Since the look somebody may have used the key, or given the rows up.
        named = zip(posted, answers, strict=True)
        if needless := {one.digest for one, answer in named if not _keeps_rows(answer)}:
            discard(self._collecting, needless)
        return answers


def _posted(batch: Batch, digest: str) -> Posted:
    return Posted(batch.key, digest, batch.rows, batch.label_counts, batch.traceparent)


def _keeps_rows(answer: Accepted | BaseException) -> bool:
    return isinstance(answer, Accepted) and answer.batch.deleted_at is None
