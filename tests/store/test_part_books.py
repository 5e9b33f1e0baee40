"""Books of parts of chunks: sound after whatever was left out, taken back or held; each kind of damage is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from store.forgetting import Forgetting
from store.invariants import violations
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.recorded import changed, recorded
from tests.conftest import FakeClock
from tests.store.given import a_model, accept, claimed, digest, publish
from tests.store.loose import loosened


def fill(engine: Engine) -> None:
    """Chunk 1 is batches 1 to 3: version 1 has 1 and 3, version 2 batch 2; 3 is chunk 2, held back.

    Without batch 1: version 4 is batch 3 of chunk 1, version 5 batch 2. Then a forget of batch 2 runs: its step is
    update 7. Batch 5 is parked, 6 discarded.
    """
    clock = FakeClock()
    ledger, parking = Ledger(engine, clock=clock), Parking(engine, clock=clock)
    leases = Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0, clock=clock)
    forgetting = Forgetting(engine, clock=clock)
    a_model(ledger)
    for key in "abc":
        accept(ledger, key, rows=2)
    parking.park("digits", [2], actor="ada")
    ledger.close("digits")
    publish(leases, claimed(leases))
    parking.release("digits", [2], actor="ada")
    publish(leases, claimed(leases))
    accept(ledger, "d")
    ledger.close("digits")
    leases.publish(claimed(leases), digest=digest("worse"), kl_nats=1.0, report={}, held="worse")
    for _ in forgetting.forget("digits", [1], actor="ada").updates:
        publish(leases, claimed(leases))
    for key in "ef":
        accept(ledger, key)
    parking.park("digits", [5], actor="ada")
    parking.discard("digits", [6], actor="ada")
    accept(ledger, "g")
    ledger.close("digits")
    forgetting.forget("digits", [3], actor="ada")


def test_the_books_are_sound_whatever_was_left_out(engine: Engine) -> None:
    fill(engine)

    with engine.begin() as connection:
        assert violations(connection) == []


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with loosened(tmp_path_factory.mktemp("loose"), fill) as engine:
        yield engine


@pytest.fixture
def damaged(loose: Engine) -> Iterator[Connection]:
    with loose.connect() as connection:
        yield connection
        connection.rollback()


DAMAGE = {
    'DELETE FROM omissions WHERE "update" = 2 AND batch = 1': "version 2 counts chunk 1 2 times",
    "INSERT INTO omissions VALUES (1, 2, 4)": "update 2 leaves out batch 4, which is not in its chunk",
    "INSERT INTO omissions VALUES (1, 1, 3)": "version 1 says 4 rows, what it learned of chunk 1 has 2",
    "DELETE FROM parkings WHERE batch = 2 AND seq = 1": "the decisions about batch 2 have a gap",
    "UPDATE parkings SET kind = 'forget' WHERE batch = 2 AND seq = 1": (
        "decision 2 about batch 2 cannot be to release it"
    ),
    "UPDATE parkings SET kind = 'release' WHERE batch = 5": "decision 1 about batch 5 cannot be to release it",
    "DELETE FROM forgets WHERE number = 1": "forget 1 is missing",
    "DELETE FROM forgets WHERE number = 2": "update 7 is a step of forget 2, which does not exist",
    "UPDATE forgets SET state = 'running' WHERE number = 1": "forgets 1, 2 run at once",
    "UPDATE forgets SET state = 'failed' WHERE number = 2": "update 7 is a step of forget 2, which is over",
    "UPDATE forgets SET state = 'cancelled' WHERE number = 1": (
        "forget 1 is cancelled, where head moved says otherwise"
    ),
    "UPDATE forgets SET finished_at = NULL WHERE number = 1": "forget 1 is done, its finish says otherwise",
    "UPDATE forgets SET head = 2 WHERE number = 1": ("forget 1 is done, and version 2 has learned from its batches"),
    "UPDATE forgets SET head = 4 WHERE number = 1": (
        "head was moved to version 5 by a forget, and none that is done ends there"
    ),
    "UPDATE updates SET forget = NULL WHERE number = 4": (
        "version 4 (aside) and its update disagree about its being a step of a forget"
    ),
    "UPDATE versions SET publication = 'gated' WHERE number = 4": (
        "version 4 (gated) and its update disagree about its being a step of a forget"
    ),
    "UPDATE versions SET publication = 'head' WHERE number = 3": "version 3 (head) was published by 0 moves of head",
    "UPDATE moves SET kind = 'put' WHERE kind = 'hold'": "version 3 (gated) was held by 0 moves of the challenger",
    "UPDATE moves SET kind = 'hold' WHERE kind = 'forget'": "move 4 of alias 'head' cannot be of kind 'hold'",
}


@pytest.mark.parametrize("statement", DAMAGE)
def test_each_kind_of_damage_is_named(damaged: Connection, statement: str) -> None:
    assert violations(damaged) == []

    assert damaged.exec_driver_sql(statement).rowcount > 0

    assert f"digits: {DAMAGE[statement]}" in violations(damaged)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ('DELETE FROM omissions WHERE "update" = 1', "omission 1 1 2 vanished"),
        ("UPDATE parkings SET decided_by = 'eve' WHERE batch = 5", "decision 1 5 1 was altered in decided_by"),
        ("UPDATE forgets SET state = 'running' WHERE number = 1", "forget 1 1 vanished"),
        ("UPDATE events SET facts = '{}' WHERE number = 1", "event 1 1 was altered in facts"),
    ],
)
def test_what_vanished_or_was_altered_is_named(damaged: Connection, statement: str, said: str) -> None:
    before = recorded(damaged)

    damaged.exec_driver_sql(statement)

    (sentence,) = changed(before, recorded(damaged))
    assert sentence.startswith(said)
