"""What workers write: claim, renew, publish, fail, release. One call is one transaction.

A lease lies on the update row, timed by the database's clock. `attempt` counts the claims and fences: every later
write of a claim is conditional on the row being still `running` in that very attempt, so a worker that woke up late
changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, CursorResult, Engine, and_, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql import ColumnElement

from store.claims import Lease, after_failure, due_models, ended, expire, failed, take_oldest
from store.engine import Clock, database_clock, for_writing, is_lock_timeout
from store.errors import HeadMoved, LeaseLost
from store.forgets import end_if_done, running_forget
from store.kinds import HEAD, ParkingKind, UpdateState
from store.parking import Decision, decide
from store.publishing import Result, insert_version
from store.queries import find_version, newest_move
from store.schema.learning import updates
from store.tombstones import must_not_be_buried
from store.values import Claim, Json, MoveRow, Progress, Scored, VersionRow
from store.waker import announce
from store.writes import lock_model


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
        """An update of a model that no worker is busy with, running under our lease; models take turns.

        A lease that ran out is taken away on the way; what head has learned from meanwhile is left out. None
        when there is nothing to do. A model that is locked is waited for: clients lock it all the time, for moments,
        and passing it by would leave its updates to starve.
        """
        with self.reading.begin() as connection:
            waiting = due_models(connection, self.clock(connection))
        for name in waiting:
            try:
                with self.engine.begin() as connection:
                    model = lock_model(connection, name)
                    now = self.clock(connection)
                    expire(connection, model, now, attempts_max=self.attempts_max)
                    lease = Lease(owner, seconds=self.lease_seconds)
                    claim = take_oldest(connection, model, now, lease=lease)
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
            if _has_moved(claim, head):
                raise HeadMoved(model=claim.model, prior=claim.prior, update=claim.update)

    def publish(
        self,
        claim: Claim,
        *,
        digest: str,
        kl_nats: float,
        report: Json,
        scores: Sequence[Scored] = (),
        held: str | None = None,
    ) -> VersionRow:
        """A version with this posterior exists, head points at it, the update is published: all of it or nothing.

        `held` is why head does not move to it: then the challenger does. `scores`: how the prior predicted the batches.

        Raises:
            LeaseLost: another attempt holds the update; nothing changed.
            HeadMoved: head is not the prior any more; the update is back in the queue.
            BlobBuried: the posterior's bytes are being removed; nothing changed.
        """
        with self.engine.begin() as connection:
            model = lock_model(connection, claim.model)
            must_not_be_buried(connection, [digest])
            now = self.clock(connection)
            head = newest_move(connection, claim.model_id, HEAD)
            if _has_moved(claim, head):
                moved = HeadMoved(model=claim.model, prior=claim.prior, update=claim.update)
                # A forget that head moved away from fails at the next claim, with what is left of its steps.
                self._requeue(connection, claim)
            else:
                self._write_as_holder(connection, claim, ended(UpdateState.PUBLISHED, now) | {"step": updates.c.steps})
                result = Result(digest, kl_nats, report, scores, held)
                assert head is not None
                number = insert_version(connection, model, claim, result, head_seq=head.seq, now=now)
                forget = running_forget(connection, claim.model_id) if claim.forget is not None else None
                if forget is not None:
                    end_if_done(connection, model, forget, now=now)
                announce(connection)
                return find_version(connection, model, number)
        raise moved

    def park(self, claim: Claim, surprising: Sequence[Scored], *, reason: str) -> None:
        """These batches are parked; the update is back in the queue, and leaves them out from now on.

        Not of a step of a forget: head has learned from its batches before.

        Raises:
            LeaseLost: the attempt is over already.
            HeadMoved: they surprised a version that is not head any more; the update is back in the queue with them.
        """
        assert claim.forget is None
        with self.engine.begin() as connection:
            model = lock_model(connection, claim.model)
            now = self.clock(connection)
            self._requeue(connection, claim)
            has_moved = _has_moved(claim, newest_move(connection, claim.model_id, HEAD))
            for one in () if has_moved else surprising:
                how = Decision(ParkingKind.PARK, "worker", reason, one.surprise or {})
                decide(connection, model, one.batch, how, now=now)
        if has_moved:
            raise HeadMoved(model=claim.model, prior=claim.prior, update=claim.update)

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
            model = lock_model(connection, claim.model)
            now = self.clock(connection)
            failures = claim.failures + 1
            is_last = is_final or failures >= self.attempts_max
            pause = self.retry_seconds * 2**claim.failures
            values = failed(now, is_last=is_last, not_before=now + pause)
            error = {"error_code": code, "error_message": message}
            self._write_as_holder(connection, claim, values | error | {"failures": failures})
            after_failure(connection, model, claim.update, error, is_last=is_last, forget=claim.forget, now=now)
            announce(connection)
            return UpdateState(values["state"])

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


def _has_moved(claim: Claim, head: MoveRow | None) -> bool:
    """True where head is not what the update was claimed for."""
    if claim.forget is not None:
        return head is None or head.seq != claim.head_seq
    return head is None or head.version != claim.prior


def _is(claim: Claim) -> ColumnElement[bool]:
    return and_(
        updates.c.model_id == claim.model_id,
        updates.c.number == claim.update,
        updates.c.attempt == claim.attempt,
    )
