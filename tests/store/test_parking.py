"""Batches that are set aside: nothing learns from them until they are released, and none is lost."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, event

from store.aliases import Aliases
from store.errors import (
    AlreadyAbsorbed,
    BatchAbsorbed,
    BatchForgotten,
    BatchNotFound,
    BatchNotParked,
    HeadMoved,
    LeaseLost,
    NothingPending,
)
from store.forgetting import Forgetting
from store.history import History
from store.invariants import violations
from store.kinds import CloseReason, ParkingKind, UpdateState
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.values import Scored
from tests.conftest import FakeClock
from tests.promises.meetings import COMMIT, meanwhile
from tests.store.given import a_chunk, a_model, accept, claimed, learn, publish


@pytest.fixture(autouse=True)
def given(ledger: Ledger) -> None:
    a_model(ledger, rows=100, seconds=30.0)


def test_a_pending_batch_that_is_parked_is_left_out_of_the_version_of_its_chunk(
    ledger: Ledger, leases: Leases, parking: Parking, history: History, engine: Engine
) -> None:
    for key in "abc":
        accept(ledger, key, rows=2)

    parked = parking.park("digits", [2], actor="ada", reason="odd")
    ledger.close("digits")
    claim = claimed(leases)
    version = publish(leases, claim)

    assert [batch.aside for batch in parked] == [ParkingKind.PARK]
    assert (claim.batches, claim.rows, claim.chunk.rows) == ((1, 3), 4, 6)
    assert (version.rows, version.rows_learned) == (4, 4)
    assert history.evidence("digits", 1).batches == [1, 3]
    assert history.update("digits", 1).omitted == {2}
    assert _wrong(engine) == []


def test_a_batch_of_a_queued_chunk_that_is_parked_is_left_out_by_the_claim(
    ledger: Ledger, leases: Leases, parking: Parking
) -> None:
    a_chunk(ledger, "abc")
    parking.park("digits", [1], actor="ada")

    assert claimed(leases).batches == (2, 3)


def test_the_worker_of_an_update_whose_batch_is_parked_finds_its_lease_gone(
    ledger: Ledger, leases: Leases, parking: Parking, history: History
) -> None:
    a_chunk(ledger, "ab")
    claim = claimed(leases)

    parking.park("digits", [2], actor="ada")

    for write in (lambda: leases.renew(claim), lambda: publish(leases, claim)):
        with pytest.raises(LeaseLost):
            write()
    update = history.update("digits", 1)
    assert (update.state, update.failures) == (UpdateState.QUEUED, 0)
    again = claimed(leases)
    assert (again.attempt, again.batches) == (2, (1,))
    assert publish(leases, again).rows == 2


def test_an_update_that_leaves_the_batch_out_already_goes_on_undisturbed(
    ledger: Ledger, leases: Leases, parking: Parking
) -> None:
    a_chunk(ledger, "ab")
    parking.park("digits", [2], actor="ada")
    claim = claimed(leases)

    parking.discard("digits", [2], actor="ada")

    assert publish(leases, claim).rows == 2


def test_a_batch_that_head_has_learned_from_is_not_set_aside_and_neither_are_those_asked_with_it(
    ledger: Ledger, leases: Leases, parking: Parking, history: History
) -> None:
    learn(ledger, leases, "a")
    accept(ledger, "b")

    for call in (parking.park, parking.discard):
        with pytest.raises(BatchAbsorbed, match="Version 1, head of model 'digits', has learned from batch 1"):
            call("digits", [2, 1], actor="ada")
        with pytest.raises(BatchNotFound):
            call("digits", [2, 3], actor="ada")

    assert [batch.aside for batch in history.batches("digits")] == [None, None]


def test_a_batch_that_only_another_line_has_learned_from_can_be_parked(
    ledger: Ledger, leases: Leases, parking: Parking, aliases: Aliases
) -> None:
    learn(ledger, leases, "a")
    aliases.rollback("digits", actor="ada")
    parking.park("digits", [1], actor="ada")

    ledger.replay("digits", [1])

    assert leases.claim("worker") is None


def test_what_is_released_before_its_chunk_was_claimed_is_learned_with_it(
    ledger: Ledger, leases: Leases, parking: Parking
) -> None:
    a_chunk(ledger, "ab")
    parking.park("digits", [1], actor="ada")

    assert parking.release("digits", [1], actor="ada") == []

    claim = claimed(leases)
    assert claim.batches == (1, 2)
    assert claim.released == {1}


def test_what_is_released_after_its_chunk_was_claimed_is_learned_by_an_update_of_its_own(
    ledger: Ledger, leases: Leases, parking: Parking, history: History, engine: Engine
) -> None:
    a_chunk(ledger, "abc")
    parking.park("digits", [1, 3], actor="ada")
    running = claimed(leases)

    (queued,) = parking.release("digits", [3], actor="ada")

    assert (queued.number, queued.chunk.number, queued.batches) == (2, 1, [3])
    assert publish(leases, running).rows == 2
    claim = claimed(leases)
    assert claim.batches == (3,)
    assert claim.released == {3}
    publish(leases, claim)
    assert history.evidence("digits", 2).batches == [2, 3]
    assert _wrong(engine) == []


def test_what_is_released_while_its_update_pauses_after_a_claim_is_not_left_out_for_good(
    ledger: Ledger, leases: Leases, parking: Parking, history: History
) -> None:
    a_chunk(ledger, "ab")
    parking.park("digits", [1], actor="ada")
    leases.release(claimed(leases))

    (queued,) = parking.release("digits", [1], actor="ada")

    assert queued.batches == [1]
    for _ in range(2):
        publish(leases, claimed(leases))
    assert history.evidence("digits", 2).batches == [1, 2]


def test_batches_of_several_chunks_are_released_at_once_by_one_update_for_each(
    ledger: Ledger, leases: Leases, parking: Parking, history: History
) -> None:
    for keys in ("ab", "cd"):
        a_chunk(ledger, keys)
    accept(ledger, "e")
    parking.park("digits", [1, 3, 4, 5], actor="ada")
    publish(leases, claimed(leases))
    assert leases.claim("worker") is None

    queued = parking.release("digits", [4, 1, 3, 5], actor="ada")

    assert [(update.chunk.number, update.batches) for update in queued] == [(2, [3, 4]), (1, [1])]
    for _ in queued:
        publish(leases, claimed(leases))
    assert history.evidence("digits", 3).batches == [1, 2, 3, 4]
    assert history.counters("digits").pending_batches == 1


def test_what_does_not_wait_for_a_decision_cannot_be_released_nor_anything_asked_with_it(
    ledger: Ledger, leases: Leases, parking: Parking, history: History
) -> None:
    a_chunk(ledger, "ab")
    parking.park("digits", [1], actor="ada")

    with pytest.raises(BatchNotParked, match="Batch 2"):
        parking.release("digits", [1, 2], actor="ada")
    assert history.batch("digits", 1).aside is ParkingKind.PARK
    parking.release("digits", [1], actor="ada")

    with pytest.raises(BatchNotParked, match="Batch 1"):
        parking.release("digits", [1], actor="ada")


def test_a_batch_named_twice_in_one_request_is_decided_about_once(ledger: Ledger, parking: Parking) -> None:
    accept(ledger, "a")

    parking.park("digits", [1, 1], actor="ada")
    parking.park("digits", [1], actor="bob")
    parking.release("digits", [1, 1], actor="ada")

    decisions = parking.decisions("digits", 1)
    assert [(one.seq, one.kind, one.decided_by) for one in decisions] == [
        (1, ParkingKind.PARK, "ada"),
        (2, ParkingKind.RELEASE, "ada"),
    ]


def test_a_discarded_batch_is_listed_no_more_and_can_still_be_released(
    ledger: Ledger, leases: Leases, parking: Parking, clock: FakeClock
) -> None:
    a_chunk(ledger, "abc")
    parking.park("digits", [1, 2], actor="ada", reason="odd")
    parking.discard("digits", [2], actor="bob", reason="mislabeled")
    assert [(batch.number, why.reason) for batch, why in parking.parked("digits")] == [(1, "odd")]
    assert claimed(leases).batches == (3,)

    (queued,) = parking.release("digits", [2], actor="ada", reason="it was right")

    assert queued.batches == [2]
    told = [(one.kind, one.decided_by, one.reason, one.decided_at) for one in parking.decisions("digits", 2)]
    assert told == [
        (ParkingKind.PARK, "ada", "odd", clock.seconds),
        (ParkingKind.DISCARD, "bob", "mislabeled", clock.seconds),
        (ParkingKind.RELEASE, "ada", "it was right", clock.seconds),
    ]


def test_a_page_of_parked_batches_begins_after_any_number(ledger: Ledger, parking: Parking) -> None:
    for key in "abcd":
        accept(ledger, key)
    parking.park("digits", [1, 2, 4], actor="ada")

    assert [batch.number for batch, _ in parking.parked("digits", after=1, limit=1)] == [2]
    assert [batch.number for batch, _ in parking.parked("digits", after=2)] == [4]


def test_an_update_whose_whole_chunk_was_set_aside_ends_and_the_next_one_goes_on(
    ledger: Ledger, leases: Leases, parking: Parking, history: History
) -> None:
    for keys in ("ab", "c"):
        a_chunk(ledger, keys)
    parking.park("digits", [1], actor="ada")
    parking.discard("digits", [2], actor="ada")

    assert claimed(leases).batches == (3,)

    update = history.update("digits", 1)
    assert (update.state, update.error_code, update.attempt) == (UpdateState.CANCELLED, "set-aside", 0)


def test_a_chunk_that_head_has_learned_in_part_meanwhile_is_learned_for_the_rest(
    ledger: Ledger, leases: Leases, parking: Parking, aliases: Aliases, history: History, engine: Engine
) -> None:
    a_chunk(ledger, "ab")
    parking.park("digits", [2], actor="ada")
    publish(leases, claimed(leases))
    parking.release("digits", [2], actor="ada")
    publish(leases, claimed(leases))
    aliases.rollback("digits", to=0, actor="ada")
    ledger.replay("digits", [1])
    aliases.move("digits", "head", 1, actor="ada")

    claim = claimed(leases)
    publish(leases, claim)

    assert (claim.prior, claim.batches, claim.rows) == (1, (2,), 2)
    assert history.update("digits", claim.update).omitted == {1}
    assert history.evidence("digits", 3).batches == [1, 2]
    assert _wrong(engine) == []


def test_released_rows_that_fill_a_chunk_close_it_at_once(
    ledger: Ledger, leases: Leases, parking: Parking, engine: Engine
) -> None:
    accept(ledger, "a", rows=60)
    accept(ledger, "b", rows=30)
    parking.park("digits", [1, 2], actor="ada")
    accept(ledger, "c", rows=60)
    assert parking.release("digits", [2], actor="ada") == []

    (waiting,) = parking.release("digits", [1], actor="ada")

    assert (waiting.chunk.reason, waiting.chunk.rows, waiting.chunk.batches) == (CloseReason.ROWS, 150, range(1, 4))
    assert claimed(leases).batches == (1, 2, 3)
    assert _wrong(engine) == []


def test_a_worker_parks_what_surprises_it_and_comes_back_for_the_rest(
    ledger: Ledger, leases: Leases, parking: Parking
) -> None:
    a_chunk(ledger, "ab")
    claim = claimed(leases)

    leases.park(claim, [Scored(2, {"nll": 9.0}, {"z": 5.0})], reason="surprising")

    with pytest.raises(LeaseLost):
        leases.park(claim, [Scored(1, None, {})], reason="surprising")
    ((batch, why),) = parking.parked("digits")
    assert (batch.number, why.decided_by, why.reason, why.facts) == (2, "worker", "surprising", {"z": 5.0})
    again = claimed(leases)
    assert (again.attempt, again.failures, again.batches) == (2, 0, (1,))


def test_a_worker_parks_nothing_that_surprised_a_version_which_head_has_left(
    ledger: Ledger, leases: Leases, parking: Parking, aliases: Aliases
) -> None:
    learn(ledger, leases, "a")
    a_chunk(ledger, "bc")
    claim = claimed(leases)
    aliases.rollback("digits", actor="ada")

    with pytest.raises(HeadMoved):
        leases.park(claim, [Scored(2, {"nll": 9.0}, {"z": 5.0})], reason="surprising")

    assert parking.parked("digits") == []
    again = claimed(leases)
    assert (again.update, again.attempt, again.prior, again.batches) == (claim.update, 2, 0, (2, 3))


def test_parked_rows_are_not_pending_and_nobody_closes_a_chunk_for_them(
    ledger: Ledger, parking: Parking, history: History, clock: FakeClock
) -> None:
    accept(ledger, "a", rows=60)
    parking.park("digits", [1], actor="ada")

    counters = history.counters("digits")
    assert (counters.rows, counters.pending_rows, counters.pending_batches) == (60, 0, 0)
    with pytest.raises(NothingPending):
        ledger.close("digits")
    clock.pass_by(31.0)
    assert ledger.close_due() == []
    accept(ledger, "b", rows=60)
    assert history.updates("digits") == []
    accept(ledger, "c", rows=40)
    (update,) = history.updates("digits")
    assert (update.chunk.reason, update.chunk.rows) == (CloseReason.ROWS, 160)


def test_the_age_of_a_chunk_is_that_of_its_oldest_row_that_is_to_be_learned_from(
    ledger: Ledger, parking: Parking, clock: FakeClock
) -> None:
    accept(ledger, "old")
    clock.pass_by(20.0)
    accept(ledger, "young")
    parking.park("digits", [1], actor="ada")
    clock.pass_by(20.0)

    assert ledger.close_due() == []
    clock.pass_by(10.0)
    assert ledger.close_due() == [("digits", 1)]


def test_rows_that_are_parked_just_as_their_age_closes_them_stay_open(
    ledger: Ledger, parking: Parking, clock: FakeClock, engine: Engine, history: History
) -> None:
    accept(ledger, "a")
    clock.pass_by(31.0)

    with meanwhile(engine, COMMIT, lambda: parking.park("digits", [1], actor="ada"), patience=10.0) as other:
        closed = ledger.close_due()

    assert other[0].exception() is None
    assert closed == []
    assert history.updates("digits") == []


def test_a_replay_leaves_out_what_was_set_aside_and_what_head_has_learned_alone(
    ledger: Ledger, leases: Leases, parking: Parking, history: History, engine: Engine
) -> None:
    a_chunk(ledger, "abc")
    parking.park("digits", [2, 3], actor="ada")
    leases.fail(claimed(leases), code="any", message="any", is_final=True)
    parking.release("digits", [2], actor="ada")
    publish(leases, claimed(leases))

    (replay,) = ledger.replay("digits", [1])

    claim = claimed(leases)
    assert (claim.update, claim.batches) == (replay.number, (1,))
    publish(leases, claim)
    assert history.evidence("digits", 2).batches == [1, 2]
    with pytest.raises(AlreadyAbsorbed):
        ledger.replay("digits", [1])
    assert _wrong(engine) == []


def test_what_was_forgotten_can_be_neither_parked_discarded_nor_released(
    ledger: Ledger, parking: Parking, forgetting: Forgetting, history: History
) -> None:
    accept(ledger, "a")
    forgetting.forget("digits", [1], actor="ada")

    for call in (parking.park, parking.discard, parking.release):
        with pytest.raises(BatchForgotten, match=r"Batch 1 .* was forgotten"):
            call("digits", [1], actor="bob")
    assert history.batch("digits", 1).aside is ParkingKind.FORGET
    assert [one.kind for one in parking.decisions("digits", 1)] == [ParkingKind.FORGET]


def test_a_page_of_the_parked_asks_for_no_more_than_it_shows(ledger: Ledger, parking: Parking, engine: Engine) -> None:
    for key in "abcdefgh":
        accept(ledger, key)
    for reason in ("odd", "odd again"):
        parking.park("digits", range(1, 9), actor="ada", reason=reason)
        parking.release("digits", [1, 3, 8], actor="ada")
    parking.park("digits", [3], actor="ada", reason="odd once more")
    parking.discard("digits", [4], actor="ada")
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _connection, _cursor, said, *_: asked.append(said))

    page = parking.parked("digits", after=1, limit=3)

    assert [(batch.number, why.reason) for batch, why in page] == [(2, "odd"), (3, "odd once more"), (5, "odd")]
    selects = [said for said in asked if said.startswith("SELECT")]
    assert len(selects) == 3  # The model, the decisions, and the batches of the page.
    assert sum("LIMIT" in said and "FROM parkings" in said.split("WHERE")[0] for said in selects) == 1


def test_a_release_asks_what_waits_for_its_batches_alone_however_much_else_the_open_updates_leave_out(
    ledger: Ledger, leases: Leases, parking: Parking, history: History, engine: Engine
) -> None:
    a_chunk(ledger, "abcdefgh")
    parking.park("digits", range(1, 8), actor="ada")
    claimed(leases)
    for batch in range(1, 6):
        parking.release("digits", [batch], actor="ada")
    parking.park("digits", [2], actor="ada")
    asked: list[tuple[str, bool]] = []
    event.listen(engine, "before_cursor_execute", lambda *about: asked.append((about[2], about[5])))

    again = parking.release("digits", [2], actor="ada")
    (queued,) = parking.release("digits", [6], actor="ada")

    assert again == []
    assert (queued.number, queued.batches, sorted(queued.omitted)) == (7, [6], [1, 2, 3, 4, 5, 7, 8])
    looks = [said for said, _ in asked if said.startswith("SELECT") and "FROM omissions" in said]
    # One for each release, and what the new update leaves out, which is answered.
    assert ["omissions.batch IN" in said for said in looks] == [True, True, False]
    # Nor is what it leaves out sent row by row.
    assert [is_many for said, is_many in asked if "INTO omissions" in said] == [False]
    assert _wrong(engine) == []


def _wrong(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return violations(connection)
