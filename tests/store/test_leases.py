"""Claim, renew, publish: each update is absorbed once, by whoever holds its lease, into the head of that moment."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import IntegrityError

from store.engine import for_writing
from store.errors import LeaseLost
from store.history import History
from store.kinds import HEAD, UpdateState
from store.leases import Leases
from store.ledger import Ledger
from store.schema.learning import updates
from store.values import Progress
from store.writes import lock_model
from tests.conftest import FakeClock
from tests.store.given import (
    ROOT,
    a_model,
    a_queued_update,
    accept,
    claimed,
    digest,
    publish,
)


def test_a_claim_names_the_chunk_the_prior_and_the_batches_in_order(ledger: Ledger, leases: Leases) -> None:
    a_model(ledger)
    accept(ledger, "a", rows=2)
    accept(ledger, "b", rows=3)
    ledger.close("digits")

    claim = claimed(leases)

    assert (claim.model, claim.update, claim.attempt) == ("digits", 1, 1)
    assert (claim.prior, claim.prior_digest, claim.root_digest) == (0, ROOT, ROOT)
    assert claim.batch_digests == (digest("a"), digest("b"))
    assert claim.chunk.rows == 5


def test_nothing_is_claimed_where_nothing_waits(ledger: Ledger, leases: Leases) -> None:
    a_model(ledger)
    accept(ledger, "a")

    assert leases.claim("worker-1") is None


def test_a_published_update_is_the_next_version_and_head(ledger: Ledger, leases: Leases, history: History) -> None:
    a_model(ledger)
    a_queued_update(ledger)

    version = publish(leases, claimed(leases))

    assert (version.number, version.parent, version.chunk, version.update) == (1, 0, 1, 1)
    assert history.aliases("digits") == {HEAD: 1}
    update = history.update("digits", 1)
    assert (update.state, update.version, update.report) == (UpdateState.PUBLISHED, 1, {"steps": 3})


def test_a_model_has_one_running_update_at_most_and_two_models_run_at_once(ledger: Ledger, leases: Leases) -> None:
    a_model(ledger)
    a_model(ledger, "other")
    a_queued_update(ledger, "a")
    a_queued_update(ledger, "b")
    accept(ledger, "c", model="other")
    ledger.close("other")

    assert claimed(leases, "worker-1").model == "digits"
    assert claimed(leases, "worker-2").model == "other"
    assert leases.claim("worker-3") is None


def test_chunks_are_absorbed_in_the_order_they_were_closed(ledger: Ledger, leases: Leases, history: History) -> None:
    a_model(ledger)
    for key in "abc":
        a_queued_update(ledger, key)

    for expected in (1, 2, 3):
        assert publish(leases, claimed(leases)).chunk == expected

    assert history.evidence("digits", 3).batches == [1, 2, 3]
    assert history.evidence("digits", 2).batches == [1, 2]
    assert history.evidence("digits", 0).batches == []


def test_an_update_whose_worker_fell_silent_is_taken_up_by_another_once_the_lease_is_over(
    ledger: Ledger, leases: Leases, history: History, clock: FakeClock
) -> None:
    a_model(ledger)
    a_queued_update(ledger)
    dead = claimed(leases, "dead")
    clock.pass_by(15.0)
    assert leases.claim("alive") is None

    clock.pass_by(0.1)
    alive = claimed(leases, "alive")

    assert (alive.update, alive.attempt) == (dead.update, 2)
    assert history.update("digits", 1).failures == 1


def test_a_renewed_lease_is_not_taken_away_and_its_progress_is_readable(
    ledger: Ledger, leases: Leases, history: History, clock: FakeClock
) -> None:
    a_model(ledger)
    a_queued_update(ledger)
    claim = claimed(leases)
    clock.pass_by(14.0)

    leases.renew(claim, Progress(step=5, steps=10, elbo=-3.5))
    clock.pass_by(14.0)

    assert leases.claim("other") is None
    update = history.update("digits", 1)
    assert (update.step, update.steps, update.elbo) == (5, 10, -3.5)


def test_a_worker_that_woke_up_late_changes_nothing(
    ledger: Ledger, leases: Leases, history: History, clock: FakeClock
) -> None:
    a_model(ledger)
    a_queued_update(ledger)
    late = claimed(leases, "late")
    clock.pass_by(16.0)
    now = claimed(leases, "now")

    for write in (
        lambda: leases.renew(late),
        lambda: publish(leases, late),
        lambda: leases.release(late),
        lambda: leases.fail(late, code="any", message="any"),
    ):
        with pytest.raises(LeaseLost, match="Attempt 1"):
            write()

    assert history.versions("digits", after=0) == []
    assert publish(leases, now).number == 1
    with pytest.raises(LeaseLost):
        publish(leases, late)
    assert len(history.versions("digits", after=0)) == 1


def test_an_update_is_published_once_however_often_its_worker_says_so(
    ledger: Ledger, leases: Leases, history: History
) -> None:
    a_model(ledger)
    a_queued_update(ledger)
    claim = claimed(leases)
    publish(leases, claim)

    with pytest.raises(LeaseLost):
        publish(leases, claim)

    assert history.evidence("digits", 1).batches == [1]
    assert [version.number for version in history.versions("digits")] == [0, 1]


def test_the_update_that_has_waited_longest_is_claimed_first(ledger: Ledger, leases: Leases, clock: FakeClock) -> None:
    a_model(ledger)
    a_model(ledger, "patient")
    accept(ledger, "a", model="patient")
    ledger.close("patient")
    clock.pass_by(1.0)
    a_queued_update(ledger, "b")

    assert [claimed(leases).model for _ in range(2)] == ["patient", "digits"]


def test_nobody_waits_for_all_that_another_model_has_queued(ledger: Ledger, leases: Leases, clock: FakeClock) -> None:
    a_model(ledger)
    a_model(ledger, "small")
    for key in "abcd":
        a_queued_update(ledger, key)
    clock.pass_by(1.0)
    for key in "ef":
        accept(ledger, key, model="small")
        ledger.close("small")

    learned = []
    for _ in range(6):
        clock.pass_by(1.0)
        claim = claimed(leases)
        publish(leases, claim)
        learned.append(claim.model)

    assert learned == ["digits", "small", "digits", "small", "digits", "digits"]


def test_where_two_models_have_waited_as_long_the_older_one_is_claimed_first(ledger: Ledger, leases: Leases) -> None:
    for model in ("zebras", "ants"):
        a_model(ledger, model)
    for model in ("ants", "zebras"):
        accept(ledger, "a", model=model)
        ledger.close(model)

    assert [claimed(leases).model for _ in range(2)] == ["zebras", "ants"]


def test_a_claim_waits_for_a_model_that_a_client_has_locked(ledger: Ledger, leases: Leases, engine: Engine) -> None:
    a_model(ledger)
    a_queued_update(ledger)
    with ThreadPoolExecutor(1) as worker:
        with for_writing(engine).begin() as connection:
            lock_model(connection, "digits")
            claim = worker.submit(leases.claim, "worker")
            done, _ = wait([claim], timeout=0.3)
            assert not done

        assert claim.result() is not None


def test_the_database_itself_refuses_a_second_running_update_of_a_model(
    ledger: Ledger, leases: Leases, engine: Engine
) -> None:
    a_model(ledger)
    a_queued_update(ledger, "a")
    a_queued_update(ledger, "b")
    claimed(leases)

    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(update(updates).where(updates.c.number == 2).values(state=UpdateState.RUNNING))


def test_labels_the_prior_has_seen_and_the_chunk_lacks_are_named(
    ledger: Ledger, leases: Leases, history: History
) -> None:
    a_model(ledger)
    a_queued_update(ledger, "a", labels={"0": 3, "2": 1, "10": 4})
    publish(leases, claimed(leases))
    a_queued_update(ledger, "b", labels={"0": 1, "3": 1})

    claim = claimed(leases)

    assert history.missing_labels("digits", version=claim.prior, batches=claim.batches) == ["2", "10"]


def test_many_workers_at_once_publish_every_chunk_once(engine: Engine, ledger: Ledger, history: History) -> None:
    """Six workers, two models, random deaths: seed 0."""
    deaths = random.Random(0)
    leases = Leases(engine, lease_seconds=0.2, attempts_max=1000, retry_seconds=0.0)
    for model in ("one", "two"):
        a_model(ledger, model)
        for number in range(8):
            accept(ledger, f"key-{number}", model=model)
            ledger.close(model)

    def work(owner: int) -> None:
        while any(history.counters(model).versions < 8 for model in ("one", "two")):
            claim = leases.claim(f"worker-{owner}")
            if claim is None or deaths.random() < 0.3:
                continue
            try:
                publish(leases, claim)
            except LeaseLost:
                continue

    with ThreadPoolExecutor(6) as workers:
        list(workers.map(work, range(6)))

    for model in ("one", "two"):
        assert history.evidence(model, 8).batches == list(range(1, 9))
        assert [version.parent for version in history.versions(model, after=0)] == list(range(8))
