"""Batches are divided out of head at once: a version that absorbed nothing, and whose evidence still has them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Connection, Engine

from store.aliases import Aliases
from store.blobs import digest_of
from store.collecting import Collecting
from store.dividing import ROWS_MAX, Divided, Dividing, divided_on, divisions_of
from store.errors import (
    ApproximationImpossible,
    ApproximationOvertaken,
    BatchNotFound,
    BlobBuried,
    ForgetBusy,
    HeadMoved,
    RowsMissing,
)
from store.events import Events
from store.folder import Folder
from store.forgetting import Forgetting
from store.history import History
from store.invariants import violations
from store.kinds import HEAD, EventKind, ForgetState, MoveKind, ParkingKind, Publication, UpdateState
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.queries import find_model
from store.recorded import changed, recorded
from store.retention import Retention
from tests.conftest import FakeClock
from tests.store.given import a_chunk, a_model, accept, claimed, digest, learn, publish
from tests.store.loose import loosened

MADE = Divided(digest("divided"), 2.5, {"warnings": ["not exact"]})


@pytest.fixture(autouse=True)
def given(ledger: Ledger) -> None:
    a_model(ledger)


@pytest.fixture
def dividing(engine: Engine, clock: FakeClock) -> Dividing:
    return Dividing(engine, clock=clock)


def divide(dividing: Dividing, *batches: int, made: Divided | None = MADE) -> int:
    return dividing.finish(dividing.plan("digits", batches), made, actor="ada", reason="asked")


def test_a_head_that_moved_is_told_before_the_removal_of_the_bytes_by_another_who_was_overtaken(
    ledger: Ledger,
    leases: Leases,
    dividing: Dividing,
    aliases: Aliases,
    engine: Engine,
    clock: FakeClock,
    tmp_path: Path,
) -> None:
    learn(ledger, leases, "a", "b", "c")
    division = dividing.plan("digits", [2])
    aliases.rollback("digits", actor="bob")
    Collecting(engine, Folder(tmp_path), clock=clock).discard([MADE.digest])

    with pytest.raises(ApproximationOvertaken):
        dividing.finish(division, MADE, actor="ada")

    aliases.move("digits", HEAD, 3, actor="bob")
    with pytest.raises(BlobBuried):
        dividing.finish(division, MADE, actor="ada")


def test_head_is_the_divided_version_whose_evidence_still_has_the_batches(
    ledger: Ledger,
    leases: Leases,
    dividing: Dividing,
    forgetting: Forgetting,
    history: History,
    events: Events,
    engine: Engine,
) -> None:
    learn(ledger, leases, "a", "b", "c")

    number = divide(dividing, 2)

    done = forgetting.find("digits", number)
    assert (done.state, done.method, done.base, done.head) == (ForgetState.DONE, "approximate", 3, 4)
    assert (done.updates, done.batches, done.finished_at) == ((), (2,), done.created_at)
    version = history.version("digits", 4)
    assert (version.parent, version.chunk, version.update, version.rows) == (3, None, None, 0)
    assert (version.rows_learned, version.depth, version.branch) == (6, 4, 0)
    assert (version.publication, version.kl_nats) == (Publication.APPROXIMATE, 2.5)
    assert version.report == {"warnings": ["not exact"], "divided": [2]}
    move = history.alias("digits", HEAD)
    assert (move.version, move.previous, move.kind, move.moved_by) == (4, 3, MoveKind.FORGET, "ada")
    assert history.evidence("digits", 4).batches == [1, 2, 3]
    assert history.batch("digits", 2).aside is ParkingKind.FORGET
    told = events.after("digits", 0)[-4:]
    kinds = [EventKind.DISCARDED, EventKind.PUBLISHED, EventKind.MOVED, EventKind.FORGOTTEN]
    assert [event.kind for event in told] == kinds
    assert (told[1].facts["divided"], told[1].facts["publication"]) == ([2], "approximate")
    assert told[3].facts["method"] == "approximate"
    assert _wrong(engine) == []


def test_steps_are_the_versions_that_learned_the_batches_the_newest_first(
    ledger: Ledger, leases: Leases, dividing: Dividing, history: History
) -> None:
    learn(ledger, leases, "a", "bc", "d", "e")

    division = dividing.plan("digits", [2, 3, 4])

    assert [(step.version, step.before, step.batches) for step in division.steps] == [(3, 2, (4,)), (2, 1, (2, 3))]
    assert [step.digest for step in division.steps] == [history.version("digits", of).digest for of in (3, 2)]
    assert (division.head, division.divided) == (4, [2, 3, 4])
    assert division.forgotten == (digest("d"), digest("c"), digest("b"))
    assert division.kept == (digest("e"), digest("a"))


def test_only_the_newest_rows_that_are_still_kept_are_to_be_measured(
    ledger: Ledger, leases: Leases, dividing: Dividing, engine: Engine, clock: FakeClock, tmp_path: Path
) -> None:
    for key in "abcd":
        accept(ledger, key, rows=ROWS_MAX // 2)
        publish(leases, claimed(leases))
    learn(ledger, leases, "e", "f")
    retention = Retention(engine, Collecting(engine, Folder(tmp_path)), clock=clock)
    retention.delete("digits", 5, actor="ada")
    retention.delete("digits", 6, actor="ada")

    division = dividing.plan("digits", [6])

    assert division.forgotten == ()
    assert division.kept == (digest("d"), digest("c"))


def test_a_version_that_learned_more_than_the_batches_cannot_be_divided_out(
    ledger: Ledger, leases: Leases, dividing: Dividing, history: History
) -> None:
    learn(ledger, leases, "ab", "c")

    with pytest.raises(ApproximationImpossible, match="version 1 has learned from it together with batch 2; name all"):
        dividing.plan("digits", [1])

    assert history.batch("digits", 1).aside is None


def test_batches_of_a_chunk_that_were_learned_apart_are_divided_apart(
    ledger: Ledger, leases: Leases, parking: Parking, dividing: Dividing, engine: Engine
) -> None:
    a_chunk(ledger, "ab")
    parking.park("digits", [2], actor="ada")
    publish(leases, claimed(leases))
    parking.release("digits", [2], actor="ada")
    publish(leases, claimed(leases))

    divide(dividing, 2)

    assert _divisions(engine) == {3: [2]}
    assert _wrong(engine) == []


def test_what_head_has_not_learned_is_only_set_aside(
    ledger: Ledger, leases: Leases, dividing: Dividing, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a")
    a_chunk(ledger, "bc")
    division = dividing.plan("digits", [2])
    assert (division.steps, division.divided) == ((), [])

    number = dividing.finish(division, None, actor="ada")

    done = forgetting.find("digits", number)
    assert (done.state, done.base, done.head) == (ForgetState.DONE, 1, 1)
    assert history.aliases("digits") == {HEAD: 1}
    assert claimed(leases).batches == (3,)
    assert _wrong(engine) == []


def test_a_running_update_begins_anew_on_the_divided_head(
    ledger: Ledger, leases: Leases, dividing: Dividing, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b")
    a_chunk(ledger, "c")
    claim = claimed(leases)

    divide(dividing, 1)

    assert history.update("digits", claim.update).state is UpdateState.QUEUED
    again = claimed(leases)
    assert (again.prior, again.prior_digest) == (3, MADE.digest)
    version = publish(leases, again)
    assert (version.parent, history.evidence("digits", version.number).batches) == (3, [1, 2, 3])
    assert _wrong(engine) == []


def test_nothing_is_divided_out_twice(
    ledger: Ledger, leases: Leases, dividing: Dividing, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b", "c")
    divide(dividing, 2)
    learn(ledger, leases, "d")

    assert dividing.plan("digits", [2]).steps == ()
    assert [step.version for step in dividing.plan("digits", [1, 2]).steps] == [1]
    divide(dividing, 2, made=None)
    divide(dividing, 1, 2, made=Divided(digest("again"), 1.0, {}))

    assert _divisions(engine) == {4: [2], 6: [1]}
    with engine.begin() as connection:
        model = find_model(connection, "digits")
        on_lines = [divided_on(connection, model.id, version) for version in (3, 5, 6)]
    assert on_lines == [frozenset(), {2}, {1, 2}]
    assert _wrong(engine) == []


def test_on_a_line_where_they_were_not_divided_out_they_can_be_again(
    ledger: Ledger, leases: Leases, dividing: Dividing, aliases: Aliases, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b")
    divide(dividing, 1)
    aliases.rollback("digits", to=2, actor="ada")

    divide(dividing, 1, made=Divided(digest("other"), 1.0, {}))

    assert _divisions(engine) == {3: [1], 4: [1]}
    assert _wrong(engine) == []


def test_a_head_that_moved_meanwhile_stays_and_nothing_changed(
    ledger: Ledger, leases: Leases, dividing: Dividing, forgetting: Forgetting, history: History
) -> None:
    learn(ledger, leases, "a", "b")
    division = dividing.plan("digits", [1])
    learn(ledger, leases, "c")

    with pytest.raises(ApproximationOvertaken, match="left version 2"):
        dividing.finish(division, MADE, actor="ada")

    assert history.aliases("digits") == {HEAD: 3}
    assert history.batch("digits", 1).aside is None
    assert forgetting.list("digits") == []


def test_of_many_that_divide_the_same_head_at_once_one_does(
    ledger: Ledger, leases: Leases, dividing: Dividing, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b")
    division, start = dividing.plan("digits", [1]), Barrier(6)

    def finish(_: int) -> bool:
        start.wait()
        try:
            dividing.finish(division, MADE, actor="ada")
        except ApproximationOvertaken:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(finish, range(6)))

    assert sum(done) == 1
    assert _divisions(engine) == {3: [1]}
    assert _wrong(engine) == []


def test_it_waits_for_a_forget_that_is_under_way(
    ledger: Ledger, leases: Leases, dividing: Dividing, forgetting: Forgetting, aliases: Aliases, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b")
    division = dividing.plan("digits", [2])
    forgetting.forget("digits", [1], actor="ada")

    with pytest.raises(ForgetBusy):
        dividing.plan("digits", [2])
    with pytest.raises(ForgetBusy):
        dividing.finish(division, MADE, actor="ada")
    aliases.move("digits", HEAD, 2, actor="ada")

    dividing.finish(dividing.plan("digits", [2]), MADE, actor="ada")
    assert forgetting.find("digits", 1).state is ForgetState.FAILED
    assert _wrong(engine) == []


def test_a_claim_of_the_old_head_cannot_be_published(
    ledger: Ledger, leases: Leases, dividing: Dividing, aliases: Aliases
) -> None:
    learn(ledger, leases, "a", "b")
    division = dividing.plan("digits", [1])
    dividing.finish(division, MADE, actor="ada")
    a_chunk(ledger, "c")
    claim = claimed(leases)
    aliases.rollback("digits", to=2, actor="ada")

    with pytest.raises(HeadMoved):
        publish(leases, claim)


def test_an_exact_forget_over_a_divided_version_is_refused(
    ledger: Ledger, leases: Leases, dividing: Dividing, forgetting: Forgetting, engine: Engine
) -> None:
    learn(ledger, leases, "a", "b", "c")
    divide(dividing, 2)
    learn(ledger, leases, "d")

    for batch in (1, 2, 3):
        with pytest.raises(
            RowsMissing, match=r"version 4 was made by dividing.* roll back to version 3, the one before it, and"
        ):
            forgetting.forget("digits", [batch], actor="ada")
    forgetting.forget("digits", [4], actor="ada")

    assert _wrong(engine) == []


def test_batches_that_do_not_exist_are_refused(dividing: Dividing) -> None:
    with pytest.raises(BatchNotFound):
        dividing.plan("digits", [7])


def _divisions(engine: Engine) -> dict[int, list[int]]:
    with engine.begin() as connection:
        return divisions_of(connection, find_model(connection, "digits").id)


def _wrong(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return violations(connection)


def fill(engine: Engine) -> None:
    """Batches 1 to 3 and 4 with 5 were learned by versions 1 to 4; 5 divides 2 out, 6 learns batch 6, 7 divides 1."""
    clock = FakeClock()
    ledger, dividing = Ledger(engine, clock=clock), Dividing(engine, clock=clock)
    leases = Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0, clock=clock)
    a_model(ledger)
    learn(ledger, leases, "a", "b", "c", "de")
    divide(dividing, 2)
    learn(ledger, leases, "f")
    divide(dividing, 1, made=Divided(digest_of(b"again"), 1.0, {}))


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with loosened(tmp_path_factory.mktemp("loose"), fill) as engine:
        yield engine


@pytest.fixture
def damaged(loose: Engine) -> Iterator[Connection]:
    with loose.connect() as connection:
        yield connection
        connection.rollback()


OTHERWISE = "version 5 was made by division, and yet absorbed a chunk, or has an update or rows"
DAMAGE = {
    "UPDATE versions SET publication = 'put' WHERE number = 5": "version 5 names update None, which does not exist",
    "UPDATE versions SET publication = 'approximate' WHERE number = 4": (
        "version 4 was made by division, and yet absorbed a chunk, or has an update or rows"
    ),
    "UPDATE versions SET chunk = 1 WHERE number = 5": OTHERWISE,
    'UPDATE versions SET "update" = 1 WHERE number = 5': OTHERWISE,
    "UPDATE versions SET rows = 2 WHERE number = 5": OTHERWISE,
    "UPDATE versions SET rows_learned = 8 WHERE number = 5": (
        "version 5 is not one step and its own rows after version 4, its parent"
    ),
    "UPDATE versions SET parent = 3 WHERE number = 5": "version 5 was made by division of version 3 by 0 forgets",
    "UPDATE forgets SET method = 'replay' WHERE number = 1": (
        "version 5 was made by division of version 4 by 0 forgets"
    ),
    "UPDATE forgets SET base = 3 WHERE number = 1": "version 5 was made by division of version 4 by 0 forgets",
    "UPDATE forgets SET head = 6, base = 5 WHERE number = 1": (
        "forget 1 is by division, and ends at version 6, which was made otherwise"
    ),
    "UPDATE forgets SET state = 'running' WHERE number = 1": (
        "forget 1 is by division, which is done at once, and is running or has steps"
    ),
    "UPDATE updates SET forget = 1 WHERE number = 2": (
        "forget 1 is by division, which is done at once, and is done or has steps"
    ),
    "UPDATE moves SET kind = 'put' WHERE version = 5": (
        "version 5 was made by division, and head did not move there once from its parent"
    ),
    "UPDATE forgets SET batches = '[4]' WHERE number = 1": (
        "version 5 is divided by what version 4 learned also of batch 5"
    ),
    "UPDATE forgets SET batches = '[6]' WHERE number = 1": (
        "version 5 was made by division, and there was nothing to divide out"
    ),
    "UPDATE forgets SET batches = '[2]' WHERE number = 2": (
        "version 7 was made by division, and there was nothing to divide out"
    ),
    "UPDATE forgets SET head = 4, base = 4 WHERE number = 1": (
        "forget 1 is done, and version 4 has learned from its batches"
    ),
}


@pytest.mark.parametrize("statement", DAMAGE)
def test_each_kind_of_damage_is_named(damaged: Connection, statement: str) -> None:
    assert violations(damaged) == []

    assert damaged.exec_driver_sql(statement).rowcount > 0

    assert f"digits: {DAMAGE[statement]}" in violations(damaged)


def test_a_forget_by_division_that_was_altered_is_named(damaged: Connection) -> None:
    before = recorded(damaged)

    damaged.exec_driver_sql("UPDATE forgets SET method = 'replay' WHERE number = 1")

    assert [sentence.split(":", maxsplit=1)[0] for sentence in changed(before, recorded(damaged))] == [
        "forget 1 1 was altered in method"
    ]
