"""An update that was not published: tried again after a pause, given back, cancelled, replayed, or failed for good."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from store.aliases import Aliases
from store.errors import HeadMoved, LeaseLost, UpdateFinished
from store.history import History
from store.kinds import HEAD, UpdateState
from store.leases import Leases
from store.ledger import Ledger
from tests.conftest import FakeClock
from tests.store.given import (
    a_model,
    a_published_version,
    a_queued_update,
    accept,
    claimed,
    publish,
)


def test_a_failed_attempt_is_tried_again_until_the_attempts_are_spent(
    ledger: Ledger, leases: Leases, history: History
) -> None:
    a_model(ledger)
    a_queued_update(ledger)
    states = [leases.fail(claimed(leases), code="update-diverged", message="The loss is NaN.") for _ in range(3)]

    assert states == [UpdateState.QUEUED, UpdateState.QUEUED, UpdateState.FAILED]
    update = history.update("digits", 1)
    assert (update.attempt, update.failures) == (3, 3)
    assert (update.error_code, update.error_message) == ("update-diverged", "The loss is NaN.")
    assert leases.claim("worker") is None


def test_a_failed_attempt_is_followed_by_a_pause_that_doubles(
    ledger: Ledger, engine: Engine, clock: FakeClock, history: History
) -> None:
    leases = Leases(engine, lease_seconds=15.0, attempts_max=4, retry_seconds=10.0, clock=clock)
    a_model(ledger)
    a_queued_update(ledger)
    for pause in (10.0, 20.0, 40.0):
        leases.fail(claimed(leases), code="storage-failed", message="The disk is full.")
        clock.pass_by(pause - 0.5)
        assert leases.claim("early") is None
        clock.pass_by(0.5)

    assert leases.fail(claimed(leases), code="storage-failed", message="") is UpdateState.FAILED
    assert history.update("digits", 1).failures == 4


def test_an_attempt_that_would_fail_again_is_final(ledger: Ledger, leases: Leases) -> None:
    a_model(ledger)
    a_queued_update(ledger)

    state = leases.fail(claimed(leases), code="update-diverged", message="NaN", is_final=True)

    assert state is UpdateState.FAILED
    assert leases.claim("worker") is None


def test_while_an_update_pauses_later_chunks_of_its_model_wait_and_other_models_do_not(
    ledger: Ledger, engine: Engine, clock: FakeClock
) -> None:
    leases = Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=10.0, clock=clock)
    a_model(ledger)
    a_queued_update(ledger, "a")
    a_queued_update(ledger, "b")
    leases.fail(claimed(leases), code="storage-failed", message="")
    a_model(ledger, "other")
    accept(ledger, "c", model="other")
    ledger.close("other")

    assert claimed(leases).model == "other"
    assert leases.claim("worker") is None
    clock.pass_by(10.0)
    assert claimed(leases).chunk.number == 1


def test_the_next_chunk_goes_on_after_one_that_failed(ledger: Ledger, leases: Leases, history: History) -> None:
    a_model(ledger)
    a_queued_update(ledger, "a")
    a_queued_update(ledger, "b")
    for _ in range(3):
        leases.fail(claimed(leases), code="any", message="any")

    version = publish(leases, claimed(leases))

    assert (version.number, version.chunk) == (1, 2)


def test_a_drained_update_waits_again_without_a_failed_attempt(
    ledger: Ledger, leases: Leases, history: History
) -> None:
    a_model(ledger)
    a_queued_update(ledger)
    leases.release(claimed(leases))

    update = history.update("digits", 1)
    assert (update.state, update.failures) == (UpdateState.QUEUED, 0)
    assert claimed(leases).attempt == 2


def test_a_rollback_during_an_update_sends_the_update_back_to_the_queue(
    ledger: Ledger, leases: Leases, aliases: Aliases, history: History
) -> None:
    a_model(ledger)
    a_published_version(ledger, leases, "a")
    a_published_version(ledger, leases, "b")
    a_queued_update(ledger, "c")
    claim = claimed(leases)

    aliases.rollback("digits", to=1, actor="ada", reason="b was mislabeled")

    with pytest.raises(HeadMoved):
        leases.renew(claim)
    with pytest.raises(HeadMoved):
        publish(leases, claim)
    update = history.update("digits", 3)
    assert (update.state, update.failures) == (UpdateState.QUEUED, 0)
    version = publish(leases, claimed(leases))
    assert (version.number, version.parent) == (3, 1)
    assert history.evidence("digits", 3).batches == [1, 3]


def test_a_cancelled_update_cannot_be_published_and_its_chunk_can_be_replayed(
    ledger: Ledger, leases: Leases, history: History
) -> None:
    a_model(ledger)
    a_queued_update(ledger)
    claim = claimed(leases)

    assert ledger.cancel("digits", 1).state is UpdateState.CANCELLED

    with pytest.raises(LeaseLost):
        publish(leases, claim)
    with pytest.raises(UpdateFinished, match="cancelled"):
        ledger.cancel("digits", 1)
    (replay,) = ledger.replay("digits", [1])
    assert (replay.number, replay.chunk.number) == (2, 1)
    assert publish(leases, claimed(leases)).update == 2
    assert history.evidence("digits", 1).batches == [1]


def test_an_update_whose_chunk_came_onto_the_line_meanwhile_is_not_absorbed_again(
    ledger: Ledger, leases: Leases, aliases: Aliases, history: History
) -> None:
    a_model(ledger)
    a_published_version(ledger, leases, "a")
    aliases.rollback("digits", to=0, actor="ada")
    ledger.replay("digits", [1])
    aliases.move("digits", HEAD, 1, actor="ada")

    assert leases.claim("worker") is None

    update = history.update("digits", 2)
    assert (update.state, update.error_code) == (UpdateState.CANCELLED, "already-absorbed")
