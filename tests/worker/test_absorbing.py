"""What a worker makes of a claim: a version with a report, a requeue, or an error that people can read."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import Engine, select

import bayes
from bayes.prediction import rows_of
from store.aliases import Aliases
from store.collecting import Collecting
from store.errors import HeadMoved, LeaseLost
from store.folder import Folder
from store.history import History
from store.kept_predictions import KeptPredictions, ToKeep
from store.kinds import UpdateState
from store.leases import Leases
from store.ledger import Ledger
from store.retention import Retention
from store.schema.beside import predictions
from store.values import Claim
from tests.worker.given import a_model, accept, rows
from worker import scoring
from worker.absorb import absorb, learn
from worker.heartbeat import Heartbeat, Stopping
from worker.loop import Worker
from worker.reading import score_before_learning

WAIT_SECONDS = 30.0


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine)


@pytest.fixture
def leases(engine: Engine) -> Leases:
    return Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0)


@pytest.fixture
def worker(ledger: Ledger, leases: Leases, history: History, blobs: Folder) -> Worker:
    return Worker(
        owner="worker",
        ledger=ledger,
        leases=leases,
        retention=Retention(ledger.reading, Collecting(ledger.reading, blobs)),
        history=history,
        blobs=blobs,
        device="cpu",
        stop=threading.Event(),
    )


def claimed(leases: Leases) -> Claim:
    claim = leases.claim("worker")
    assert claim is not None
    return claim


def take_all(worker: Worker) -> None:
    while (claim := worker.leases.claim(worker.owner)) is not None:
        worker.take(claim)


def test_a_published_posterior_is_the_one_that_prior_chunk_and_recipe_determine(
    worker: Worker, ledger: Ledger, blobs: Folder, history: History
) -> None:
    model = a_model(ledger, blobs)
    first, second = rows(20, seed=1), rows(20, seed=2)
    accept(ledger, blobs, "a", first)
    accept(ledger, blobs, "b", second)

    take_all(worker)

    joined = bayes.Chunk(torch.cat([first["x"], second["x"]]), torch.cat([first["y"], second["y"]]))
    expected, report = bayes.absorb(bayes.root(model), joined, model.recipe)
    version = history.version("moons", 1)
    assert version.digest == expected.digest
    assert blobs.get(version.digest) == expected.to_bytes()
    assert version.kl_nats == report.elbo.kl_nats


def test_the_prior_is_scored_on_the_chunk_before_it_learns_from_it(
    worker: Worker, ledger: Ledger, blobs: Folder, history: History
) -> None:
    model = a_model(ledger, blobs)
    batch = rows(40, seed=1)
    accept(ledger, blobs, "a", batch)

    take_all(worker)

    blind = bayes.score(bayes.predict(bayes.root(model), batch["x"]), batch["y"])
    prequential = history.version("moons", 1).report["prequential"]
    assert prequential == {"rows": 40, **blind}


def test_every_batch_of_a_claim_has_the_prior_s_scores_on_its_rows_in_its_place(
    leases: Leases, ledger: Ledger, blobs: Folder
) -> None:
    model = a_model(ledger, blobs)
    batches = [rows(count, seed=count) for count in (12, 1, 27)]
    for key, batch in zip("abc", batches, strict=True):
        accept(ledger, blobs, key, batch)
    claim = claimed(leases)

    absorbed = absorb(claim, blobs, device="cpu", missing_labels=[], progress=lambda _: None, check=lambda: None)

    together = bayes.predict(bayes.root(model), torch.cat([batch["x"] for batch in batches]))
    labels = torch.cat([batch["y"] for batch in batches])
    parts = [slice(0, 12), slice(12, 13), slice(13, 40)]
    assert absorbed.scores == tuple(bayes.Scores.of(rows_of(together, part), labels[part]) for part in parts)


def test_scoring_ends_before_learning_begins_and_learning_predicts_nothing(
    leases: Leases, ledger: Ledger, blobs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_model(ledger, blobs)
    accept(ledger, blobs, "a", rows(20, seed=1))
    accept(ledger, blobs, "b", rows(20, seed=2))
    claim = claimed(leases)
    asked: list[int] = []
    predict = bayes.predict

    def counted(prior: bayes.Posterior, inputs: torch.Tensor, **how: Any) -> bayes.Prediction:  # noqa: ANN401 - any option
        asked.append(len(inputs))
        return predict(prior, inputs, **how)

    monkeypatch.setattr(bayes, "predict", counted)

    scored = score_before_learning(claim, blobs, device="cpu", check=lambda: None)
    assert asked == [40]
    learned = learn(claim, scored, blobs, device="cpu", missing_labels=[], progress=lambda _: None, check=lambda: None)

    assert asked == [40]
    assert learned.scores is scored.scores
    assert learned.report["prequential"] == scored.prequential
    at_once = absorb(claim, blobs, device="cpu", missing_labels=[], progress=lambda _: None, check=lambda: None)
    assert (learned.digest, learned.scores) == (at_once.digest, at_once.scores)


def test_a_batch_of_which_the_prior_predicts_nothing_finite_has_no_scores_and_the_others_have(
    leases: Leases, ledger: Ledger, blobs: Folder
) -> None:
    model = a_model(ledger, blobs)
    first, last = rows(10, seed=1), rows(20, seed=2)
    accept(ledger, blobs, "a", first)
    accept(ledger, blobs, "b", {"x": torch.full((10, 2), 1e38), "y": torch.arange(10) % 2})
    accept(ledger, blobs, "c", last)

    scored = score_before_learning(claimed(leases), blobs, device="cpu", check=lambda: None)

    alone = [bayes.Scores.of(bayes.predict(bayes.root(model), batch["x"]), batch["y"]) for batch in (first, last)]
    assert scored.scores == (alone[0], None, alone[1])
    assert scored.prequential == {"rows": 40}


@pytest.mark.parametrize("output", [{"kind": "categorical", "classes": 2}, {"kind": "gaussian", "dims": 2}])
def test_no_more_outputs_than_fit_are_held_while_scoring_and_the_scores_are_the_same(
    leases: Leases, ledger: Ledger, blobs: Folder, monkeypatch: pytest.MonkeyPatch, output: dict[str, Any]
) -> None:
    a_model(ledger, blobs, output=output)
    for key, batch in zip("abc", [rows(count, seed=count) for count in (12, 1, 27)], strict=True):
        y = batch["y"] if output["kind"] == "categorical" else batch["x"].flip(1)
        accept(ledger, blobs, key, {**batch, "y": y}, labels={})
    claim = claimed(leases)
    whole = score_before_learning(claim, blobs, device="cpu", check=lambda: None)
    predict, asked = bayes.predict, list[int]()

    def counted(prior: bayes.Posterior, inputs: torch.Tensor, **how: Any) -> bayes.Prediction:  # noqa: ANN401 - any option
        asked.append(len(inputs))
        return predict(prior, inputs, **how)

    monkeypatch.setattr(bayes, "predict", counted)
    monkeypatch.setattr(scoring, "OUTPUTS_MAX", 10 * 2 + 1)

    parts = score_before_learning(claim, blobs, device="cpu", check=lambda: None)

    assert asked == [10, 10, 10, 10]
    assert parts.prequential == pytest.approx(whole.prequential)
    for one, other in zip(parts.scores, whole.scores, strict=True):
        assert one is not None
        assert other is not None
        assert one.rows == other.rows
        assert one.metrics() == pytest.approx(other.metrics())
        assert (one.excess, one.excess_squares) == pytest.approx((other.excess, other.excess_squares))


def test_a_batch_without_a_finite_prediction_has_no_scores_also_where_rows_are_scored_in_parts(
    leases: Leases, ledger: Ledger, blobs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_model(ledger, blobs)
    monkeypatch.setattr(scoring, "OUTPUTS_MAX", 2 * 8)
    last = rows(30, seed=2)
    late = torch.cat([rows(9, seed=1)["x"], torch.full((1, 2), 1e38)])
    accept(ledger, blobs, "a", {"x": late, "y": torch.arange(10) % 2})
    accept(ledger, blobs, "b", last)

    scored = score_before_learning(claimed(leases), blobs, device="cpu", check=lambda: None)

    assert scored.scores[0] is None
    assert scored.scores[1] is not None
    assert scored.scores[1].rows == 30
    assert scored.prequential == {"rows": 40}


def test_weights_of_some_batches_are_one_for_the_others(
    worker: Worker, ledger: Ledger, blobs: Folder, history: History
) -> None:
    model = a_model(ledger, blobs)
    plain, weighted = rows(20, seed=1), rows(20, seed=2)
    accept(ledger, blobs, "a", plain)
    accept(ledger, blobs, "b", {**weighted, "weights": torch.full((20,), 2.0)})

    take_all(worker)

    weights = torch.cat([torch.ones(20), torch.full((20,), 2.0)])
    chunk = bayes.Chunk(torch.cat([plain["x"], weighted["x"]]), torch.cat([plain["y"], weighted["y"]]), weights)
    assert history.version("moons", 1).digest == bayes.absorb(bayes.root(model), chunk, model.recipe)[0].digest


def test_a_chunk_that_lacks_a_class_the_model_has_seen_is_absorbed_with_a_warning(
    worker: Worker, ledger: Ledger, blobs: Folder, history: History
) -> None:
    a_model(ledger, blobs)
    accept(ledger, blobs, "a", rows(40, seed=1))
    accept(ledger, blobs, "b", rows(40, seed=2, classes=(1,)))

    take_all(worker)

    assert history.update("moons", 2).state is UpdateState.PUBLISHED
    (first, *_), second = history.version("moons", 2).report["warnings"], history.version("moons", 1).report["warnings"]
    assert "no row of class 0" in first
    assert not any("no row of" in warning for warning in second)


def test_damaged_bytes_fail_the_update_with_an_error_that_names_them(
    worker: Worker, ledger: Ledger, blobs: Folder, history: History
) -> None:
    a_model(ledger, blobs)
    accept(ledger, blobs, "a", rows(40, seed=1))
    digest = history.batch("moons", 1).digest
    blobs.path(digest).write_bytes(b"other bytes")

    take_all(worker)

    update = history.update("moons", 1)
    assert (update.state, update.failures) == (UpdateState.FAILED, 3)
    assert update.error_code == "blob-corrupt"
    assert digest in (update.error_message or "")
    assert history.resolve("moons").version == 0


def test_an_update_that_diverges_fails_readably_and_the_next_chunk_goes_on(
    worker: Worker, ledger: Ledger, blobs: Folder, history: History
) -> None:
    a_model(ledger, blobs)
    accept(ledger, blobs, "a", {"x": torch.full((40, 2), 1e25), "y": torch.arange(40) % 2})
    accept(ledger, blobs, "b", rows(40, seed=1))

    take_all(worker)

    failed = history.update("moons", 1)
    assert (failed.state, failed.error_code) == (UpdateState.FAILED, "update-diverged")
    assert failed.attempt == 1
    assert history.evidence("moons", 1).batches == [2]


def test_scores_that_overflow_are_absent_from_the_report_and_the_chunk_is_learned(
    worker: Worker, ledger: Ledger, blobs: Folder, history: History
) -> None:
    a_model(ledger, blobs, output={"kind": "gaussian", "dims": 1})
    batch = rows(40, seed=1)
    accept(ledger, blobs, "a", {"x": batch["x"], "y": 1e30 * (1.0 + batch["y"].float().unsqueeze(1))}, labels={})

    take_all(worker)

    prequential = history.version("moons", 1).report["prequential"]
    assert prequential["rows"] == 40
    assert all(value is None or math.isfinite(value) for value in prequential.values())


def test_a_worker_told_to_stop_gives_its_update_back_without_a_failed_attempt(
    worker: Worker, ledger: Ledger, blobs: Folder, leases: Leases, history: History
) -> None:
    a_model(ledger, blobs)
    accept(ledger, blobs, "a", rows(40, seed=1))
    claim = claimed(leases)

    worker.stop.set()
    worker.take(claim)

    update = history.update("moons", 1)
    assert (update.state, update.failures, update.version) == (UpdateState.QUEUED, 0, None)


def test_a_rollback_stops_the_update_early_and_it_starts_again_from_the_new_head(
    worker: Worker, ledger: Ledger, blobs: Folder, engine: Engine, history: History
) -> None:
    a_model(ledger, blobs)
    for key in "ab":
        accept(ledger, blobs, key, rows(40, seed=ord(key)))
    take_all(worker)
    accept(ledger, blobs, "c", rows(40, seed=9))
    quick = Leases(engine, lease_seconds=0.5, attempts_max=3, retry_seconds=0.0)
    claim = claimed(quick)

    Aliases(engine).rollback("moons", to=1, actor="ada")

    with Heartbeat(quick, claim, threading.Event()) as heartbeat, pytest.raises(HeadMoved):
        go_on(heartbeat)
    worker.take(claim)
    take_all(worker)
    assert history.evidence("moons", 3).batches == [1, 3]
    assert history.update("moons", 3).failures == 0


def test_a_heartbeat_keeps_the_lease_for_longer_than_it_lasts_and_tells_the_progress(
    ledger: Ledger, blobs: Folder, engine: Engine, history: History
) -> None:
    a_model(ledger, blobs)
    accept(ledger, blobs, "a", rows(40, seed=1))
    quick = Leases(engine, lease_seconds=0.5, attempts_max=3, retry_seconds=0.0)
    claim = claimed(quick)
    taken_at = history.update("moons", 1).started_at
    assert taken_at is not None

    with Heartbeat(quick, claim, threading.Event()) as heartbeat:
        heartbeat.progress(bayes.Progress(step=7, steps=9, elbo=-1.5))
        for _ in until_too_late():
            assert quick.claim("thief") is None
            if time.time() > taken_at + 1.5:
                break

    update = history.update("moons", 1)
    assert (update.step, update.steps, update.elbo) == (7, 9, -1.5)
    heir = next(taken for _ in until_too_late() if (taken := quick.claim("heir")))
    assert heir.attempt == 2


def test_a_heartbeat_stops_the_work_of_a_cancelled_update(ledger: Ledger, blobs: Folder, engine: Engine) -> None:
    a_model(ledger, blobs)
    accept(ledger, blobs, "a", rows(40, seed=1))
    quick = Leases(engine, lease_seconds=0.5, attempts_max=3, retry_seconds=0.0)
    claim = claimed(quick)
    ledger.cancel("moons", 1)

    with Heartbeat(quick, claim, threading.Event()) as heartbeat, pytest.raises(LeaseLost):
        go_on(heartbeat)


def test_the_first_check_after_the_word_to_stop_stops_the_work(leases: Leases, ledger: Ledger, blobs: Folder) -> None:
    a_model(ledger, blobs)
    accept(ledger, blobs, "a", rows(40, seed=1))
    stop = threading.Event()
    with Heartbeat(leases, claimed(leases), stop) as heartbeat:
        heartbeat.check()
        stop.set()
        with pytest.raises(Stopping):
            heartbeat.check()


def test_a_running_worker_closes_old_chunks_and_wakes_for_new_ones(
    worker: Worker, ledger: Ledger, blobs: Folder, history: History
) -> None:
    a_model(ledger, blobs, chunk={"rows": 1000, "seconds": 0.1})
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        for version, key in enumerate("ab", start=1):
            accept(ledger, blobs, key, rows(20, seed=version))
            for _ in until_too_late():
                if history.resolve("moons").version == version:
                    break
    finally:
        worker.stop.set()
        thread.join()

    assert history.evidence("moons", 2).batches == [1, 2]


def go_on(heartbeat: Heartbeat) -> None:
    for _ in until_too_late():
        heartbeat.check()


def until_too_late() -> Iterator[None]:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.01)
    raise AssertionError(f"still not so after {WAIT_SECONDS} s")


def test_a_worker_removes_kept_predictions_whose_time_is_over(worker: Worker, ledger: Ledger, blobs: Folder) -> None:
    a_model(ledger, blobs)
    kept = KeptPredictions(ledger.reading, clock=lambda _: time.time() - 100)
    entries = [ToKeep("moons", 0, "sha256:0", 1, bytes(8), b"{}", "ada", seconds) for seconds in (50.0, 500.0)]
    (_, _), (later, _) = kept.keep(entries)

    threading.Timer(0.5, worker.stop.set).start()
    worker.run()

    with ledger.reading.begin() as connection:
        assert connection.execute(select(predictions.c.id)).scalars().all() == [later]
