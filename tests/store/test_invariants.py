"""The books are sound after every kind of write; each kind of damage is named; what is there for good is compared."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from benchmarks.live.tree import Shape, grow
from store.aliases import Aliases
from store.invariants import violations
from store.leases import Leases
from store.ledger import Ledger
from store.recorded import changed, recorded
from tests.conftest import FakeClock
from tests.store.given import a_model, a_published_version, a_queued_update, accept, claimed, digest
from tests.store.loose import loosened

LONG = 10_000
SECONDS_MAX = 5.0


def fill(engine: Engine) -> None:
    """Versions 1 and 2 on one line, 3 on another after a rollback; updates published, cancelled, failed, running."""
    clock = FakeClock()
    ledger, aliases = Ledger(engine, clock=clock), Aliases(engine, clock=clock)
    leases = Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0, clock=clock)
    a_model(ledger)
    for key in "ab":
        a_published_version(ledger, leases, key)
        clock.pass_by(1.0)
    aliases.rollback("digits", to=1, actor="ada")
    a_published_version(ledger, leases, "c")
    a_queued_update(ledger, "d")
    ledger.cancel("digits", 4)
    a_queued_update(ledger, "e")
    leases.fail(claimed(leases), code="any", message="any", is_final=True)
    clock.pass_by(1.0)
    for version in (1, 2):
        aliases.move("digits", "champion", version, actor="ada")
    aliases.remove("digits", "champion", actor="ada")
    a_queued_update(ledger, "f")
    a_queued_update(ledger, "g")
    claimed(leases)
    accept(ledger, "pending")


def test_the_books_are_sound_after_every_kind_of_write(engine: Engine) -> None:
    fill(engine)

    with engine.begin() as connection:
        assert violations(connection) == []


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The same books in tables that refuse nothing."""
    with loosened(tmp_path_factory.mktemp("loose"), fill) as engine:
        yield engine


@pytest.fixture
def damaged(loose: Engine) -> Iterator[Connection]:
    with loose.connect() as connection:
        yield connection
        connection.rollback()


DAMAGE = {
    "DELETE FROM batches WHERE number = 7": "batch 7 is missing",
    "DELETE FROM batches WHERE number IN (2, 3)": "batch 3 is missing",
    "UPDATE batches SET key = 'a' WHERE number = 5": "the idempotency key 'a' names 2 batches",
    "UPDATE batches SET rows = 4 WHERE number = 1": "chunk 1 says 1 rows, its batches hold 4",
    "UPDATE chunks SET rows = 5 WHERE number = 1": "chunk 1 says 5 rows, its batches hold 1",
    "UPDATE chunks SET batch_first = 1 WHERE number = 2": "chunk 2 begins at batch 1 instead of 2",
    "UPDATE chunks SET batch_last = 99 WHERE number = 7": "chunk 7 ends at batch 99, which it cannot",
    "DELETE FROM chunks WHERE number = 5": "chunk 5 is missing",
    "UPDATE updates SET chunk = 3 WHERE number = 5": "chunk 5 has no update: nobody will absorb it",
    "DELETE FROM updates WHERE number = 5": "update 5 is missing",
    "UPDATE updates SET chunk = 77 WHERE number = 5": "update 5 is of chunk 77, which does not exist",
    "UPDATE updates SET state = 'running' WHERE number = 7": "updates 6, 7 run at once",
    "UPDATE updates SET chunk = 6 WHERE number = 7": "chunk 6 waits in 2 updates at once",
    "UPDATE updates SET owner = NULL WHERE number = 6": "update 6 runs without an owner, a lease or a prior",
    "UPDATE updates SET lease_until = NULL WHERE number = 6": "update 6 runs without an owner, a lease or a prior",
    "UPDATE updates SET chunk = 3 WHERE number = 6": (
        "update 6 absorbs chunk 3 into version 3, which has learned from it"
    ),
    "UPDATE updates SET owner = 'late' WHERE number = 7": "update 7 is queued and still held by 'late'",
    "UPDATE updates SET finished_at = NULL WHERE number = 4": "update 4 is cancelled, its finish says otherwise",
    "UPDATE updates SET failures = 2 WHERE number = 5": "update 5 failed 2 times in 1 attempts",
    "UPDATE updates SET state = 'failed' WHERE number = 3": (
        "update 3 and the versions disagree about its being published"
    ),
    "UPDATE updates SET state = 'published' WHERE number = 5": (
        "update 5 and the versions disagree about its being published"
    ),
    "UPDATE updates SET prior = 2 WHERE number = 3": (
        "version 3 is chunk 3 absorbed into version 1, its update 3 says chunk 3 into 2"
    ),
    "UPDATE versions SET chunk = 1 WHERE number = 2": "version 2 counts chunk 1 2 times",
    "UPDATE versions SET parent = 9 WHERE number = 2": "version 2 has parent 9, which is not an earlier version",
    "UPDATE versions SET parent = 3 WHERE number = 2": "version 2 has parent 3, which is not an earlier version",
    "UPDATE versions SET parent = NULL WHERE number = 2": "version 2 has parent None, which is not an earlier version",
    'UPDATE versions SET "update" = 1 WHERE number = 2': "update 1 was published 2 times",
    'UPDATE versions SET "update" = 70 WHERE number = 2': "version 2 names update 70, which does not exist",
    "UPDATE versions SET chunk = 1 WHERE number = 0": (
        "version 0 is the root prior, and yet has a parent, a chunk or an update"
    ),
    "DELETE FROM versions WHERE number = 0": "version 0, the root prior, is missing",
    "DELETE FROM versions WHERE number = 1": "version 1 is missing",
    "DELETE FROM moves WHERE alias = 'head' AND seq = 2": "the history of alias 'head' has a gap",
    "UPDATE moves SET moved_at = 0 WHERE alias = 'champion' AND seq = 2": (
        "the history of alias 'champion' goes back in time"
    ),
    "UPDATE moves SET version = 50 WHERE alias = 'champion' AND seq = 2": (
        "move 2 of alias 'champion' points at version 50, which does not exist"
    ),
    "UPDATE moves SET kind = 'publish' WHERE alias = 'champion' AND seq = 2": (
        "move 2 of alias 'champion' cannot be of kind 'publish'"
    ),
    "UPDATE moves SET version = 1 WHERE alias = 'champion' AND seq = 3": (
        "move 3 of alias 'champion' cannot be of kind 'remove'"
    ),
    "UPDATE moves SET kind = 'create' WHERE alias = 'head' AND seq = 2": (
        "move 2 of alias 'head' cannot be of kind 'create'"
    ),
    "UPDATE moves SET version = NULL WHERE alias = 'head' AND seq = 5": "head points at no version",
    "DELETE FROM moves WHERE alias = 'head'": "head points at no version",
    "UPDATE moves SET version = 2 WHERE alias = 'head' AND kind = 'rollback'": (
        "version 3 was published while head was 2, not its parent"
    ),
    "UPDATE moves SET version = 3 WHERE alias = 'head' AND kind = 'rollback'": (
        "move 4 rolls head back from 2 to 3, not along its line"
    ),
    "UPDATE moves SET kind = 'put' WHERE alias = 'head' AND seq = 5": (
        "version 3 (head) was published by 0 moves of head"
    ),
    "UPDATE versions SET branch = 0, fork = NULL WHERE number = 3": "2 versions are at depth 2 of branch 0",
    "UPDATE versions SET fork = 0 WHERE number = 3": (
        "version 3 is on branch 1, which does not start from its parent 1"
    ),
    "UPDATE versions SET depth = 3 WHERE number = 3": (
        "version 3 is not one step and its own rows after version 1, its parent"
    ),
    "UPDATE versions SET rows_learned = 9 WHERE number = 3": (
        "version 3 is not one step and its own rows after version 1, its parent"
    ),
    "UPDATE versions SET depth = 1 WHERE number = 0": "version 0, the root prior, is not where the tree begins",
    "UPDATE versions SET rows = 9 WHERE number = 3": "version 3 says 9 rows, what it learned of chunk 3 has 1",
    "DELETE FROM events WHERE number = 4": "of events 1 to 33 there are 32",
}


@pytest.mark.parametrize("statement", DAMAGE)
def test_each_kind_of_damage_is_named(damaged: Connection, statement: str) -> None:
    assert violations(damaged) == []

    assert damaged.exec_driver_sql(statement).rowcount > 0

    assert f"digits: {DAMAGE[statement]}" in violations(damaged)


def test_what_is_there_for_good_is_the_same_as_long_as_rows_are_only_added(
    engine: Engine, ledger: Ledger, leases: Leases
) -> None:
    a_model(ledger)
    a_published_version(ledger, leases, "a")
    a_queued_update(ledger, "b")
    with engine.begin() as connection:
        before = recorded(connection)

    leases.fail(claimed(leases), code="any", message="any")
    a_queued_update(ledger, "c")

    with engine.begin() as connection:
        after = recorded(connection)
    assert changed(before, after) == []
    assert {name[0] for name in before} == {"model", "batch", "chunk", "version", "move", "update", "event"}
    added = sorted(str(name[0]) for name in set(after) - set(before))
    assert added == ["batch", "chunk", *4 * ["event"]]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM versions WHERE number = 2", "version 1 2 vanished"),
        ("UPDATE versions SET digest = 'other' WHERE number = 2", "version 1 2 was altered in digest"),
        ("UPDATE batches SET rows = 9 WHERE number = 1", "batch 1 1 was altered in rows"),
        ("UPDATE chunks SET batch_last = 9 WHERE number = 1", "chunk 1 1 was altered in batch_last"),
        ("UPDATE moves SET moved_by = 'eve' WHERE alias = 'head' AND seq = 2", "move 1 head 2 was altered in moved_by"),
        ("UPDATE updates SET state = 'queued' WHERE number = 1", "update 1 1 vanished"),
        ("""UPDATE models SET description = '{"family": "point"}'""", "model 1 was altered in description"),
    ],
)
def test_what_vanished_or_was_altered_is_named(damaged: Connection, statement: str, said: str) -> None:
    before = recorded(damaged)

    damaged.exec_driver_sql(statement)

    (sentence,) = changed(before, recorded(damaged))
    assert sentence.startswith(said)


def test_ten_thousand_versions_on_one_line_are_looked_through_in_seconds(engine: Engine) -> None:
    a_model(Ledger(engine))
    with engine.begin() as connection:
        grow(connection, "digits", Shape(LONG, branches=100), posteriors=[digest("any")])

        began = time.process_time()
        found = violations(connection)
        took = time.process_time() - began

    assert found == []
    assert took < SECONDS_MAX
