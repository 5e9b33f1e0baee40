"""Batches in: stored once under their key, numbered without gaps, closed into chunks that never overlap."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from store.errors import IdempotencyKeyReused, ModelExists, ModelNotFound, NothingPending
from store.history import History
from store.kinds import HEAD, CloseReason, UpdateState
from store.ledger import Ledger
from tests.conftest import FakeClock
from tests.store.given import DESCRIPTION, ROOT, a_model, accept, digest


def test_a_new_model_has_its_root_prior_as_version_0_and_head(ledger: Ledger, history: History) -> None:
    model, created = ledger.create_model("digits", DESCRIPTION, ROOT)

    assert created
    assert history.model("digits") == model
    assert history.version("digits", 0).digest == ROOT
    assert history.aliases("digits") == {HEAD: 0}
    assert history.resolve("digits").digest == ROOT


def test_the_same_description_again_is_the_same_model_and_another_one_is_refused(ledger: Ledger) -> None:
    first, _ = ledger.create_model("digits", DESCRIPTION, ROOT)

    again, created = ledger.create_model("digits", DESCRIPTION, ROOT)

    assert (again, created) == (first, False)
    with pytest.raises(ModelExists, match="digits"):
        ledger.create_model("digits", {**DESCRIPTION, "family": "point"}, ROOT)


def test_what_was_posted_is_the_same_model_also_where_a_later_release_resolves_it_otherwise(ledger: Ledger) -> None:
    posted = {"chunk": {"rows": 100}}
    first, _ = ledger.create_model("digits", DESCRIPTION, ROOT, posted=posted)

    again, created = ledger.create_model("digits", {**DESCRIPTION, "recipe": {"beta": 0.5}}, ROOT, posted=posted)

    assert (again, created) == (first, False)
    assert (first.description, first.posted) == (DESCRIPTION, posted)


def test_another_wording_of_the_same_description_is_the_same_model(ledger: Ledger) -> None:
    first, _ = ledger.create_model("digits", DESCRIPTION, ROOT, posted={"chunk": {"rows": 100}})

    again, created = ledger.create_model("digits", DESCRIPTION, ROOT, posted={"chunk": {"rows": 100}, "family": "ffg"})

    assert (again, created) == (first, False)


def test_another_wording_of_another_description_is_refused(ledger: Ledger) -> None:
    ledger.create_model("digits", DESCRIPTION, ROOT, posted={"chunk": {"rows": 100}})

    with pytest.raises(ModelExists, match="digits"):
        ledger.create_model("digits", {**DESCRIPTION, "family": "point"}, ROOT, posted={"family": "point"})


def test_a_model_whose_posted_description_is_not_known_is_compared_by_what_it_resolves_to(
    ledger: Ledger, engine: Engine
) -> None:
    first, _ = ledger.create_model("digits", DESCRIPTION, ROOT)
    posted = {"chunk": {"rows": 100}}

    assert ledger.create_model("digits", DESCRIPTION, ROOT, posted=posted) == (first, False)
    for unlike in (posted, None):
        with pytest.raises(ModelExists, match="digits"):
            ledger.create_model("digits", {**DESCRIPTION, "family": "point"}, ROOT, posted=unlike)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM models WHERE posted IS NULL").scalar_one() == 1


def test_one_description_posted_by_many_at_once_is_one_model(ledger: Ledger, history: History) -> None:
    def create(release: int) -> bool:
        resolved = {**DESCRIPTION, "recipe": {"beta": float(release)}}
        return ledger.create_model("digits", resolved, ROOT, posted={"chunk": {"rows": 100}})[1]

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(create, range(8)))

    assert sorted(created) == [False] * 7 + [True]
    assert history.model("digits").description["recipe"] == {"beta": float(created.index(True))}


def test_a_batch_posted_twice_under_one_key_is_one_batch(ledger: Ledger, history: History) -> None:
    a_model(ledger)

    first = accept(ledger, "key", rows=3)
    second = accept(ledger, "key", rows=3)

    assert (first.is_replay, second.is_replay) == (False, True)
    assert second.batch == first.batch
    assert history.counters("digits").rows == 3


def test_other_rows_under_a_used_key_are_refused_and_nothing_is_stored(ledger: Ledger, history: History) -> None:
    a_model(ledger)
    accept(ledger, "key", rows=3)

    with pytest.raises(IdempotencyKeyReused, match="batch 1"):
        ledger.accept("digits", key="key", digest=digest("other"), rows=3, label_counts={})

    assert history.counters("digits").batches == 1


def test_one_key_may_name_batches_of_two_models(ledger: Ledger) -> None:
    a_model(ledger, "one")
    a_model(ledger, "two")

    assert not accept(ledger, "key", model="one").is_replay
    assert not accept(ledger, "key", model="two").is_replay


def test_a_chunk_closes_when_its_rows_reach_the_models_size(ledger: Ledger, history: History) -> None:
    a_model(ledger, rows=10)
    accept(ledger, "a", rows=6)
    assert history.updates("digits") == []

    accept(ledger, "b", rows=6)
    accept(ledger, "c", rows=1)

    (update,) = history.updates("digits")
    assert update.state is UpdateState.QUEUED
    assert (list(update.chunk.batches), update.chunk.rows, update.chunk.reason) == ([1, 2], 12, CloseReason.ROWS)
    assert [batch.chunk for batch in history.batches("digits")] == [1, 1, None]
    assert history.counters("digits").pending_rows == 1


def test_a_chunk_closes_on_demand_and_an_empty_one_is_refused(ledger: Ledger, history: History) -> None:
    a_model(ledger)
    with pytest.raises(NothingPending, match="digits"):
        ledger.close("digits")
    accept(ledger, "a")

    update = ledger.close("digits")

    assert (update.chunk.number, update.chunk.reason) == (1, CloseReason.DEMAND)
    with pytest.raises(NothingPending):
        ledger.close("digits")


def test_a_chunk_closes_when_its_oldest_row_is_older_than_the_models_limit(
    ledger: Ledger, history: History, clock: FakeClock
) -> None:
    a_model(ledger, seconds=60.0)
    a_model(ledger, "patient", seconds=None)
    accept(ledger, "a")
    accept(ledger, "a", model="patient")
    clock.pass_by(59.0)
    accept(ledger, "b")
    assert ledger.close_due() == []

    clock.pass_by(1.0)

    assert ledger.close_due() == [("digits", 1)]
    assert list(history.update("digits", 1).chunk.batches) == [1, 2]
    assert ledger.close_due() == []


def test_a_later_chunk_is_old_by_its_own_oldest_row(ledger: Ledger, clock: FakeClock) -> None:
    a_model(ledger, seconds=60.0)
    accept(ledger, "a")
    ledger.close("digits")
    clock.pass_by(100.0)
    accept(ledger, "b")

    assert ledger.close_due() == []


def test_many_clients_at_once_lose_nothing_double_nothing_and_leave_no_gap(ledger: Ledger, history: History) -> None:
    a_model(ledger, rows=7)
    keys = [f"key-{number}" for number in range(40)] * 2

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda key: accept(ledger, key), keys))

    assert sum(not answer.is_replay for answer in answers) == 40
    assert sorted(batch.number for batch in history.batches("digits")) == list(range(1, 41))
    closed = [number for update in history.updates("digits") for number in update.chunk.batches]
    assert closed == list(range(1, 36))


def test_two_closers_at_once_make_one_chunk(ledger: Ledger, history: History) -> None:
    a_model(ledger)
    accept(ledger, "a")

    def close(_: int) -> bool:
        try:
            ledger.close("digits")
        except NothingPending:
            return False
        return True

    with ThreadPoolExecutor(8) as closers:
        assert sum(closers.map(close, range(8))) == 1
    assert len(history.updates("digits")) == 1


def test_an_unknown_model_is_refused_by_every_write(ledger: Ledger) -> None:
    for write in (
        lambda: accept(ledger, "key"),
        lambda: ledger.close("digits"),
        lambda: ledger.cancel("digits", 1),
        lambda: ledger.replay("digits", [1]),
    ):
        with pytest.raises(ModelNotFound, match="digits"):
            write()


def test_the_age_of_a_models_rows_is_not_judged_by_the_chunks_of_another(ledger: Ledger, clock: FakeClock) -> None:
    for model in ("digits", "letters"):
        a_model(ledger, model, seconds=30.0)
    for key in "ab":
        accept(ledger, key, model="letters")
    ledger.close("letters")
    accept(ledger, "a")
    clock.pass_by(31.0)

    assert ledger.close_due() == [("digits", 1)]
    assert ledger.close_due() == []
