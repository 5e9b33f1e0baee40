"""The doctor finds and names what is wrong with the books and the bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, event

from store.__main__ import main
from store.collecting import Collecting
from store.doctor import examine
from store.engine import connect
from store.errors import DatabaseNotCurrent
from store.folder import Folder
from store.leases import Leases
from store.ledger import Ledger
from store.retention import Retention
from store.schema.learning import moves
from tests.conftest import FakeClock
from tests.store.given import DESCRIPTION, claimed


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


@pytest.fixture
def retention(engine: Engine, blobs: Folder, clock: FakeClock) -> Retention:
    return Retention(engine, Collecting(engine, blobs, clock=clock), clock=clock)


def accept_and_close(ledger: Ledger, blobs: Folder, key: bytes) -> None:
    ledger.accept("digits", key=key.decode(), digest=blobs.put(key), rows=1, label_counts={})
    ledger.close("digits")


@pytest.fixture(autouse=True)
def a_filled_ledger(ledger: Ledger, leases: Leases, blobs: Folder) -> None:
    ledger.create_model("digits", DESCRIPTION, blobs.put(b"root"))
    for key in (b"a", b"b"):
        accept_and_close(ledger, blobs, key)
        leases.publish(claimed(leases), digest=blobs.put(b"posterior " + key), kl_nats=1.0, report={})


def test_a_sound_ledger_has_nothing_wrong(engine: Engine, blobs: Folder) -> None:
    findings = examine(engine, blobs)

    assert findings.wrong == ()
    assert (findings.models, findings.versions, findings.batches) == (1, 3, 2)


def test_a_missing_and_a_damaged_blob_are_named(engine: Engine, blobs: Folder) -> None:
    blobs.path(blobs.put(b"posterior a")).write_bytes(b"other")
    blobs.path(blobs.put(b"b")).unlink()

    damaged, missing = examine(engine, blobs).wrong

    assert "digits: version 1" in damaged
    assert "digits: batch 2" in missing


def test_lost_weights_of_a_prior_are_named(engine: Engine, ledger: Ledger, blobs: Folder) -> None:
    star = blobs.put(b"weights")
    ledger.create_model("letters", DESCRIPTION | {"prior": {"kind": "weights", "blob": star}}, blobs.put(b"root"))
    assert examine(engine, blobs).wrong == ()

    blobs.path(star).unlink()

    (missing,) = examine(engine, blobs).wrong
    assert "letters: prior.blob" in missing
    assert star in missing


def test_rows_that_are_back_after_their_deletion_are_named(engine: Engine, blobs: Folder, retention: Retention) -> None:
    retention.delete("digits", 1, actor="ann")
    assert examine(engine, blobs).wrong == ()

    digest = blobs.put(b"a")

    (returned,) = examine(engine, blobs).wrong
    assert f"{digest} was removed and is there again" in returned


def test_rows_that_are_posted_again_while_the_doctor_looks_are_no_fault(
    engine: Engine, ledger: Ledger, blobs: Folder, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention.delete("digits", 1, actor="ann")
    holds = blobs.holds

    def posted_before_the_look(digest: str) -> bool:
        ledger.readmit([digest], settle_seconds=0.0)
        ledger.accept("digits", key="again", digest=blobs.put(b"a"), rows=1, label_counts={})
        return holds(digest)

    monkeypatch.setattr(blobs, "holds", posted_before_the_look)

    assert examine(engine, blobs).wrong == ()


def test_a_gap_in_a_history_is_named(engine: Engine, blobs: Folder) -> None:
    with engine.begin() as connection:
        connection.execute(delete(moves).where(moves.c.seq == 2))

    assert "digits: the history of alias 'head' has a gap" in examine(engine, blobs).wrong


def test_a_ledger_in_use_is_looked_at_as_it_was_at_one_moment(
    engine: Engine, ledger: Ledger, leases: Leases, blobs: Folder
) -> None:
    accept_and_close(ledger, blobs, b"c")
    claim = claimed(leases)
    posterior = blobs.put(b"posterior c")
    published: list[int] = []

    # The look at the versions has begun, and the one at the moves is still to come.
    @event.listens_for(engine, "before_cursor_execute")
    def publish_meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM moves" in statement and not published:
            published.append(0)
            published[0] = leases.publish(claim, digest=posterior, kl_nats=1.0, report={}).number

    findings = examine(engine, blobs)

    assert published == [3]
    assert findings.wrong == ()
    assert findings.versions == 3
    assert examine(engine, blobs).versions == 4


def test_blobs_are_read_while_no_transaction_is_open(
    engine: Engine, blobs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    for name in ("begin", "commit", "rollback"):
        event.listen(engine, name, lambda _connection, name=name: opened.append(name))
    last: list[str] = []
    verify = blobs.verify

    def watched(digest: str) -> None:
        last.append(opened[-1])
        verify(digest)

    monkeypatch.setattr(blobs, "verify", watched)

    assert examine(engine, blobs).wrong == ()
    assert len(last) == 5
    assert set(last) == {"commit"}


def test_a_database_without_the_tables_of_this_release_is_refused(tmp_path: Path, blobs: Folder) -> None:
    empty = connect(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    with pytest.raises(DatabaseNotCurrent, match="posterity migrate"):
        examine(empty, blobs)
    empty.dispose()


def test_where_there_is_no_ledger_the_command_says_so_and_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTERITY_DATA_DIR", str(tmp_path / "nowhere"))

    assert main(["doctor"]) == 1

    assert "There is no ledger at" in capsys.readouterr().out
    assert not (tmp_path / "nowhere").exists()
