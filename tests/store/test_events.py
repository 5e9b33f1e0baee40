"""What happens to a model is told in the order in which it happened, with numbers without gaps."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from store.aliases import Aliases
from store.collecting import Collecting
from store.errors import BatchAbsorbed, ModelNotFound, Problem
from store.events import Events
from store.folder import Folder
from store.forgetting import Forgetting
from store.kinds import EventKind
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.retention import Retention
from store.values import Scored
from tests.conftest import FakeClock
from tests.store.given import a_chunk, a_model, a_queued_update, accept, claimed, digest, learn, publish


def told(events: Events, after: int = 0) -> list[str]:
    return [str(event.kind) for event in events.after("digits", after)]


def test_a_batch_on_its_way_into_head_is_told_step_by_step(
    ledger: Ledger, leases: Leases, events: Events, clock: FakeClock
) -> None:
    a_model(ledger)
    clock.pass_by(1.0)
    accept(ledger, "a", rows=3)
    ledger.close("digits")
    publish(leases, claimed(leases))

    found = events.after("digits", 0)
    assert [(event.number, str(event.kind)) for event in found] == [
        (1, "moved"),
        (2, "accepted"),
        (3, "closed"),
        (4, "started"),
        (5, "published"),
        (6, "moved"),
    ]
    assert [event.at for event in found] == [1_000_000.0, *5 * [1_000_001.0]]
    assert found[1].facts == {"batch": 1, "rows": 3}
    assert found[2].facts == {"chunk": 1, "batches": [1, 1], "rows": 3, "reason": "demand"}
    assert found[3].facts == {"update": 1, "attempt": 1, "chunk": 1, "prior": 0}
    published = found[4].facts
    assert {name: published[name] for name in ("version", "parent", "chunk", "rows", "publication")} == {
        "version": 1,
        "parent": 0,
        "chunk": 1,
        "rows": 3,
        "publication": "head",
    }
    assert {name: found[5].facts[name] for name in ("alias", "from", "to", "by")} == {
        "alias": "head",
        "from": 0,
        "to": 1,
        "by": "worker",
    }


def test_a_batch_that_fills_its_chunk_is_told_before_the_chunk_is(ledger: Ledger, events: Events) -> None:
    a_model(ledger, rows=2)
    for key in "abc":
        accept(ledger, key)

    assert told(events, after=1) == ["accepted", "accepted", "closed", "accepted"]


def test_a_version_that_is_held_back_is_told_with_its_reason(ledger: Ledger, leases: Leases, events: Events) -> None:
    a_model(ledger)
    a_queued_update(ledger)

    leases.publish(claimed(leases), digest=digest("worse"), kl_nats=1.0, report={"warnings": ["w"]}, held="worse")

    found = events.after("digits", 4)
    assert [event.kind for event in found] == [EventKind.PUBLISHED, EventKind.MOVED, EventKind.HELD]
    assert found[0].facts["warnings"] == ["w"]
    assert found[1].facts["alias"] == "challenger"
    assert found[2].facts == {"version": 1, "why": "gated", "reason": "worse", "head": 0}


def test_failures_are_told_each_and_whether_they_are_the_last(
    ledger: Ledger, leases: Leases, events: Events, clock: FakeClock
) -> None:
    a_model(ledger)
    a_queued_update(ledger)
    leases.fail(claimed(leases), code="any", message="words")
    claimed(leases)
    clock.pass_by(16.0)
    leases.fail(claimed(leases), code="any", message="words")

    found = [event.facts for event in events.after("digits", 3) if event.kind == EventKind.FAILED]
    assert [(facts["update"], facts["code"], facts["is_final"]) for facts in found] == [
        (1, "any", False),
        (1, "lease-expired", False),
        (1, "any", True),
    ]
    assert found[0]["message"] == "words"


def test_decisions_about_batches_are_told_with_who_and_why(
    ledger: Ledger, leases: Leases, parking: Parking, events: Events
) -> None:
    a_model(ledger)
    a_chunk(ledger, "ab")
    leases.park(claimed(leases), [Scored(2, None, {"z": 5.0})], reason="surprising")
    parking.discard("digits", [2], actor="ada", reason="mislabeled")
    parking.release("digits", [2], actor="bob", reason="it was right")

    found = events.after("digits", 5)
    assert [(str(event.kind), event.facts) for event in found] == [
        ("parked", {"batch": 2, "by": "worker", "reason": "surprising", "surprise": {"z": 5.0}}),
        ("discarded", {"batch": 2, "by": "ada", "reason": "mislabeled"}),
        ("released", {"batch": 2, "by": "bob", "reason": "it was right"}),
    ]


def test_a_forget_is_told_from_its_decisions_to_its_move(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, events: Events
) -> None:
    a_model(ledger)
    learn(ledger, leases, "a", "b")
    newest = events.newest("digits")

    forgetting.forget("digits", [1], actor="ada", reason="asked")
    publish(leases, claimed(leases))

    found = events.after("digits", newest)
    assert [str(event.kind) for event in found] == ["discarded", "started", "published", "moved", "forgotten"]
    assert found[2].facts["publication"] == "aside"
    assert (found[3].facts["move"], found[3].facts["from"], found[3].facts["to"]) == ("forget", 2, 3)
    assert found[4].facts == {"forget": 1, "batches": [1], "head": 3, "by": "ada"}


def test_a_forget_that_comes_to_nothing_is_told(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, aliases: Aliases, events: Events
) -> None:
    a_model(ledger)
    learn(ledger, leases, "a", "b")
    newest = events.newest("digits")
    forgetting.forget("digits", [1], actor="ada")
    forgetting.cancel("digits", 1)
    forgetting.forget("digits", [1], actor="ada")
    aliases.rollback("digits", actor="bob")
    assert leases.claim("worker") is None

    found = events.after("digits", newest)
    assert [str(event.kind) for event in found] == ["discarded", "cancelled", "discarded", "moved", "failed"]
    assert (found[1].facts["forget"], found[1].facts["code"]) == (1, "cancelled")
    assert (found[4].facts["forget"], found[4].facts["code"]) == (2, "forget-overtaken")


def test_deleted_rows_are_told(
    ledger: Ledger, leases: Leases, events: Events, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    a_model(ledger)
    learn(ledger, leases, "a")
    retention = Retention(engine, Collecting(engine, Folder(tmp_path_factory.mktemp("blobs"))))

    retention.delete("digits", 1, actor="ada", reason="asked")

    newest = events.after("digits", 0)[-1]
    assert (newest.kind, newest.facts) == (
        EventKind.DELETED,
        {"batch": 1, "why": "demand", "by": "ada", "reason": "asked"},
    )


def test_what_was_refused_is_not_told(ledger: Ledger, leases: Leases, parking: Parking, events: Events) -> None:
    a_model(ledger)
    learn(ledger, leases, "a")
    accept(ledger, "b")
    newest = events.newest("digits")

    with pytest.raises(BatchAbsorbed):
        parking.park("digits", [2, 1], actor="ada")
    accept(ledger, "b")

    assert told(events, after=newest) == []


def test_events_are_read_from_any_number_on_in_pages(ledger: Ledger, events: Events) -> None:
    a_model(ledger)
    for key in "abcd":
        accept(ledger, key)

    assert [event.number for event in events.after("digits", 2, limit=2)] == [3, 4]
    assert events.after("digits", 5) == []
    assert events.newest("digits") == 5
    for call in (lambda: events.after("nowhere", 0), lambda: events.newest("nowhere")):
        with pytest.raises(ModelNotFound):
            call()


def test_numbers_have_no_gaps_and_a_reader_misses_nothing_however_many_write_at_once(
    ledger: Ledger, parking: Parking, aliases: Aliases, events: Events, engine: Engine
) -> None:
    """Four writers and a reader that asks for what is new again and again: seed 0."""
    a_model(ledger, rows=7)
    leases = Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0)
    seen = list[int]()

    def write(writer: int) -> None:
        chance = random.Random(writer)
        for turn in range(25):
            try:
                match chance.randrange(5):
                    case 0:
                        parking.park("digits", [1 + chance.randrange(20)], actor="ada")
                    case 1:
                        aliases.move("digits", "champion", 0, actor="ada")
                    case 2 if (claim := leases.claim(f"worker {writer}")) is not None:
                        publish(leases, claim)
                    case _:
                        accept(ledger, f"{writer} {turn}")
            except Problem:
                continue

    def read() -> None:
        while not all(one.done() for one in writing):
            seen.extend(event.number for event in events.after("digits", seen[-1] if seen else 0))

    with ThreadPoolExecutor(5) as threads:
        writing = [threads.submit(write, writer) for writer in range(4)]
        for one in (*writing, threads.submit(read)):
            one.result()

    seen.extend(event.number for event in events.after("digits", seen[-1], limit=1000))
    assert seen == list(range(1, events.newest("digits") + 1))
    assert len(seen) > 50
