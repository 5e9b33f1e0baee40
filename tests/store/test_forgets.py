"""Head's line is learned anew without some batches: aside, and with one move of head at the end."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from store.aliases import Aliases
from store.collecting import Collecting
from store.errors import (
    BatchNotFound,
    ForgetBusy,
    ForgetNotFound,
    HeadMoved,
    LeaseLost,
    RowsMissing,
    UpdateFinished,
)
from store.folder import Folder
from store.forgetting import Forgetting
from store.history import History
from store.invariants import violations
from store.kinds import HEAD, ForgetState, MoveKind, ParkingKind, Publication, UpdateState
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.retention import Retention
from tests.conftest import FakeClock
from tests.store.given import a_chunk, a_model, accept, claimed, learn, publish


@pytest.fixture(autouse=True)
def given(ledger: Ledger) -> None:
    a_model(ledger)


def test_head_stays_until_the_last_step_and_then_lacks_the_batches(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b", "c", "d")

    forget = forgetting.forget("digits", [2], actor="ada", reason="shuffled")

    assert (forget.state, forget.base, forget.head, forget.updates) == (ForgetState.RUNNING, 1, None, (5, 6))
    assert history.batch("digits", 2).aside is ParkingKind.FORGET
    first = publish(leases, claimed(leases))
    assert (first.parent, first.chunk, first.publication) == (1, 3, Publication.ASIDE)
    assert history.aliases("digits") == {HEAD: 4}
    assert forgetting.find("digits", 1).published == 1
    second = publish(leases, claimed(leases))
    assert (second.parent, second.chunk, second.publication) == (5, 4, Publication.ASIDE)
    done = forgetting.find("digits", 1)
    assert (done.state, done.head, done.published) == (ForgetState.DONE, 6, 2)
    move = history.alias("digits", HEAD)
    assert (move.version, move.previous, move.kind) == (6, 4, MoveKind.FORGET)
    assert (move.moved_by, move.reason) == ("ada", "shuffled")
    evidence = history.evidence("digits", 6)
    assert (evidence.batches, evidence.chunks, evidence.rows) == ([1, 3, 4], [1, 3, 4], 6)
    assert history.evidence("digits", 4).batches == [1, 2, 3, 4]
    assert _wrong(engine) == []


def test_what_arrives_meanwhile_waits_and_is_learned_from_after(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History
) -> None:
    learn(ledger, leases, "a", "b")
    forgetting.forget("digits", [1], actor="ada")
    late = a_chunk(ledger, "c")

    step = claimed(leases)
    assert leases.claim("another") is None
    publish(leases, step)

    after = claimed(leases)
    assert (step.forget, step.prior, step.batches) == (1, 0, (2,))
    assert (after.update, after.forget, after.prior) == (late, None, 3)
    publish(leases, after)
    assert history.evidence("digits", 4).batches == [2, 3]
    assert history.aliases("digits") == {HEAD: 4}


def test_an_update_that_runs_when_a_forget_is_asked_for_begins_anew_after_it(
    ledger: Ledger, leases: Leases, forgetting: Forgetting
) -> None:
    learn(ledger, leases, "a", "b")
    a_chunk(ledger, "c")
    running = claimed(leases)

    forgetting.forget("digits", [1], actor="ada")

    with pytest.raises(LeaseLost):
        publish(leases, running)
    assert claimed(leases).forget == 1


def test_a_batch_in_the_middle_of_a_chunk_is_forgotten_alone(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "abc", "de")

    forgetting.forget("digits", [2], actor="ada")
    first = claimed(leases)
    publish(leases, first)
    _published(leases, 1)

    assert (first.batches, first.rows, first.prior) == ((1, 3), 4, 0)
    assert history.evidence("digits", 4).batches == [1, 3, 4, 5]
    assert history.version("digits", 4).rows_learned == 8
    assert _wrong(engine) == []


def test_batches_of_several_chunks_are_forgotten_at_once_and_a_chunk_of_theirs_alone_is_left_out(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "ab", "cd", "ef", "g")

    forget = forgetting.forget("digits", [6, 3, 4], actor="ada")
    _published(leases, 2)

    assert (forget.batches, forget.base, len(forget.updates)) == ((3, 4, 6), 1, 2)
    evidence = history.evidence("digits", history.aliases("digits")[HEAD])
    assert (evidence.batches, evidence.chunks) == ([1, 2, 5, 7], [1, 3, 4])
    assert _wrong(engine) == []


def test_the_last_batches_are_forgotten_at_once_as_nothing_follows_them(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b", "c")

    forget = forgetting.forget("digits", [2, 3], actor="ada")

    assert (forget.state, forget.head, forget.updates) == (ForgetState.DONE, 1, ())
    move = history.alias("digits", HEAD)
    assert (move.version, move.kind, move.reason) == (1, MoveKind.FORGET, "forget 1: without batches 2, 3")
    assert leases.claim("worker") is None
    assert _wrong(engine) == []


def test_what_head_never_learned_from_is_forgotten_without_a_move_and_never_learned(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, aliases: Aliases, history: History
) -> None:
    learn(ledger, leases, "a", "b")
    aliases.rollback("digits", actor="ada")
    a_chunk(ledger, "cd")
    accept(ledger, "e")

    forget = forgetting.forget("digits", [2, 3, 5], actor="ada")

    assert (forget.state, forget.head, forget.base) == (ForgetState.DONE, 1, 1)
    assert len(history.moves("digits", HEAD)) == 4
    assert publish(leases, claimed(leases)).rows == 2
    ledger.replay("digits", [2])
    accept(ledger, "f")
    ledger.close("digits")
    publish(leases, claimed(leases))
    assert history.update("digits", 4).error_code == "set-aside"
    assert history.evidence("digits", 4).batches == [1, 4, 6]


def test_what_was_forgotten_can_be_forgotten_again(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b")
    forgetting.forget("digits", [1], actor="ada")
    _published(leases, 1)

    again = forgetting.forget("digits", [1, 1], actor="bob")

    assert (again.number, again.state, again.head, again.batches) == (2, ForgetState.DONE, 3, (1,))
    assert [forget.number for forget in forgetting.list("digits", after=1)] == [2]
    assert history.aliases("digits") == {HEAD: 3}
    assert _wrong(engine) == []


@pytest.mark.parametrize("how", ["rollback", "put to where it is"])
def test_a_forget_that_head_moved_away_from_has_failed_and_moves_nothing(
    how: str, ledger: Ledger, leases: Leases, forgetting: Forgetting, aliases: Aliases, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b", "c")
    forgetting.forget("digits", [1], actor="ada")
    publish(leases, claimed(leases))
    running = claimed(leases)
    to = 2 if how == "rollback" else 3

    aliases.move("digits", HEAD, to, actor="bob")

    for write in (lambda: leases.renew(running), lambda: publish(leases, running)):
        with pytest.raises(HeadMoved):
            write()
    assert leases.claim("worker") is None
    failed = forgetting.find("digits", 1)
    assert (failed.state, failed.error_code, failed.head) == (ForgetState.FAILED, "forget-overtaken", None)
    assert "Head of model 'digits' left version 3 while forget 1" in str(failed.error_message)
    assert history.aliases("digits") == {HEAD: to}
    assert history.update("digits", running.update).state is UpdateState.CANCELLED
    assert _wrong(engine) == []


def test_a_forget_that_head_moved_away_from_does_not_keep_another_waiting(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, aliases: Aliases, history: History
) -> None:
    learn(ledger, leases, "a", "b", "c")
    forgetting.forget("digits", [1], actor="ada")
    aliases.rollback("digits", actor="bob")

    again = forgetting.forget("digits", [1], actor="ada")

    assert forgetting.find("digits", 1).error_code == "forget-overtaken"
    assert (again.number, again.state, len(again.updates)) == (2, ForgetState.RUNNING, 1)
    publish(leases, claimed(leases))
    assert history.evidence("digits", history.aliases("digits")[HEAD]).batches == [2]


def test_a_step_that_fails_for_good_fails_the_forget_and_the_queue_goes_on(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b", "c")
    forgetting.forget("digits", [1], actor="ada")
    late = a_chunk(ledger, "d")

    for _ in range(3):
        leases.fail(claimed(leases), code="update-diverged", message="NaN")

    failed = forgetting.find("digits", 1)
    assert (failed.state, failed.error_code, failed.error_message) == (ForgetState.FAILED, "update-diverged", "NaN")
    assert [history.update("digits", number).state for number in failed.updates] == [
        UpdateState.FAILED,
        UpdateState.CANCELLED,
    ]
    claim = claimed(leases)
    assert (claim.update, claim.prior) == (late, 3)
    assert history.batch("digits", 1).aside is ParkingKind.FORGET
    assert _wrong(engine) == []


def test_a_cancelled_forget_leaves_head_and_can_be_asked_for_again(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b", "c")
    forgetting.forget("digits", [1], actor="ada")
    publish(leases, claimed(leases))
    running = claimed(leases)

    cancelled = forgetting.cancel("digits", 1)

    assert (cancelled.state, cancelled.error_code, cancelled.published) == (ForgetState.CANCELLED, "cancelled", 1)
    with pytest.raises(LeaseLost):
        publish(leases, running)
    with pytest.raises(UpdateFinished, match=r"^Forget 1 of model 'digits' is "):
        forgetting.cancel("digits", 1)
    with pytest.raises(ForgetNotFound):
        forgetting.cancel("digits", 2)
    assert history.aliases("digits") == {HEAD: 3}
    forgetting.forget("digits", [1], actor="ada")
    _published(leases, 2)
    assert history.evidence("digits", history.aliases("digits")[HEAD]).batches == [2, 3]
    assert _wrong(engine) == []


def test_to_cancel_a_step_is_to_cancel_the_forget(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b", "c")
    step = forgetting.forget("digits", [1], actor="ada").updates[1]

    ledger.cancel("digits", step)

    assert forgetting.find("digits", 1).state is ForgetState.CANCELLED
    assert leases.claim("worker") is None
    assert _wrong(engine) == []


def test_another_worker_goes_on_where_one_was_killed_in_the_middle(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, clock: FakeClock
) -> None:
    learn(ledger, leases, "a", "b", "c")
    forgetting.forget("digits", [1], actor="ada")
    publish(leases, claimed(leases))
    killed = claimed(leases, "killed")
    clock.pass_by(16.0)

    alive = claimed(leases, "alive")

    assert (alive.update, alive.attempt, alive.prior) == (killed.update, 2, 4)
    publish(leases, alive)
    with pytest.raises(LeaseLost):
        publish(leases, killed)
    assert history.evidence("digits", history.aliases("digits")[HEAD]).batches == [2, 3]


def test_one_forget_of_a_model_is_under_way_at_most(ledger: Ledger, leases: Leases, forgetting: Forgetting) -> None:
    learn(ledger, leases, "a", "b")
    forgetting.forget("digits", [1], actor="ada")

    with pytest.raises(ForgetBusy, match="Forget 1 of model 'digits'"):
        forgetting.forget("digits", [2], actor="bob")

    _published(leases, 1)
    assert forgetting.forget("digits", [2], actor="bob").head == 0


def test_a_batch_that_does_not_exist_is_not_forgotten_nor_those_asked_with_it(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History
) -> None:
    learn(ledger, leases, "a")

    with pytest.raises(BatchNotFound):
        forgetting.forget("digits", [1, 2], actor="ada")

    assert forgetting.list("digits") == []
    assert history.batch("digits", 1).aside is None


def test_where_rows_that_followed_are_gone_nothing_is_forgotten_and_it_is_said_what_is_possible(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, deleting: Retention
) -> None:
    learn(ledger, leases, "a", "b", "c")
    deleting.delete("digits", 3, actor="ada")

    with pytest.raises(RowsMissing, match=r"goes back to version 1, .* the rows of batch 3 were deleted.*roll back"):
        forgetting.forget("digits", [2], actor="ada")

    assert history.batch("digits", 2).aside is None
    assert forgetting.forget("digits", [3], actor="ada").state is ForgetState.DONE


def test_a_batch_whose_own_rows_are_gone_can_be_forgotten(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, history: History, deleting: Retention, engine: Engine
) -> None:
    learn(ledger, leases, "a", "bc")
    deleting.delete("digits", 2, actor="ada")

    forgetting.forget("digits", [2], actor="ada")
    _published(leases, 1)

    assert history.evidence("digits", history.aliases("digits")[HEAD]).batches == [1, 3]
    assert _wrong(engine) == []


def test_what_was_parked_when_its_chunk_was_learned_stays_out_and_can_be_released_after(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, parking: Parking, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a")
    a_chunk(ledger, "bcd")
    parking.park("digits", [2], actor="ada")
    publish(leases, claimed(leases))

    forgetting.forget("digits", [3], actor="ada")
    (queued,) = parking.release("digits", [2], actor="ada")

    step = claimed(leases)
    assert (step.forget, step.batches) == (1, (4,))
    publish(leases, step)
    after = claimed(leases)
    assert (after.update, after.forget, after.batches) == (queued.number, None, (2,))
    publish(leases, after)
    assert history.evidence("digits", 4).batches == [1, 2, 4]
    assert _wrong(engine) == []


@pytest.fixture
def deleting(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Retention:
    return Retention(engine, Collecting(engine, Folder(tmp_path_factory.mktemp("blobs"))))


def _published(leases: Leases, steps: int) -> list[int]:
    return [publish(leases, claimed(leases)).number for _ in range(steps)]


def _wrong(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return violations(connection)
