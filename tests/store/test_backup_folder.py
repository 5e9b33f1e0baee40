"""A backup goes into no folder but an empty one and that of an earlier backup: nobody's data is replaced."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from store import backup
from store.backup import back_up
from store.backup_folder import LOCK, MARKER, BackupRefused
from store.doctor import examine
from store.engine import connect
from store.folder import Folder
from store.ledger import Ledger
from tests.store.given import DESCRIPTION
from tests.store.installation import Installation, examined


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    own = Installation(tmp_path / "here" / "data")
    own.learn(0)
    yield own
    own.engine.dispose()


def contents(root: Path) -> dict[str, bytes | None]:
    """Every file under the root with its bytes, and every folder; what SQLite shares between processes aside."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
        if not path.name.endswith("-shm")
    }


def expect_refused(own: Installation, folder: Path, reason: str) -> None:
    """The backup is refused for this reason, and not a byte has changed in the folder and around it."""
    before = contents(folder.parent)

    with pytest.raises(BackupRefused, match=reason):
        back_up(own.engine, own.blobs, folder)

    assert contents(folder.parent) == before


@pytest.mark.parametrize("named", ["data", "data/blobs", "data/sub", "data/sub/../x", ".", "..", "link", "link/x"])
def test_not_where_the_installation_itself_is(installation: Installation, tmp_path: Path, named: str) -> None:
    (tmp_path / "here" / "link").symlink_to(tmp_path / "here" / "data")

    expect_refused(installation, tmp_path / "here" / named, "where the installation itself is kept")


def test_not_where_the_file_of_its_ledger_is(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "ledger.sqlite").symlink_to(tmp_path / "here" / "data" / "ledger.sqlite")
    by_link = connect(f"sqlite:///{tmp_path / 'linked' / 'ledger.sqlite'}")

    with pytest.raises(BackupRefused, match="where the installation itself is kept"):
        back_up(by_link, Folder(tmp_path / "linked" / "blobs"), tmp_path / "here" / "data" / "copy")
    by_link.dispose()


def test_not_where_its_blobs_are_when_they_are_elsewhere(installation: Installation, tmp_path: Path) -> None:
    shutil.copytree(installation.blobs.root, tmp_path / "elsewhere" / "blobs")
    installation.blobs = Folder(tmp_path / "elsewhere" / "blobs")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "blobs").symlink_to(installation.blobs.root)

    for folder in (tmp_path / "elsewhere", tmp_path / "elsewhere" / "blobs", tmp_path / "linked"):
        expect_refused(installation, folder, "where the installation itself is kept")


def test_not_where_another_installation_is(installation: Installation, tmp_path: Path) -> None:
    other = Installation(tmp_path / "other")

    expect_refused(installation, tmp_path / "other", "and no backup.txt of an earlier backup")

    assert examine(other.engine, other.blobs).wrong == ()
    other.engine.dispose()


def test_not_where_anything_else_is(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear")

    expect_refused(installation, tmp_path / "letters", "holds dear.txt")
    expect_refused(installation, tmp_path / "letters" / "dear.txt", "is no folder")


def test_an_empty_folder_may_be_a_disk_of_its_own(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)

    back_up(installation.engine, installation.blobs, tmp_path / "disk")

    assert examined(tmp_path / "disk").wrong == ()


def serve(folder: Path) -> Engine:
    """The folder's ledger is opened as a service, a worker or a command does it; nothing is written yet."""
    engine = connect(f"sqlite:///{folder / 'ledger.sqlite'}")
    with engine.begin() as connection:
        connection.execute(text("SELECT count(*) FROM models"))
    return engine


def test_a_backup_that_is_served_is_an_installation(installation: Installation, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "copy"
    back_up(installation.engine, installation.blobs, copy)

    served = serve(copy)

    expect_refused(installation, copy, "is not as the last backup left it")
    served.dispose()
    expect_refused(installation, copy, "is not as the last backup left it")
    restored = Installation.__new__(Installation)
    restored.engine, restored.blobs = connect(f"sqlite:///{copy / 'ledger.sqlite'}"), Folder(copy / "blobs")
    expect_refused(restored, copy, "where the installation itself is kept")
    restored.engine.dispose()


def test_a_backup_that_is_served_while_the_next_one_is_on_its_way_stays(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(installation.engine, installation.blobs, copy := tmp_path / "copy")
    installation.learn(1)
    really = backup._copy_ledger
    served: list[Engine] = []

    def copy_ledger(engine: Engine, target: Path) -> None:
        served.append(serve(copy))
        Ledger(served[0]).create_model("new", DESCRIPTION, Folder(copy / "blobs").put(b"new"))
        really(engine, target)

    monkeypatch.setattr(backup, "_copy_ledger", copy_ledger)

    with pytest.raises(BackupRefused, match="not as the last backup left it"):
        back_up(installation.engine, installation.blobs, copy)

    found = examine(served[0], Folder(copy / "blobs"))
    assert (found.models, found.wrong) == (3, ())
    served[0].dispose()


def test_the_doctor_leaves_a_backup_a_backup(installation: Installation, tmp_path: Path) -> None:
    back_up(installation.engine, installation.blobs, copy := tmp_path / "copies" / "copy")
    before = contents(copy.parent)

    engine = connect(f"sqlite:///{copy / 'ledger.sqlite'}", is_read_only=True)
    assert examine(engine, Folder(copy / "blobs")).wrong == ()
    engine.dispose()

    assert contents(copy.parent) == before
    back_up(installation.engine, installation.blobs, copy)


def test_a_copy_of_a_backup_may_be_served_and_is_backed_up_into_the_same_folder(
    installation: Installation, tmp_path: Path
) -> None:
    back_up(installation.engine, installation.blobs, copy := tmp_path / "copy")
    shutil.copytree(copy, tmp_path / "restored")
    restored, blobs = serve(tmp_path / "restored"), Folder(tmp_path / "restored" / "blobs")
    Ledger(restored).create_model("new", DESCRIPTION, blobs.put(b"new"))

    back_up(restored, blobs, copy)

    assert examined(copy).models == 3
    expect_refused(installation, copy, "a backup of another installation, or of more than this one")
    restored.dispose()


@pytest.mark.parametrize("is_older", [True, False])
def test_not_into_a_backup_of_what_this_installation_does_not_know(
    installation: Installation, tmp_path: Path, is_older: bool
) -> None:
    other = Installation(tmp_path / "other")
    if is_older:
        other.engine.dispose()
        shutil.rmtree(tmp_path / "other")
        shutil.copytree(tmp_path / "here" / "data", tmp_path / "other")
        installation.learn(1)
    back_up(installation.engine, installation.blobs, tmp_path / "copies" / "copy")

    expect_refused(other, tmp_path / "copies" / "copy", "a backup of another installation, or of more than this one")
    other.engine.dispose()


@pytest.mark.parametrize(
    "at", ["the first marker", "the first blob", "the first ledger", "the ledger of a second backup", "the last marker"]
)
def test_what_a_killed_backup_left_behind_is_gone_on_with(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    copy = tmp_path / "copy"
    if "first" not in at:
        back_up(installation.engine, installation.blobs, copy)
        installation.learn(1)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed(at))
        with pytest.raises(KeyboardInterrupt):
            back_up(installation.engine, installation.blobs, copy)

    back_up(installation.engine, installation.blobs, copy)

    assert examined(copy).wrong == ()


def killed(at: str) -> Callable[[Path, Path], Path]:
    """Files get their names until then, and none from then on."""
    really = Path.replace
    markers: list[Path] = []

    def replace(self: Path, target: Path) -> Path:
        markers.extend([target] * (target.name == MARKER))
        over = {
            "the first marker": len(markers) == 1,
            "the first blob": target.parent.parent.name == "blobs",
            "the first ledger": target.name == "ledger.sqlite",
            "the ledger of a second backup": target.name == "ledger.sqlite",
            "the last marker": len(markers) == 2,
        }
        if over[at]:
            raise KeyboardInterrupt
        return really(self, target)

    return replace


def test_two_backups_at_once_do_not_meet(installation: Installation, tmp_path: Path) -> None:
    back_up(installation.engine, installation.blobs, copy := tmp_path / "copy")

    with (copy / LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BackupRefused, match="Another backup into"):
            back_up(installation.engine, installation.blobs, copy)

    back_up(installation.engine, installation.blobs, copy)


def test_a_ledger_that_was_taken_away_is_somebodys(installation: Installation, tmp_path: Path) -> None:
    back_up(installation.engine, installation.blobs, copy := tmp_path / "copies" / "copy")
    assert (copy / MARKER).is_file()
    (copy / "ledger.sqlite").rename(tmp_path / "ledger.sqlite")

    expect_refused(installation, copy, "is not as the last backup left it")
