"""A backup is taken while others write, and the doctor finds the same evidence in the restored copy."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from store import backup
from store.backup import BackupOvertaken, back_up
from store.doctor import examine
from store.errors import BlobStoreError
from store.folder import Folder
from tests.store.installation import Installation, examined


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    own = Installation(tmp_path / "data")
    yield own
    own.engine.dispose()


def test_a_restored_copy_has_the_same_evidence(installation: Installation, tmp_path: Path) -> None:
    for turn in range(3):
        installation.learn(turn)

    done = back_up(installation.engine, installation.blobs, tmp_path / "copy")

    assert (done.blobs, done.copied) == (8, 8)
    original, restored = examine(installation.engine, installation.blobs), examined(tmp_path / "copy")
    assert restored == original
    assert restored.wrong == ()
    assert [(one.model, one.version, one.rows) for one in restored.evidence] == [("digits", 3, 3), ("passing", 0, 0)]


def test_evidence_differs_where_a_line_differs(installation: Installation, tmp_path: Path) -> None:
    installation.learn(0)
    before = examine(installation.engine, installation.blobs).evidence
    back_up(installation.engine, installation.blobs, tmp_path / "copy")
    installation.learn(1)

    assert examined(tmp_path / "copy").evidence == before
    assert examine(installation.engine, installation.blobs).evidence != before


def test_a_second_backup_copies_what_is_new_and_drops_what_is_named_no_longer(
    installation: Installation, tmp_path: Path
) -> None:
    installation.learn(0)
    installation.learn(0, "passing")
    back_up(installation.engine, installation.blobs, tmp_path / "copy")
    installation.retention.apply()
    installation.learn(1)

    done = back_up(installation.engine, installation.blobs, tmp_path / "copy")

    assert done.copied == 2
    assert len(list(Folder(tmp_path / "copy" / "blobs").listed())) == done.blobs
    assert examined(tmp_path / "copy").wrong == ()


def test_a_backup_of_a_busy_installation_is_sound_at_every_turn(installation: Installation, tmp_path: Path) -> None:
    """While one thread learns, and another gives rows up and removes them, copies are taken one after another."""
    over, turned = threading.Event(), threading.Semaphore(0)
    failures: list[BaseException] = []

    def keep_learning() -> None:
        try:
            for turn in range(100, 100_000):
                if over.is_set():
                    return
                installation.learn(turn)
                installation.learn(turn, "passing")
                installation.retention.apply()
                turned.release()
        except BaseException as error:
            failures.append(error)
            raise

    learner = threading.Thread(target=keep_learning)
    learner.start()
    try:
        for turn in range(3):
            while turned.acquire(blocking=False):
                pass
            assert turned.acquire(timeout=60), "nothing was learned since the copy before"
            back_up(installation.engine, installation.blobs, tmp_path / f"copy-{turn}")
    finally:
        over.set()
        learner.join()

    assert failures == []
    versions = [examined(tmp_path / f"copy-{turn}") for turn in range(3)]
    assert [found.wrong for found in versions] == [()] * 3
    assert versions[0].versions < versions[2].versions


@pytest.mark.parametrize("damage", ["other bytes", "gone", "unreadable"])
def test_all_but_what_is_damaged_is_copied_and_that_is_named(
    installation: Installation, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.learn(0)
    digest = installation.blobs.put(b"rows digits 0")
    spoil(installation.blobs, digest, damage, monkeypatch)

    done = back_up(installation.engine, installation.blobs, tmp_path / "copy")

    assert (done.blobs, done.copied) == (4, 3)
    assert [digest.removeprefix("sha256:") in sentence for sentence in done.lacking] == [True]
    (wrong,) = examined(tmp_path / "copy").wrong
    assert wrong.startswith(f"digits: batch 1: The blob {digest} is named")


def spoil(blobs: Folder, digest: str, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    really, path = Folder.get, blobs.path(digest)

    def get(self: Folder, asked: str) -> bytes:
        if self is blobs and asked == digest:
            raise BlobStoreError(errno.EIO, "Input/output error", str(path))
        return really(self, asked)

    match damage:
        case "other bytes":
            path.write_bytes(b"other")
        case "gone":
            path.unlink()
        case "unreadable":
            monkeypatch.setattr(Folder, "get", get)


def test_what_was_copied_whole_stays_so_and_what_is_damaged_there_is_copied_again(
    installation: Installation, tmp_path: Path
) -> None:
    installation.learn(0)
    back_up(installation.engine, installation.blobs, tmp_path / "copy")
    copies = Folder(tmp_path / "copy" / "blobs")
    rows, posterior = installation.blobs.put(b"rows digits 0"), installation.blobs.put(b"posterior digits 0")
    installation.blobs.path(rows).write_bytes(b"damaged in the installation")
    copies.path(posterior).write_bytes(b"damaged in the copy")

    done = back_up(installation.engine, installation.blobs, tmp_path / "copy")

    assert (done.blobs, done.copied, done.lacking) == (4, 1, ())
    assert examined(tmp_path / "copy").wrong == ()


def test_a_store_that_does_not_answer_is_no_damage(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_self: Folder, _digest: str) -> bytes:
        raise BlobStoreError(errno.ETIMEDOUT, "The store does not answer")

    monkeypatch.setattr(Folder, "get", get)

    with pytest.raises(BlobStoreError, match="does not answer"):
        back_up(installation.engine, installation.blobs, tmp_path / "copy")


def test_rows_that_go_faster_than_they_are_copied_are_told_of(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = iter(range(1000))
    real = Folder.verify

    def verify(self: Folder, digest: str) -> None:
        # Each time the copy is asked about a blob, rows are learned from and deleted once more.
        if self.root.parent.name == "copy":
            installation.retention.apply()
        real(self, digest)

    def copy_ledger(engine: Engine, target: Path) -> None:
        installation.learn(next(turns), "passing")
        original(engine, target)

    original = backup._copy_ledger
    monkeypatch.setattr(backup, "_copy_ledger", copy_ledger)
    monkeypatch.setattr(Folder, "verify", verify)

    with pytest.raises(BackupOvertaken):
        back_up(installation.engine, installation.blobs, tmp_path / "copy")
