"""What the audit after a storm is worth: each thing that could have gone wrong, done by hand, is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.numpy
from sqlalchemy import Connection, create_engine, delete, insert, update

import bayes
from store.collecting import Collecting
from store.engine import connect
from store.folder import Folder
from store.kinds import ParkingKind
from store.leases import Leases
from store.ledger import Ledger
from store.migrate import upgrade
from store.recorded import recorded
from store.retention import Retention
from store.schema.learning import batches, moves, parkings, versions
from tests.storm.books import audited
from tests.storm.clients import MODELS, described, rows_of
from tests.storm.journal import Acknowledged, Journal, Moved, Predicted
from tests.storm.recompute import recomputed
from worker.absorb import absorb


class Afterwards:
    """An installation after a storm of two chunks for each model, with all that its clients were told."""

    def __init__(self, folder: Path) -> None:
        self.engine = connect(f"sqlite:///{folder / 'ledger.sqlite'}")
        upgrade(self.engine)
        self.blobs, self.journal = Folder(folder / "blobs"), Journal()
        self.ledger = Ledger(self.engine)
        self.leases = Leases(self.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)
        for model in MODELS:
            made = bayes.Model.from_description(described(model))
            stored = described(model) | made.to_description()
            self.ledger.create_model(model, stored, self.blobs.put(bayes.root(made).to_bytes()))
            for turn in range(2):
                self._learn(model, f"{model}-{turn}")
        Retention(self.engine, Collecting(self.engine, self.blobs)).apply()
        with self.engine.begin() as connection:
            self.pictures = [recorded(connection)]

    def wrong(self) -> tuple[str, ...]:
        return audited(self.engine, self.blobs, self.journal, self.pictures)

    def _learn(self, model: str, key: str) -> None:
        x, y = rows_of(model, key)
        digest = self.blobs.put(safetensors.numpy.save({"x": x, "y": y}))
        accepted = self.ledger.accept(model, key=key, digest=digest, rows=len(y), label_counts={})
        self.journal.post(model, key)
        self.journal.acknowledge(Acknowledged(model, key, accepted.batch.number, digest))
        self.ledger.close(model)
        claim = self.leases.claim("worker")
        assert claim is not None
        done = absorb(claim, self.blobs, device="cpu", missing_labels=[], progress=lambda _: None, check=lambda: None)
        version = self.leases.publish(claim, digest=done.digest, kl_nats=done.kl_nats, report=done.report)
        self.journal.moved.add(Moved(model, version.number + 1, version.number))
        self.journal.predicted.add(Predicted(model, version.number, done.digest))


@pytest.fixture
def afterwards(tmp_path: Path) -> Afterwards:
    return Afterwards(tmp_path)


def test_books_that_are_as_everybody_was_told_are_found_so(afterwards: Afterwards, tmp_path: Path) -> None:
    assert afterwards.wrong() == ()
    assert recomputed(afterwards.engine, afterwards.blobs, tmp_path / "scratch") == (6, [])
    afterwards.engine.dispose()


def test_answers_that_no_fault_explains_are_told_on(afterwards: Afterwards) -> None:
    afterwards.journal.acknowledge(Acknowledged("alpha", "alpha-0", 7, "sha256:other"))
    afterwards.journal.accuse("somebody was answered 500")

    assert [sentence.split(":")[0] for sentence in afterwards.wrong()] == ["alpha", "somebody was answered 500"]
    afterwards.engine.dispose()


def lose_a_batch(connection: Connection) -> None:
    connection.execute(delete(batches).where(batches.c.number == 2, batches.c.model_id == 1))


def alter_a_batch(connection: Connection) -> None:
    connection.execute(update(batches).where(batches.c.number == 2, batches.c.model_id == 1).values(rows=99))


def make_up_a_batch(connection: Connection) -> None:
    connection.execute(update(batches).where(batches.c.number == 2, batches.c.model_id == 1).values(key="made up"))


def count_evidence_twice(connection: Connection) -> None:
    connection.execute(update(versions).where(versions.c.number == 2, versions.c.model_id == 1).values(chunk=1))


def swap_a_posterior(connection: Connection) -> None:
    connection.execute(
        update(versions).where(versions.c.number == 2, versions.c.model_id == 1).values(digest="sha256:" + "0" * 64)
    )


def rewrite_history(connection: Connection) -> None:
    connection.execute(update(moves).where(moves.c.seq == 3, moves.c.model_id == 1).values(version=1))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lose_a_batch, "acknowledged under key alpha-1, is there 0 times"),
        (alter_a_batch, "was acknowledged, the books have"),
        (make_up_a_batch, "nobody has posted batch made up"),
        (count_evidence_twice, "alpha: version 2 counts chunk 1 2 times"),
        (swap_a_posterior, "has answered, the books have"),
        (rewrite_history, "was told, the history has 1"),
    ],
)
def test_a_damage_is_named(afterwards: Afterwards, damage: Callable[[Connection], None], named: str) -> None:
    # By somebody whose connection does not ask for foreign keys, as SQLite's own shell does not.
    careless = create_engine(afterwards.engine.url)
    with careless.begin() as connection:
        damage(connection)
    careless.dispose()

    wrong = afterwards.wrong()

    assert any(named in sentence for sentence in wrong), wrong
    # All but what nobody could have seen during the storm also differs from the picture of it.
    assert any("was altered" in sentence or "vanished" in sentence for sentence in wrong), wrong
    afterwards.engine.dispose()


def test_batches_that_wait_for_a_decision_and_forgotten_ones_that_head_has_learned_from_are_named(
    afterwards: Afterwards,
) -> None:
    decided = {"model_id": 1, "seq": 1, "decided_by": "ada", "reason": "", "facts": {}, "decided_at": 1.0}
    with afterwards.engine.begin() as connection:
        connection.execute(insert(parkings).values(batch=1, kind=ParkingKind.FORGET, **decided))
        connection.execute(insert(parkings).values(batch=2, kind=ParkingKind.PARK, **decided))
    afterwards.ledger.accept("beta", key="late", digest=afterwards.blobs.put(b"late"), rows=5, label_counts={})

    wrong = afterwards.wrong()

    assert "alpha: head has learned from batch 1, which was forgotten" in wrong
    assert "alpha: batch 2 is parked" in wrong
    assert "beta: no version has learned from batch 3" in wrong
    afterwards.engine.dispose()


def test_a_lost_posterior_and_a_stray_blob_are_named(afterwards: Afterwards) -> None:
    with afterwards.engine.begin() as connection:
        digest = connection.execute(versions.select().where(versions.c.number == 2)).first()
    assert digest is not None
    afterwards.blobs.delete(digest.digest)

    assert any(digest.digest in sentence for sentence in afterwards.wrong())
    afterwards.engine.dispose()


def test_a_posterior_that_is_not_what_its_evidence_gives_is_named(afterwards: Afterwards, tmp_path: Path) -> None:
    other = afterwards.blobs.put(bayes.root(bayes.Model.from_description(described("alpha"))).to_bytes())
    with afterwards.engine.begin() as connection:
        connection.execute(
            update(versions).where(versions.c.number == 2, versions.c.model_id == 1).values(digest=other)
        )

    count, wrong = recomputed(afterwards.engine, afterwards.blobs, tmp_path / "scratch")

    assert count == 6
    assert [sentence.split(" is ")[0] for sentence in wrong] == ["alpha: version 2"]
    afterwards.engine.dispose()
