"""What a random walk does not meet: two calls at the same moment, on purpose, and what the database itself refuses.

Each check passes on the ledger as it is. `patience` is how long the second call may take before the first goes on: a
moment where a lock keeps it waiting anyway, as long as it needs where the lock was taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, Table, event, insert, select
from sqlalchemy.exc import IntegrityError

from store.accepting import Posted
from store.errors import AliasMoved, LeaseLost
from store.kept_predictions import KeptPredictions
from store.labeling import LabeledBatch, Labeling, LabelsTaken
from store.schema.learning import batches, moves, updates, versions
from tests.promises.agreement import outcome_of
from tests.promises.stories import Given, refused, sound
from tests.store.given import a_chunk, a_published_version, a_queued_update, accept, claimed, digest, publish
from tests.store.test_kept_predictions import answered

Answer = TypeVar("Answer")

COMMIT = "COMMIT"


@contextmanager
def meanwhile(
    engine: Engine, words: str, call: Callable[[], Answer], *, patience: float
) -> Iterator[list[Future[Answer]]]:
    """When a statement with these words, or the first COMMIT, is about to run, the call is made by another thread.

    Where that cannot end before this transaction does, it goes on after `patience` seconds, and the call ends later.
    """
    calls, began = [call], list[Future[Answer]]()
    with ThreadPoolExecutor(1) as other:

        def begin() -> None:
            # Empty before the other thread begins: its own statements come by here too.
            if calls:
                began.append(other.submit(calls.pop()))
                wait(began, patience)

        def before(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
            if words in statement:
                begin()

        def at_commit(_connection: Connection) -> None:
            begin()

        name, listener = ("commit", at_commit) if words == COMMIT else ("before_cursor_execute", before)
        event.listen(engine, name, listener)
        yield began
    event.remove(engine, name, listener)
    assert began, f"nothing was met at {words!r}"


def one_key_posted_twice(engine: Engine, patience: float) -> None:
    """One of the two is told that the key was known."""
    given = Given(engine)

    with meanwhile(engine, "max(batches.number)", lambda: accept(given.ledger, "key"), patience=patience) as other:
        answer = accept(given.ledger, "key")

    assert [answer.is_replay, other[0].result().is_replay] == [False, True]
    sound(engine)


def rows_during_a_close(engine: Engine, patience: float) -> None:
    """They are in the chunk with their batch, or neither is."""
    given = Given(engine)
    accept(given.ledger, "early", rows=2)

    with meanwhile(
        engine, "max(chunks.number)", lambda: accept(given.ledger, "late", rows=3), patience=patience
    ) as other:
        chunk = given.ledger.close("digits").chunk

    assert other[0].result().batch.number == 2
    assert (list(chunk.batches), chunk.rows) == ([1], 2)
    sound(engine)


def two_movers(engine: Engine, patience: float) -> None:
    """The one who comes second is told that the alias moved."""
    given = Given(engine)
    a_published_version(given.ledger, given.leases, "a")

    def move(version: int) -> Callable[[], object]:
        return lambda: given.aliases.move("digits", "champion", version, actor="ada", expected_seq=0)

    with meanwhile(engine, "INSERT INTO moves", lambda: outcome_of(move(1)), patience=patience) as other:
        answers = [outcome_of(move(0)), other[0]]

    assert sum(isinstance(one, AliasMoved) for one in (answers[0], other[0].result())) == 1
    sound(engine)


def two_workers_who_looked(engine: Engine, patience: float) -> None:
    """The one who acts on an old look finds that the model is busy by now."""
    given = Given(engine)
    for key in "ab":
        a_queued_update(given.ledger, key)

    with meanwhile(engine, COMMIT, lambda: given.leases.claim("quick"), patience=10.0) as other:
        slow = given.leases.claim("slow")

    assert other[0].result() is not None
    assert slow is None
    sound(engine)


def two_workers_in_a_claim(engine: Engine, patience: float) -> None:
    """One of them gets the update."""
    given = Given(engine)
    a_queued_update(given.ledger)

    with meanwhile(engine, "UPDATE updates SET", lambda: given.leases.claim("second"), patience=patience) as other:
        first = given.leases.claim("first")

    assert first is not None
    assert other[0].result() is None
    sound(engine)


def two_who_label_a_row(engine: Engine, patience: float) -> None:
    """The one who comes second is told, and its batch is none, with the row that is its alone."""
    given = Given(engine)
    kept = KeptPredictions(engine, clock=given.clock)
    a, b, c = (id_ for id_, _ in kept.keep([answered(rows=1)] * 3))

    def label(key: str, *ids: str) -> Callable[[], object]:
        batch = LabeledBatch(Posted(key, digest(key), len(ids), {}), [(id_, 0) for id_ in ids], [0] * len(ids))
        return lambda: Labeling(given.ledger).record("digits", [batch])

    with meanwhile(engine, "INSERT INTO labels", label("second", b, c), patience=patience) as other:
        label("first", a, b)()

    sound(engine)
    assert isinstance(other[0].exception(), LabelsTaken)
    assert given.history.counters("digits").rows == 2


def parked_in_a_claim(engine: Engine, patience: float) -> None:
    """Nothing learns from it: either the claim leaves it out, or its holder finds the lease gone."""
    given = Given(engine)
    a_chunk(given.ledger, "ab")

    def park() -> object:
        return given.parking.park("digits", [1], actor="ada")

    with meanwhile(engine, "UPDATE updates SET", park, patience=patience) as other:
        claim = claimed(given.leases)

    assert other[0].exception() is None
    refused(lambda: publish(given.leases, claim), LeaseLost)
    assert claimed(given.leases).batches == (2,)


def closed_meanwhile(engine: Engine, patience: float) -> None:
    """What came in after somebody else closed the old rows is young, and stays open."""
    given = Given(engine)
    accept(given.ledger, "old")
    given.clock.pass_by(31.0)

    def close_and_accept() -> None:
        given.ledger.close("digits")
        accept(given.ledger, "young")

    with meanwhile(engine, COMMIT, close_and_accept, patience=10.0) as other:
        closed = given.ledger.close_due()

    assert other[0].exception() is None
    assert closed == []
    assert given.history.counters("digits").pending_rows == 1


def _refuses(table: Table, **other: object) -> Callable[[Engine, float], None]:
    """The database refuses the last row of the table once more, even where these columns differ."""

    def check(engine: Engine, patience: float) -> None:
        given = Given(engine)
        a_published_version(given.ledger, given.leases, "a")
        for key in "bc":
            a_queued_update(given.ledger, key)
        assert given.leases.claim("worker") is not None
        newest = select(table).order_by(*(column.desc() for column in table.primary_key.columns)).limit(1)
        with engine.connect() as connection:
            row = dict(connection.execute(newest).mappings().one())
            try:
                connection.execute(insert(table).values(row | other))
            except IntegrityError:
                return
        raise AssertionError(f"{table.name} took {row | other}")

    return check


MEETINGS: dict[str, Callable[[Engine, float], None]] = {
    "one key posted twice at once": one_key_posted_twice,
    "rows that come in during a close": rows_during_a_close,
    "two movers who read the same state": two_movers,
    "two workers who looked at the same moment": two_workers_who_looked,
    "two workers in the middle of a claim": two_workers_in_a_claim,
    "two who label a row at the same moment": two_who_label_a_row,
    "a batch that is parked in the middle of a claim": parked_in_a_claim,
    "a chunk that somebody else closed meanwhile": closed_meanwhile,
    "the database refuses a second batch of a key": _refuses(batches, number=100),
    "the database refuses a second running update": _refuses(updates, number=100, state="running"),
    "the database refuses a second version of an update": _refuses(versions, number=100, depth=100),
    "the database refuses a second move of a number": _refuses(moves),
}
