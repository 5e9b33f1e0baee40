"""What each guard of the ledger is for, told as the shortest story in which it matters; one call after another."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from store.aliases import Aliases
from store.errors import (
    AliasMoved,
    AlreadyAbsorbed,
    ChunkBusy,
    HeadMoved,
    IdempotencyKeyReused,
    LeaseLost,
    NotOnLine,
    Problem,
    UpdateFinished,
)
from store.forgetting import Forgetting
from store.history import History
from store.kinds import UpdateState
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.values import Claim
from tests.conftest import FakeClock
from tests.promises.agreement import outcome_of
from tests.promises.ledger_books import empty, look
from tests.store.given import a_model, a_published_version, a_queued_update, accept, claimed, digest, publish


class Given:
    """A ledger with a model that closes by age, and nothing else; the clock stands still."""

    def __init__(self, engine: Engine) -> None:
        empty(engine)
        self.engine, self.clock = engine, FakeClock()
        self.ledger = Ledger(engine, clock=self.clock)
        self.aliases = Aliases(engine, clock=self.clock)
        self.leases = Leases(engine, lease_seconds=10.0, attempts_max=3, retry_seconds=4.0, clock=self.clock)
        self.parking = Parking(engine, clock=self.clock)
        self.forgetting = Forgetting(engine, clock=self.clock)
        self.history = History(engine)
        a_model(self.ledger, seconds=30.0)


def refused(call: Callable[[], object], problem: type[Problem]) -> None:
    answer = outcome_of(call)
    assert isinstance(answer, problem), answer


def sound(engine: Engine) -> None:
    assert look(engine).wrong == []


def a_key_posted_twice(engine: Engine, patience: float) -> None:
    """It names one batch."""
    given = Given(engine)

    assert [accept(given.ledger, "key").is_replay for _ in range(2)] == [False, True]
    sound(engine)


def other_rows_under_a_key(engine: Engine, patience: float) -> None:
    """They are refused."""
    given = Given(engine)
    accept(given.ledger, "key")

    refused(
        lambda: given.ledger.accept("digits", key="key", digest=digest("other"), rows=1, label_counts={}),
        IdempotencyKeyReused,
    )


def published_after_a_cancel(engine: Engine, patience: float) -> None:
    """What was cancelled stays so."""
    given = Given(engine)
    a_queued_update(given.ledger)
    claim = claimed(given.leases)
    given.ledger.cancel("digits", 1)

    refused(lambda: publish(given.leases, claim), LeaseLost)
    assert given.history.update("digits", 1).state is UpdateState.CANCELLED
    sound(engine)


def a_late_worker(engine: Engine, patience: float) -> None:
    """It cannot publish in the name of the one that took its update up."""
    given = Given(engine)
    a_queued_update(given.ledger)
    late = claimed(given.leases, "late")
    given.clock.pass_by(10.5)
    claimed(given.leases, "now")

    refused(lambda: publish(given.leases, late), LeaseLost)
    assert given.history.update("digits", 1).state is UpdateState.RUNNING


def published_after_head_moved(engine: Engine, patience: float) -> None:
    """The update waits to start from the new head."""
    given = Given(engine)
    claim = _overtaken(given)

    refused(lambda: publish(given.leases, claim), HeadMoved)
    assert given.history.update("digits", claim.update).state is UpdateState.QUEUED
    sound(engine)


def a_heartbeat_after_head_moved(engine: Engine, patience: float) -> None:
    """The worker learns that going on is of no use."""
    given = Given(engine)
    claim = _overtaken(given)

    refused(lambda: given.leases.renew(claim), HeadMoved)


def _overtaken(given: Given) -> Claim:
    """A claim whose prior is not head any more."""
    a_published_version(given.ledger, given.leases, "a")
    a_queued_update(given.ledger, "b")
    claim = claimed(given.leases)
    given.aliases.rollback("digits", actor="ada")
    return claim


def learned_while_it_waited(engine: Engine, patience: float) -> None:
    """A chunk that head has learned from meanwhile is not absorbed again."""
    given = Given(engine)
    a_published_version(given.ledger, given.leases, "a")
    given.aliases.rollback("digits", actor="ada")
    given.ledger.replay("digits", [1])
    given.aliases.move("digits", "head", 1, actor="ada")

    assert given.leases.claim("worker") is None
    assert given.history.update("digits", 2).error_code == "already-absorbed"
    sound(engine)


def replayed_on_its_own_line(engine: Engine, patience: float) -> None:
    """It is refused at once."""
    given = Given(engine)
    a_published_version(given.ledger, given.leases, "a")

    refused(lambda: given.ledger.replay("digits", [1]), AlreadyAbsorbed)


def replayed_while_it_waits(engine: Engine, patience: float) -> None:
    """It waits once."""
    given = Given(engine)
    a_queued_update(given.ledger)

    refused(lambda: given.ledger.replay("digits", [1]), ChunkBusy)
    sound(engine)


def moved_with_another_move_in_mind(engine: Engine, patience: float) -> None:
    """The alias stays where somebody else moved it."""
    given = Given(engine)
    given.aliases.move("digits", "champion", 0, actor="ada")

    refused(lambda: given.aliases.move("digits", "champion", 0, actor="bob", expected_seq=0), AliasMoved)


def rolled_back_off_the_line(engine: Engine, patience: float) -> None:
    """Only what head was learned from can be gone back to."""
    given = Given(engine)
    a_published_version(given.ledger, given.leases, "a")
    given.aliases.rollback("digits", actor="ada")
    a_published_version(given.ledger, given.leases, "b")

    refused(lambda: given.aliases.rollback("digits", to=1, actor="ada"), NotOnLine)
    sound(engine)


def cancelled_too_late(engine: Engine, patience: float) -> None:
    """What is published stays published."""
    given = Given(engine)
    a_published_version(given.ledger, given.leases, "a")

    refused(lambda: given.ledger.cancel("digits", 1), UpdateFinished)
    sound(engine)


def failing_again_and_again(engine: Engine, patience: float) -> None:
    """After each failure comes a pause, twice as long as the one before; the third failure is the last."""
    given = Given(engine)
    a_queued_update(given.ledger)

    for pause in (4.0, 8.0):
        given.leases.fail(claimed(given.leases), code="any", message="any")
        given.clock.pass_by(pause - 0.5)
        assert given.leases.claim("early") is None
        given.clock.pass_by(0.5)

    assert given.leases.fail(claimed(given.leases), code="any", message="any") is UpdateState.FAILED


def silent_again_and_again(engine: Engine, patience: float) -> None:
    """The update is taken up when the lease is over, until the third silence is the last."""
    given = Given(engine)
    a_queued_update(given.ledger)

    for _ in range(3):
        assert given.leases.claim("silent") is not None
        given.clock.pass_by(10.5)

    assert given.leases.claim("another") is None
    assert given.history.update("digits", 1).state is UpdateState.FAILED


STORIES: dict[str, Callable[[Engine, float], None]] = {
    "a key posted twice": a_key_posted_twice,
    "other rows under a known key": other_rows_under_a_key,
    "a publish after a cancel": published_after_a_cancel,
    "a worker that comes back late": a_late_worker,
    "a publish after head moved": published_after_head_moved,
    "a heartbeat after head moved": a_heartbeat_after_head_moved,
    "a chunk that head learned while it waited": learned_while_it_waited,
    "a replay of what head has learned": replayed_on_its_own_line,
    "a replay of what waits": replayed_while_it_waits,
    "a move with another one in mind": moved_with_another_move_in_mind,
    "a rollback off the line": rolled_back_off_the_line,
    "a cancel that comes too late": cancelled_too_late,
    "a worker that fails again and again": failing_again_and_again,
    "a worker that falls silent again and again": silent_again_and_again,
}
