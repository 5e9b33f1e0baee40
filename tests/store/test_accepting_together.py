"""Batches that come at the same time share a transaction; neither the answers nor the ledger show it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import IntegrityError, OperationalError

from store.accepting import Posted
from store.errors import IdempotencyKeyReused, ModelNotFound
from store.history import History
from store.ledger import Ledger
from store.values import Accepted, BatchRow
from tests.conftest import FakeClock
from tests.store.given import a_model, digest

CHUNK_ROWS = 7


def posted(key: str, *, content: str | None = None, rows: int = 1) -> Posted:
    return Posted(key=key, digest=digest(content or key), rows=rows, label_counts={"3": rows})


def some_posts(seed: int) -> list[Posted]:
    """Batches of which many have been posted before, and some with other rows."""
    choose = random.Random(seed)
    return [
        posted(f"key-{choose.randrange(25)}", content=choose.choice("aaab"), rows=choose.choice([1, 1, 2, 3, 20]))
        for _ in range(60)
    ]


def one_by_one(ledger: Ledger, model: str, posts: Sequence[Posted]) -> list[Accepted | Exception]:
    answers: list[Accepted | Exception] = []
    for one in posts:
        try:
            answers.append(ledger.accept(model, **vars(one)))
        except IdempotencyKeyReused as refused:
            answers.append(refused)
    return answers


def in_groups(ledger: Ledger, model: str, posts: Sequence[Posted], seed: int) -> list[Accepted | Exception]:
    choose = random.Random(seed)
    answers: list[Accepted | Exception] = []
    while len(answers) < len(posts):
        answers += ledger.accept_all(model, posts[len(answers) :][: choose.randrange(1, 30)])
    return answers


def comparable(answer: Accepted | Exception) -> object:
    """The answer without the name of the model."""
    if isinstance(answer, IdempotencyKeyReused):
        return answer.facts["key"], answer.facts["batch"]
    return answer


@pytest.mark.parametrize("seed", range(4))
def test_a_group_is_answered_and_stored_as_if_its_batches_had_come_one_after_the_other(
    ledger: Ledger, history: History, seed: int
) -> None:
    posts = some_posts(seed)
    a_model(ledger, "alone", rows=CHUNK_ROWS)
    a_model(ledger, "together", rows=CHUNK_ROWS)

    alone = one_by_one(ledger, "alone", posts)
    together = in_groups(ledger, "together", posts, seed)

    assert [comparable(answer) for answer in together] == [comparable(answer) for answer in alone]
    assert history.batches("together") == history.batches("alone")
    assert history.updates("together") == history.updates("alone")
    assert history.counters("together") == history.counters("alone")


def test_a_key_twice_in_a_group_is_one_batch_and_refused_with_other_rows_and_costs_the_group_nothing(
    engine: Engine, ledger: Ledger, history: History
) -> None:
    a_model(ledger)
    undone: list[Connection] = []
    event.listen(engine, "rollback", undone.append)

    first, again, other, next_ = ledger.accept_all(
        "digits", [posted("a"), posted("a"), posted("a", content="other"), posted("b")]
    )

    assert isinstance(first, Accepted)
    assert (first.batch.number, first.is_replay) == (1, False)
    assert again == Accepted(first.batch, is_replay=True)
    assert isinstance(other, IdempotencyKeyReused)
    assert isinstance(next_, Accepted)
    assert next_.batch.number == 2
    assert [batch.digest for batch in history.batches("digits")] == [digest("a"), digest("b")]
    # The unique key would have sent each of them into a transaction of its own.
    assert undone == []


def test_a_chunk_ends_with_the_batch_that_fills_it_also_within_a_group(ledger: Ledger, history: History) -> None:
    a_model(ledger, rows=10)

    ledger.accept_all("digits", [posted(key, rows=6) for key in "abcde"])

    assert [list(update.chunk.batches) for update in history.updates("digits")] == [[1, 2], [3, 4]]
    assert [update.chunk.rows for update in history.updates("digits")] == [12, 12]
    assert history.counters("digits").pending_rows == 6


def test_what_the_database_refuses_of_one_keeps_no_other_from_being_stored(ledger: Ledger, history: History) -> None:
    a_model(ledger, rows=3)

    answers = ledger.accept_all("digits", [posted("a"), posted("b"), posted("none", rows=0), posted("c"), posted("a")])

    assert [type(answer) for answer in answers] == [Accepted, Accepted, IntegrityError, Accepted, Accepted]
    assert [batch.key for batch in history.batches("digits")] == ["a", "b", "c"]
    assert [list(update.chunk.batches) for update in history.updates("digits")] == [[1, 2, 3]]
    with pytest.raises(IntegrityError):
        ledger.accept("digits", **vars(posted("none", rows=0)))


def test_of_a_group_whose_transaction_fails_nothing_is_stored(
    engine: Engine, ledger: Ledger, history: History, clock: FakeClock
) -> None:
    a_model(ledger, rows=3)
    times = iter([clock.seconds])

    def gone(_connection: object) -> float:
        # The second look at the clock is that of the chunk, after the batches were inserted.
        for now in times:
            return now
        raise OperationalError("SELECT", {}, Exception("the database is gone"))

    with pytest.raises(OperationalError, match="gone"):
        Ledger(engine, clock=gone).accept_all("digits", [posted(key) for key in "abcd"])

    assert history.batches("digits") == []
    assert history.updates("digits") == []


def test_a_group_of_an_unknown_model_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ModelNotFound, match="digits"):
        ledger.accept_all("digits", [posted("a"), posted("b")])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("processes", [1, 2])
def test_sixteen_clients_at_once_get_one_batch_a_key_and_chunks_that_are_full(
    engine: Engine, history: History, seed: int, processes: int
) -> None:
    # Two ledgers know no more of each other than those of two processes do.
    ledgers = [Ledger(engine) for _ in range(processes)]
    a_model(ledgers[0], rows=CHUNK_ROWS)
    posts = [some_posts(seed + turn) for turn in range(16)]

    with ThreadPoolExecutor(16) as clients:
        answers = list(
            clients.map(lambda turn: one_by_one(ledgers[turn % processes], "digits", posts[turn]), range(16))
        )

    stored = history.batches("digits")
    assert [batch.number for batch in stored] == list(range(1, len(stored) + 1))
    assert {batch.key for batch in stored} == {one.key for client in posts for one in client}
    given = [pair for client in zip(posts, answers, strict=True) for pair in zip(*client, strict=True)]
    assert sum(isinstance(answer, Accepted) and not answer.is_replay for _, answer in given) == len(stored)
    by_key = {batch.key: batch for batch in stored}
    assert all(is_right(answer, one, by_key[one.key]) for one, answer in given)
    closed = [[stored[number - 1] for number in update.chunk.batches] for update in history.updates("digits")]
    assert [batch for chunk in closed for batch in chunk] == [batch for batch in stored if batch.chunk is not None]
    assert all(rows_of(chunk[:-1]) < CHUNK_ROWS <= rows_of(chunk) for chunk in closed)
    assert history.counters("digits").pending_rows < CHUNK_ROWS


def is_right(answer: Accepted | Exception, one: Posted, batch: BatchRow) -> bool:
    """True when this answers the post, whose key names the batch; whichever chunk that was in by then."""
    if one.digest != batch.digest:
        return comparable(answer) == (one.key, batch.number)
    return isinstance(answer, Accepted) and answer.batch in (batch, replace(batch, chunk=None))


def rows_of(chunk: Sequence[BatchRow]) -> int:
    return sum(batch.rows for batch in chunk)
