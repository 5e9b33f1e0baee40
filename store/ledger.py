"""What clients write: models, batches, chunks and moves. One call is one transaction.

Every write that concerns a model first takes that model's row lock (on SQLite, the write lock), so numbers are given
out in the order of the commits and a chunk's range of batches cannot miss one that commits late.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError

from store.accepting import Posted, accept_in_order, overdue
from store.claims import ended
from store.closing import close_pending
from store.engine import Clock, database_clock, for_writing
from store.errors import AlreadyAbsorbed, ChunkBusy, ModelExists, RowsDeleted, UpdateFinished
from store.events import tell
from store.forgets import abandon
from store.kinds import HEAD, CloseReason, EventKind, ForgetState, MoveKind, Publication, UpdateState
from store.queries import deleted_among, find_chunk, find_model, find_update, set_aside
from store.schema.learning import models, updates, versions
from store.tombstones import digests_of_prior, must_not_be_buried, readmit
from store.tree import learned_among
from store.values import Accepted, Json, ModelRow, UpdateRow
from store.waker import announce
from store.writes import head_of, insert_move, insert_once, lock_model, queue_update

REFUSED = (DataError, IntegrityError)
"""What a value is seen by that the database does not store."""


class Ledger:
    """The writes of clients; `clock` tells the time inside a transaction, by default the database's."""

    def __init__(self, engine: Engine, *, clock: Clock = database_clock) -> None:
        self.engine = for_writing(engine)
        self.reading = engine
        self.clock = clock

    def create_model(
        self, name: str, description: Json, root_digest: str, *, posted: Json | None = None, actor: str = "service"
    ) -> tuple[ModelRow, bool]:
        """A model of this name and description exists, with its root prior as version 0 and head; True when new.

        `posted` is the description as the client wrote it: that again is the same model, also where another release
        resolves it otherwise.

        Raises:
            ModelExists: the name belongs to a model with another description.
            BlobBuried: the root, or what the prior names, is being removed; nothing was stored.
        """
        with self.engine.begin() as connection:
            must_not_be_buried(connection, {root_digest, *digests_of_prior(description)})
            now = self.clock(connection)
            values = {"name": name, "description": description, "posted": posted, "created_at": now}
            if not insert_once(connection, models, values):
                model = find_model(connection, name)
                if not model.is_described_by(description, posted):
                    raise ModelExists(model=name)
                return model, False
            model = find_model(connection, name)
            connection.execute(
                insert(versions).values(
                    model_id=model.id,
                    number=0,
                    digest=root_digest,
                    kl_nats=0.0,
                    report={},
                    created_at=now,
                    publication=Publication.ROOT,
                )
            )
            root = {"alias": HEAD, "version": 0, "kind": MoveKind.CREATE, "moved_by": actor, "reason": "root prior"}
            insert_move(connection, model.id, root | {"moved_at": now})
            return model, True

    def accept(
        self,
        name: str,
        *,
        key: str,
        digest: str,
        rows: int,
        label_counts: dict[str, int],
        traceparent: str | None = None,
    ) -> Accepted:
        """The batch under this key is stored, once; its chunk is closed when that fills it.

        Raises:
            ModelNotFound, SQLAlchemyError: as from `accept_all`.
            IdempotencyKeyReused: the key names a batch with other rows.
        """
        answer = self.accept_all(name, [Posted(key, digest, rows, label_counts, traceparent)])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def accept_all(self, name: str, posted: Sequence[Posted]) -> Sequence[Accepted | Exception]:
        """Each batch is accepted or refused as if they had come one after the other, in one transaction.

        Raises:
            ModelNotFound: there is none of this name.
            BlobBuried: bytes that a new batch names are being removed; none of them is stored.
            SQLAlchemyError: the database cannot be written to; none of them is stored.
        """
        try:
            with self.engine.begin() as connection:
                model = lock_model(connection, name)
                return accept_in_order(connection, model, posted, now=self.clock(connection), close=self.close_full)
        except REFUSED:
            if len(posted) == 1:
                raise
        # The database refuses one of them, and so the transaction of all: each has its own then.
        return [self._accept_alone(name, one) for one in posted]

    def _accept_alone(self, name: str, posted: Posted) -> Accepted | Exception:
        try:
            return self.accept_all(name, [posted])[0]
        except Exception as error:  # noqa: BLE001 - It is the answer to this one, and not to the others.
            return error

    def readmit(self, digests: Collection[str], *, settle_seconds: float) -> None:
        """These digests may be named again; their bytes may be gone, and are to be written after this.

        `settle_seconds`: how long after a removal began the store may still carry it out.

        Raises:
            BlobBuried: the removal of some began later than that.
        """
        with self.engine.begin() as connection:
            readmit(connection, digests, begun_before=self.clock(connection) - settle_seconds)

    def close(self, name: str) -> UpdateRow:
        """The pending rows are a chunk, and an update waits for a worker.

        Raises:
            NothingPending: no batch waits outside a chunk.
        """
        with self.engine.begin() as connection:
            return self._close(connection, lock_model(connection, name), CloseReason.DEMAND)

    def close_due(self) -> list[tuple[str, int]]:
        """Chunks whose oldest row has waited as long as its model allows are closed; the (model, chunk) pairs."""
        closed = []
        with self.reading.begin() as connection:
            due = overdue(connection, self.clock(connection))
        for name in due:
            with self.engine.begin() as connection:
                model = lock_model(connection, name)
                # Since the look another worker may have closed it, or somebody may have set the row aside.
                if overdue(connection, self.clock(connection), models.c.id == model.id):
                    closed.append((name, self._close(connection, model, CloseReason.AGE).chunk.number))
        return closed

    def cancel(self, name: str, number: int) -> UpdateRow:
        """The update is cancelled; its chunk stays, to be replayed. A worker that runs it finds its lease gone.

        A forget that it is a step of is cancelled as a whole.

        Raises:
            UpdateFinished: it was published, failed or cancelled before.
        """
        with self.engine.begin() as connection:
            model, now = lock_model(connection, name), self.clock(connection)
            open_ = (UpdateState.QUEUED, UpdateState.RUNNING)
            this = (updates.c.model_id == model.id, updates.c.number == number)
            changed = connection.execute(
                update(updates).where(*this, updates.c.state.in_(open_)).values(ended(UpdateState.CANCELLED, now))
            )
            found = find_update(connection, model, number)
            if changed.rowcount == 0:
                raise UpdateFinished(what=f"Update {number}", model=name, state=found.state)
            tell(connection, model.id, EventKind.CANCELLED, {"update": number, "chunk": found.chunk.number}, at=now)
            if found.forget is not None:
                error = {"error_code": "cancelled", "error_message": f"Its update {number} was cancelled."}
                abandon(connection, model, found.forget, state=ForgetState.CANCELLED, error=error, now=now)
            announce(connection)
            return found

    def replay(self, name: str, numbers: Sequence[int]) -> list[UpdateRow]:
        """New updates wait to absorb these chunks, in this order, on the present line: all of them or none.

        Batches that were set aside, or that head has learned from alone, are left out. A chunk that is named twice is
        absorbed once.

        Raises:
            AlreadyAbsorbed: head has learned from all that is left of one of the chunks.
            RowsDeleted: rows of one of them are gone.
            ChunkBusy: an update of one of them is queued or running.
        """
        with self.engine.begin() as connection:
            model = lock_model(connection, name)
            head = head_of(connection, model)
            return [self._replay(connection, model, number, head=head) for number in dict.fromkeys(numbers)]

    def _replay(self, connection: Connection, model: ModelRow, number: int, *, head: int) -> UpdateRow:
        chunk = find_chunk(connection, model, number)
        aside = set_aside(connection, model.id, chunk.batch_first, chunk.batch_last)
        learned = learned_among(connection, model.id, head, chunk=number, among=chunk.batches)
        chosen = [batch for batch in chunk.batches if batch not in aside | learned]
        if learned and not chosen:
            raise AlreadyAbsorbed(chunk=number, model=model.name, version=head)
        if gone := deleted_among(connection, model.id, chosen):
            raise RowsDeleted(model=model.name, batches=", ".join(map(str, gone)))
        busy = connection.execute(
            select(updates.c.number).where(
                updates.c.model_id == model.id,
                updates.c.chunk == number,
                updates.c.state.in_((UpdateState.QUEUED, UpdateState.RUNNING)),
            )
        ).scalar()
        if busy is not None:
            raise ChunkBusy(chunk=number, model=model.name, update=busy)
        return queue_update(connection, model, number, now=self.clock(connection), omitted=sorted(learned))

    def _close(self, connection: Connection, model: ModelRow, reason: CloseReason) -> UpdateRow:
        return close_pending(connection, model, reason, now=self.clock(connection))

    def close_full(self, connection: Connection, model: ModelRow) -> int:
        """The pending rows, which fill a chunk, are one; its number. Part of the caller's transaction."""
        return self._close(connection, model, CloseReason.ROWS).chunk.number
