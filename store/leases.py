"""What workers write: claim, renew, publish, fail, release. One call is one transaction.

A lease lies on the update row, timed by the database's clock. `attempt` counts the claims and fences: every later
write of a claim is conditional on the row being still `running` in that very attempt, so a worker that woke up late
changes nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection, CursorResult, Engine, FromClause, and_, exists, func, insert, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql import ColumnElement

from store.engine import Clock, database_clock, for_writing, is_lock_timeout
from store.errors import AlreadyAbsorbed, HeadMoved, LeaseLost
from store.queries import evidence_of, find_chunk, find_version, newest_move
from store.schema import batches, models, updates, versions
from store.values import HEAD, Claim, Json, ModelRow, MoveKind, Progress, UpdateState, VersionRow
from store.waker import announce
from store.writes import insert_move, lock_model

others = updates.alias("others")

EXPIRED_CODE = "lease-expired"
EXPIRED_MESSAGE = "The worker fell silent for longer than its lease; it may have been killed or run out of memory."


class Leases:
    """The writes of workers; `clock` tells the time inside a transaction, by default the database's.

    A failed attempt is followed by a pause of `retry_seconds`, which doubles each time; so a fault of the surroundings
    may pass before the attempts are spent.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        lease_seconds: float,
        attempts_max: int,
        retry_seconds: float,
        clock: Clock = database_clock,
    ) -> None:
        self.engine = for_writing(engine)
        self.reading = engine
        self.lease_seconds = lease_seconds
        self.attempts_max = attempts_max
        self.retry_seconds = retry_seconds
        self.clock = clock

    def claim(self, owner: str) -> Claim | None:
        """The update that has waited longest of all models that no worker is busy with, running under our lease.

        A lease that ran out is taken away on the way; a queued chunk that head has learned from meanwhile fails. None
        when there is nothing to do. A model that is locked is waited for: clients lock it all the time, for moments,
        and passing it by would leave its updates to starve.
        """
        for name in self._candidates():
            try:
                with self.engine.begin() as connection:
                    model = lock_model(connection, name)
                    self._expire(connection, model)
                    claim = self._claim(connection, model, owner)
            except OperationalError as error:
                if not is_lock_timeout(error):
                    raise
                continue
            if claim is not None:
                return claim
        return None

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
            model = lock_model(connection, claim.model)
            now = self.clock(connection)
            head = newest_move(connection, claim.model_id, HEAD)
            if head is None or head.version != claim.prior:
                self._requeue(connection, claim)
                moved = HeadMoved(model=claim.model, prior=claim.prior, update=claim.update)
            else:
                self._write_as_holder(connection, claim, _ended(UpdateState.PUBLISHED, now) | {"step": updates.c.steps})
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

    def fail(self, claim: Claim, *, code: str, message: str, is_final: bool = False) -> UpdateState:
        """The attempt counts as failed: the update waits for the next one, or has failed for good; the new state.

        `is_final`: trying again would fail again, so it is not tried.

        Raises:
            LeaseLost: the attempt is over already.
        """
        with self.engine.begin() as connection:
            lock_model(connection, claim.model)
            now = self.clock(connection)
            failures = claim.failures + 1
            is_last = is_final or failures >= self.attempts_max
            pause = self.retry_seconds * 2**claim.failures
            values = _failed(now, is_last=is_last, not_before=now + pause)
            facts = {"failures": failures, "error_code": code, "error_message": message}
            self._write_as_holder(connection, claim, values | facts)
            announce(connection)
            return UpdateState(values["state"])

    def _candidates(self) -> list[str]:
        """Models with a due update and no live lease, by how long that update has waited; a read, without locks."""
        with self.reading.begin() as connection:
            now = self.clock(connection)
            is_due = and_(updates.c.state == UpdateState.QUEUED, _is_due(updates, now))
            is_held = exists().where(
                others.c.model_id == models.c.id,
                others.c.state == UpdateState.RUNNING,
                others.c.lease_until >= now,
            )
            query = (
                select(models.c.name)
                .join(updates, updates.c.model_id == models.c.id)
                .where(is_due | _is_expired(now), ~is_held)
                .group_by(models.c.name)
                .order_by(func.min(updates.c.created_at))
            )
            return list(connection.execute(query).scalars())

    def _expire(self, connection: Connection, model: ModelRow) -> None:
        """No update of the model runs under a lease that is over; that attempt has failed."""
        now = self.clock(connection)
        silent = (updates.c.model_id == model.id, _is_expired(now))
        failures = connection.execute(select(updates.c.failures).where(*silent)).scalar()
        if failures is not None:
            values = _failed(now, is_last=failures + 1 >= self.attempts_max, not_before=None)
            facts = {"failures": failures + 1, "error_code": EXPIRED_CODE, "error_message": EXPIRED_MESSAGE}
            connection.execute(update(updates).where(*silent).values(values | facts))

    def _claim(self, connection: Connection, model: ModelRow, owner: str) -> Claim | None:
        now = self.clock(connection)
        waiting = (updates.c.model_id == model.id, updates.c.state == UpdateState.QUEUED)
        # Asked again, now that we hold the model's lock: the look that chose it may be older than another's claim.
        is_free = ~exists().where(others.c.model_id == model.id, others.c.state == UpdateState.RUNNING)
        oldest = select(updates).where(*waiting, is_free).order_by(updates.c.number).limit(1).subquery()
        row = connection.execute(select(oldest).where(_is_due(oldest, now))).one_or_none()
        head = newest_move(connection, model.id, HEAD)
        if row is None or head is None or head.version is None:
            return None
        this = (*waiting, updates.c.number == row.number)
        chunk = find_chunk(connection, model, row.chunk)
        if chunk in evidence_of(connection, model.id, head.version).chunks:
            absorbed = AlreadyAbsorbed(chunk=row.chunk, model=model.name, version=head.version)
            failed = _ended(UpdateState.FAILED, now) | {
                "error_code": absorbed.code,
                "error_message": str(absorbed),
            }
            connection.execute(update(updates).where(*this).values(failed))
            return self._claim(connection, model, owner)
        taken = {
            "state": UpdateState.RUNNING,
            "attempt": row.attempt + 1,
            "prior": head.version,
            "owner": owner,
            "lease_until": now + self.lease_seconds,
            "started_at": now,
            "not_before": None,
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
            failures=row.failures,
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


def _is(claim: Claim) -> ColumnElement[bool]:
    return and_(
        updates.c.model_id == claim.model_id,
        updates.c.number == claim.update,
        updates.c.attempt == claim.attempt,
    )


def _is_expired(now: float) -> ColumnElement[bool]:
    return and_(updates.c.state == UpdateState.RUNNING, updates.c.lease_until < now)


def _is_due(queued: FromClause, now: float) -> ColumnElement[bool]:
    return or_(queued.c.not_before.is_(None), queued.c.not_before <= now)


def _failed(now: float, *, is_last: bool, not_before: float | None) -> Json:
    if is_last:
        return _ended(UpdateState.FAILED, now)
    return {"state": UpdateState.QUEUED, "owner": None, "lease_until": None, "not_before": not_before}


def _ended(state: UpdateState, now: float) -> Json:
    return {"state": state, "owner": None, "lease_until": None, "finished_at": now}
