"""The doctor finds and names what is wrong with the books and the bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, update

from store.__main__ import main
from store.doctor import examine
from store.engine import connect
from store.errors import DatabaseNotCurrent
from store.folder import Folder
from store.leases import Leases
from store.ledger import Ledger
from store.schema import chunks, moves, versions
from tests.store.given import DESCRIPTION, claimed


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


@pytest.fixture(autouse=True)
def a_filled_ledger(ledger: Ledger, leases: Leases, blobs: Folder) -> None:
    ledger.create_model("digits", DESCRIPTION, blobs.put(b"root"))
    for key in (b"a", b"b"):
        ledger.accept("digits", key=key.decode(), digest=blobs.put(key), rows=1, label_counts={})
        ledger.close("digits")
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


def test_a_gap_in_a_history_is_named(engine: Engine, blobs: Folder) -> None:
    with engine.begin() as connection:
        connection.execute(delete(moves).where(moves.c.seq == 2))

    assert examine(engine, blobs).wrong == ("digits: the history of alias 'head' has a gap",)


def test_evidence_counted_twice_is_named(engine: Engine, blobs: Folder) -> None:
    with engine.begin() as connection:
        connection.execute(update(versions).where(versions.c.number == 2).values(chunk=1))

    assert examine(engine, blobs).wrong == ("digits: version 2 counts chunk 1 2 times",)


def test_a_chunk_whose_rows_do_not_add_up_is_named(engine: Engine, blobs: Folder) -> None:
    with engine.begin() as connection:
        connection.execute(update(chunks).where(chunks.c.number == 1).values(rows=5))

    assert examine(engine, blobs).wrong == ("digits: chunk 1 says 5 rows, its batches hold 1",)


def test_a_published_update_without_its_version_is_named(engine: Engine, blobs: Folder) -> None:
    with engine.begin() as connection:
        connection.execute(update(versions).where(versions.c.number == 2).values(update=None))

    assert examine(engine, blobs).wrong == ("digits: update 2 and the versions disagree about its being published",)


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
