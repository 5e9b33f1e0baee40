"""Where all models stand, by the ledger: exact after each step, and never more queries for more models."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, event

from store.aliases import Aliases
from store.deliveries import Deliveries
from store.forgetting import Forgetting
from store.kinds import HEAD, UpdateState
from store.leases import Leases
from store.ledger import Ledger
from store.overview import SCORES, VERSIONS, overview
from store.parking import Parking
from store.standing import Learned, Standing
from store.values import Json, Scored
from store.webhooks import Webhooks
from tests.conftest import FakeClock
from tests.store.given import a_chunk, a_model, accept, claimed, digest, learn, publish

REPORT: Json = {
    "seconds": 2.0,
    "seconds_in_all": 3.5,
    "steps": 40,
    "gpu_bytes_peak": 5 * 2**30,
    "prequential": {"rows": 4, "accuracy": 0.75, "nll": None},
    "warnings": [],
}


def standing(engine: Engine, clock: FakeClock, name: str = "digits") -> Standing:
    [found] = [one for one in overview(engine, limit=1000, clock=clock).standings if one.name == name]
    return found


def test_pending_rows_go_up_with_a_batch_and_back_to_zero_when_it_is_closed_and_learned(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases
) -> None:
    a_model(ledger)
    assert standing(engine, clock).pending_rows == 0

    accept(ledger, "a", rows=3)
    accept(ledger, "b", rows=4)
    waiting = standing(engine, clock)
    ledger.close("digits")
    closed = standing(engine, clock)
    claim = claimed(leases)
    running = standing(engine, clock)
    publish(leases, claim)
    live = standing(engine, clock)

    assert (waiting.pending_batches, waiting.pending_rows, waiting.queued_rows) == (2, 7, 0)
    assert (closed.pending_batches, closed.pending_rows, closed.queued_rows) == (0, 0, 7)
    assert running.queued_rows == 7
    assert (live.pending_rows, live.queued_rows, live.batches, live.versions) == (0, 0, 2, 1)
    assert [one.updates[UpdateState.QUEUED] for one in (closed, running, live)] == [1, 0, 0]
    assert [one.updates[UpdateState.RUNNING] for one in (closed, running, live)] == [0, 1, 0]
    assert [one.updates[UpdateState.PUBLISHED] for one in (closed, running, live)] == [0, 0, 1]


def test_the_lag_is_the_time_from_the_first_batch_of_the_chunk_to_the_move_of_head(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases
) -> None:
    a_model(ledger)
    first_at = clock.seconds
    accept(ledger, "a")
    clock.pass_by(30.0)
    accept(ledger, "b")
    ledger.close("digits")
    assert standing(engine, clock).waiting_since == first_at
    clock.pass_by(10.0)
    assert standing(engine, clock).lag_seconds is None

    claim = claimed(leases)
    clock.pass_by(2.5)
    publish(leases, claim)

    found = standing(engine, clock)
    assert found.lag_seconds == pytest.approx(42.5)
    assert found.waiting_since is None
    assert (found.head, found.head_moves, found.head_moved_at) == (1, 2, clock.seconds)


def test_moves_that_bring_nothing_new_leave_the_lag_as_it_was(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases, aliases: Aliases
) -> None:
    a_model(ledger)
    for key in ("a", "b"):
        a_chunk(ledger, key)
        clock.pass_by(7.0)
        publish(leases, claimed(leases))
    clock.pass_by(1000.0)

    aliases.rollback("digits", to=1, actor="ada")
    aliases.move("digits", HEAD, 2, actor="ada")

    found = standing(engine, clock)
    assert found.lag_seconds == pytest.approx(7.0)
    assert (found.head, found.head_moves) == (2, 5)


def test_a_version_that_is_made_head_by_hand_has_the_lag_of_that_moment(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases, aliases: Aliases
) -> None:
    description = {"family": "ffg", "chunk": {"rows": 100, "seconds": None}, "publish": "manual"}
    ledger.create_model("digits", description, digest("root"))
    a_chunk(ledger, "a")
    clock.pass_by(7.0)
    publish(leases, claimed(leases))
    assert standing(engine, clock).lag_seconds is None

    clock.pass_by(50.0)
    aliases.move("digits", HEAD, 1, actor="ada")

    assert standing(engine, clock).lag_seconds == pytest.approx(57.0)


def test_what_the_newest_versions_say_is_read_oldest_first_and_no_further_back(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases
) -> None:
    a_model(ledger)
    for number in range(VERSIONS + 2):
        a_chunk(ledger, f"{number:x}")
        leases.publish(claimed(leases), digest=digest(str(number)), kl_nats=float(number), report=REPORT)

    learned = standing(engine, clock).learned

    assert [one.number for one in learned] == list(range(3, VERSIONS + 3))
    prequential = REPORT["prequential"]
    facts: Json = {"seconds": 3.5, "steps": 40, "steps_seconds": 2.0, "gpu_bytes_peak": 5 * 2**30}
    assert learned[-1] == Learned(12, 2, 11.0, prequential=prequential, **facts)


def test_a_report_of_an_earlier_release_says_less(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases
) -> None:
    a_model(ledger)
    learn(ledger, leases, "a")

    [learned] = standing(engine, clock).learned

    assert (learned.steps, learned.seconds, learned.gpu_bytes_peak, learned.prequential) == (3, None, None, {})


def test_the_steps_of_a_forget_are_no_news(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases, forgetting: Forgetting
) -> None:
    a_model(ledger)
    learn(ledger, leases, "a", "b", "c")
    clock.pass_by(500.0)
    before = standing(engine, clock)

    forgetting.forget("digits", [1], actor="ada", reason="")
    during = standing(engine, clock)
    publish(leases, claimed(leases))
    publish(leases, claimed(leases))
    after = standing(engine, clock)

    assert during.waiting_since is None
    assert during.queued_rows == 4
    assert after.lag_seconds == before.lag_seconds
    assert (after.head, after.versions) == (5, 5)
    assert [one.number for one in after.learned] == [1, 2, 3]


def test_surprises_are_those_of_the_batches_scored_last_and_infinite_ones_have_no_number(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases
) -> None:
    a_model(ledger, rows=1000)
    for number in range(SCORES + 2):
        accept(ledger, f"key-{number}")
    ledger.close("digits")
    claim = claimed(leases)
    said: list[Json] = [{"z": float(batch), "is_surprising": batch % 2 == 0} for batch in claim.batches]
    said[-1] = {"z": None, "is_surprising": True}
    scored = [Scored(batch, {"rows": 1}, one) for batch, one in zip(claim.batches, said, strict=True)]

    leases.publish(claim, digest=digest("x"), kl_nats=0.0, report=REPORT, scores=scored)

    surprises = standing(engine, clock).surprises
    assert len(surprises) == SCORES
    assert surprises[:2] == [(3.0, False), (4.0, True)]
    assert surprises[-1] == (None, True)


def test_parked_batches_count_until_somebody_decides(
    engine: Engine, clock: FakeClock, ledger: Ledger, parking: Parking
) -> None:
    a_model(ledger)
    for key in "abc":
        accept(ledger, key)
    parking.park("digits", [1, 2], actor="ada")
    before = standing(engine, clock)

    parking.release("digits", [1], actor="ada")

    after = standing(engine, clock)
    assert (before.parked, before.pending_rows) == (2, 1)
    assert (after.parked, after.pending_rows) == (1, 2)


def test_failed_and_cancelled_updates_are_told_apart_from_those_published(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases
) -> None:
    a_model(ledger)
    learn(ledger, leases, "a")
    a_chunk(ledger, "b")
    leases.fail(claimed(leases), code="any", message="any", is_final=True)
    a_chunk(ledger, "c")
    ledger.cancel("digits", 3)

    updates = standing(engine, clock).updates

    counts = {UpdateState.PUBLISHED: 1, UpdateState.FAILED: 1, UpdateState.CANCELLED: 1}
    assert updates == dict.fromkeys(UpdateState, 0) | counts


def test_webhooks_that_are_behind_say_how_far(engine: Engine, clock: FakeClock, ledger: Ledger) -> None:
    a_model(ledger)
    webhooks = Webhooks(engine, clock=clock)
    webhooks.create("digits", "https://example.org/a", kinds=None, created_by="ada")
    deliveries = Deliveries(engine, lease_seconds=60.0, clock=clock)
    for key in "abc":
        accept(ledger, key)
    behind = standing(engine, clock)

    delivery = deliveries.claim()
    assert delivery is not None
    deliveries.failed(delivery, "no answer", pause_seconds=1.0)

    failing = standing(engine, clock)
    assert (behind.webhooks, behind.webhooks_failing, behind.webhook_events) == (1, 0, 3)
    assert (failing.webhooks, failing.webhooks_failing) == (1, 1)


@pytest.mark.parametrize("count", [1, 100])
def test_however_many_models_there_are_the_ledger_is_asked_the_same_number_of_times(
    engine: Engine, clock: FakeClock, ledger: Ledger, count: int
) -> None:
    for number in range(count):
        a_model(ledger, f"model-{number}")
        accept(ledger, "a", model=f"model-{number}")
    asked: list[str] = []

    event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    found = overview(engine, limit=1000, clock=clock)

    assert len(found.standings) == found.models == count
    assert {one.pending_rows for one in found.standings} == {1}
    assert len([statement for statement in asked if "SELECT" in statement]) == 12


def test_the_models_created_first_are_told_of_and_all_are_counted(
    engine: Engine, clock: FakeClock, ledger: Ledger, leases: Leases
) -> None:
    for number in range(5):
        a_model(ledger, f"model-{9 - number}")
        accept(ledger, "a", model=f"model-{9 - number}")

    found = overview(engine, limit=2, clock=clock)

    assert found.models == 5
    assert [one.name for one in found.standings] == ["model-9", "model-8"]
    assert overview(engine, limit=0, clock=clock).standings == []
