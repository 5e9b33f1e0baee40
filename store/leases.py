"""What workers write: claim, renew, publish, fail, release. One call is one transaction.

A lease lies on the update row, timed by the database's clock. `attempt` counts the claims and fences: every later
write of a claim is conditional on the row being still `running` in that very attempt, so a worker that woke up late
changes nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection, CursorResult, Engine, and_, case, exists, func, insert, select, update
from sqlalchemy.sql import ColumnElement

from store.engine import Clock, database_clock, for_writing
from store.errors import AlreadyAbsorbed, HeadMoved, LeaseLost
from store.queries import evidence_of, find_chunk, find_version, newest_move, to_model
from store.schema import batches, models, updates, versions
from store.values import HEAD, Claim, Json, ModelRow, MoveKind, Progress, UpdateState, VersionRow
from store.waker import announce
from store.writes import insert_move, lock_model

running = updates.alias("running")

EXPIRED_CODE = "lease-expired"
EXPIRED_MESSAGE = "The worker fell silent for longer than its lease; it may have been killed or run out of memory."


class Leases:
    """The writes of workers; `clock` tells the time inside a transaction, by default the database's."""

    def __init__(
        self, engine: Engine, *, lease_seconds: float, attempts_max: int, clock: Clock = database_clock
    ) -> None:
        self.engine = for_writing(engine)
        self.reading = engine
        self.lease_seconds = lease_seconds
        self.attempts_max = attempts_max
        self.clock = clock

    def claim(self, owner: str) -> Claim | None:
        """The oldest queued update of a model that no worker is busy with, now running under our lease; or None.

        Leases that ran out are taken away first. A queued chunk that head has learned from meanwhile fails.
        """
        if not self._is_worth_a_look():
            return None
        with self.engine.begin() as connection:
            self._expire(connection)
            model = self._claimable(connection)
            return None if model is None else self._claim(connection, model, owner)

    def renew(self, claim: Claim, progress: Progress | None = None) -> None:
        """The lease runs anew from now, and the progress is readable.

        Raises:
            LeaseLost: the attempt is over (expired, cancelled or published).
            HeadMoved: publishing would be refused, so going on is of no use.
        """
        with self.engine.begin() as connection:
            values: Json = {"lease_until": self.clock(connection) + claim.lease_seconds}
            if progress is not None:
                values |= {"step": progress.step, "steps": progress.steps, "elbo": progress.elbo}
            self._write_as_holder(connection, claim, values)
            head = newest_move(connection, claim.model_id, HEAD)
            if head is None or head.version != claim.prior:
                raise HeadMoved(model=claim.model, prior=claim.prior, update=claim.update)

    def publish(self, claim: Claim, *, digest: str, kl_nats: float, report: Json) -> VersionRow:
        """A version with this posterior exists, head points at it, the update is published: all of it or nothing.

        Raises:
            LeaseLost: another attempt holds the update; nothing changed.
            HeadMoved: head is not the prior any more; the update is back in the queue.
        """
        with self.engine.begin() as connection:
            now = self.clock(connection)
            model = lock_model(connection, claim.model)
            head = newest_move(connection, claim.model_id, HEAD)
            if head is None or head.version != claim.prior:
                self._requeue(connection, claim)
                moved = HeadMoved(model=claim.model, prior=claim.prior, update=claim.update)
            else:
                self._write_as_holder(connection, claim, _ended(UpdateState.PUBLISHED, now))
                facts = {"digest": digest, "kl_nats": kl_nats, "report": report, "created_at": now}
                number = self._insert_version(connection, claim, facts)
                return find_version(connection, model, number)
        raise moved

    def release(self, claim: Claim) -> None:
        """The update waits in the queue again, at once and without a failed attempt; for a drain or a moved head.

        Raises:
            LeaseLost: the attempt is over already.
        """
        with self.engine.begin() as connection:
            lock_model(connection, claim.model)
            self._requeue(connection, claim)

    def fail(self, claim: Claim, *, code: str, message: str) -> UpdateState:
        """The attempt counts as failed: the update waits for the next one, or has failed for good; the new state.

        Raises:
            LeaseLost: the attempt is over already.
        """
        with self.engine.begin() as connection:
            lock_model(connection, claim.model)
            self._write_as_holder(connection, claim, self._failure(code, message, self.clock(connection)))
            announce(connection)
            query = select(updates.c.state).where(_is(claim))
            return UpdateState(connection.execute(query).scalar_one())

    def _is_worth_a_look(self) -> bool:
        """A cheap read, so that an idle worker never takes the write lock."""
        with self.reading.begin() as connection:
            now = self.clock(connection)
            ready = updates.c.state == UpdateState.QUEUED
            return connection.execute(select(exists().where(ready | _expired(now)))).scalar_one()

    def _expire(self, connection: Connection) -> None:
        now = self.clock(connection)
        of_model = and_(updates.c.model_id == models.c.id, _expired(now))
        silent = select(models.c.id).where(exists().where(of_model)).with_for_update(skip_locked=True)
        for model_id in connection.execute(silent).scalars().all():
            connection.execute(
                update(updates)
                .where(updates.c.model_id == model_id, _expired(now))
                .values(self._failure(EXPIRED_CODE, EXPIRED_MESSAGE, now))
            )

    def _claimable(self, connection: Connection) -> ModelRow | None:
        def has(state: UpdateState) -> ColumnElement[bool]:
            return exists().where(updates.c.model_id == models.c.id, updates.c.state == state)

        query = select(models).where(has(UpdateState.QUEUED), ~has(UpdateState.RUNNING))
        oldest = query.order_by(models.c.id).limit(1).with_for_update(skip_locked=True)
        row = connection.execute(oldest).one_or_none()
        return None if row is None else to_model(row)

    def _claim(self, connection: Connection, model: ModelRow, owner: str) -> Claim | None:
        waiting = (updates.c.model_id == model.id, updates.c.state == UpdateState.QUEUED)
        # Asked again, now that we hold the model's lock: the look that chose it may be older than another's claim.
        is_free = ~exists().where(running.c.model_id == model.id, running.c.state == UpdateState.RUNNING)
        columns = (updates.c.number, updates.c.chunk, updates.c.attempt)
        oldest = select(*columns).where(*waiting, is_free).order_by(updates.c.number).limit(1)
        row = connection.execute(oldest).one_or_none()
        head = newest_move(connection, model.id, HEAD)
        if row is None or head is None or head.version is None:
            return None
        now = self.clock(connection)
        this = (*waiting, updates.c.number == row.number)
        chunk = find_chunk(connection, model, row.chunk)
        if chunk in evidence_of(connection, model.id, head.version).chunks:
            absorbed = AlreadyAbsorbed(chunk=row.chunk, model=model.name, version=head.version)
            failed = _ended(UpdateState.FAILED, now) | {
                "error_code": absorbed.code,
                "error_message": str(absorbed),
            }
            connection.execute(update(updates).where(*this).values(failed))
            return None
        taken = {
            "state": UpdateState.RUNNING,
            "attempt": row.attempt + 1,
            "prior": head.version,
            "owner": owner,
            "lease_until": now + self.lease_seconds,
            "started_at": now,
            "step": None,
            "steps": None,
            "elbo": None,
        }
        if connection.execute(update(updates).where(*this).values(taken)).rowcount != 1:
            return None
        digests = select(batches.c.digest).where(
            batches.c.model_id == model.id, batches.c.number.between(chunk.batch_first, chunk.batch_last)
        )
        return Claim(
            model_id=model.id,
            model=model.name,
            description=model.description,
            update=row.number,
            attempt=row.attempt + 1,
            chunk=chunk,
            prior=head.version,
            prior_digest=find_version(connection, model, head.version).digest,
            batch_digests=tuple(connection.execute(digests.order_by(batches.c.number)).scalars()),
            lease_seconds=self.lease_seconds,
        )

    def _insert_version(self, connection: Connection, claim: Claim, facts: Json) -> int:
        """The next version exists, and head points at it; its number."""
        newest = select(func.max(versions.c.number)).where(versions.c.model_id == claim.model_id)
        number = int(connection.execute(newest).scalar_one()) + 1
        lineage = {"parent": claim.prior, "chunk": claim.chunk.number, "update": claim.update}
        connection.execute(insert(versions).values(model_id=claim.model_id, number=number, **lineage, **facts))
        move = {
            "alias": HEAD,
            "version": number,
            "kind": MoveKind.PUBLISH,
            "moved_by": "worker",
            "reason": f"update {claim.update} absorbed chunk {claim.chunk.number}",
            "moved_at": facts["created_at"],
        }
        insert_move(connection, claim.model_id, move)
        announce(connection)
        return number

    def _requeue(self, connection: Connection, claim: Claim) -> None:
        queued = {
            "state": UpdateState.QUEUED,
            "owner": None,
            "lease_until": None,
            "step": None,
            "steps": None,
        }
        self._write_as_holder(connection, claim, queued)
        announce(connection)

    def _write_as_holder(self, connection: Connection, claim: Claim, values: Json) -> None:
        result: CursorResult[tuple[object]] = connection.execute(
            update(updates).where(_is(claim), updates.c.state == UpdateState.RUNNING).values(values)
        )
        if result.rowcount != 1:
            raise LeaseLost(attempt=claim.attempt, update=claim.update, model=claim.model)

    def _failure(self, code: str, message: str, now: float) -> Json:
        is_last = updates.c.failures + 1 >= self.attempts_max
        return {
            "state": case((is_last, UpdateState.FAILED), else_=UpdateState.QUEUED),
            "failures": updates.c.failures + 1,
            "owner": None,
            "lease_until": None,
            "finished_at": case((is_last, now), else_=None),
            "error_code": code,
            "error_message": message,
        }


def _is(claim: Claim) -> ColumnElement[bool]:
    return and_(
        updates.c.model_id == claim.model_id,
        updates.c.number == claim.update,
        updates.c.attempt == claim.attempt,
    )


def _expired(now: float) -> ColumnElement[bool]:
    return and_(updates.c.state == UpdateState.RUNNING, updates.c.lease_until < now)


def _ended(state: UpdateState, now: float) -> Json:
    return {"state": state, "owner": None, "lease_until": None, "finished_at": now}
