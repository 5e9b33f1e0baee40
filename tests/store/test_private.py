"""Who may read an installation: its user, and whoever may write to the folder that it is in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.backup import back_up
from store.engine import connect
from store.folder import Folder
from store.ledger import Ledger
from store.migrate import upgrade
from tests.store.given import DESCRIPTION


@pytest.fixture(autouse=True)
def _the_usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def install(data: Path, copy: Path) -> None:
    """An installation has a model, and a backup; the ledger is open while its files are looked at."""
    engine = connect(f"sqlite:///{data / 'ledger.sqlite'}")
    upgrade(engine)
    blobs = Folder(data / "blobs")
    Ledger(engine).create_model("digits", DESCRIPTION, blobs.put(b"root"))
    assert blobs.is_writable()
    back_up(engine, blobs, copy)
    assert (data / "ledger.sqlite-wal").exists()


def modes(*roots: Path) -> set[tuple[str, str]]:
    """The modes of all folders and of all files, from these on."""
    found = [path for root in roots for path in (root, *root.rglob("*"))]
    return {("folder" if path.is_dir() else "file", oct(path.stat().st_mode & 0o7777)) for path in found}


def test_an_installation_and_its_backups_are_their_users_alone(tmp_path: Path) -> None:
    install(tmp_path / "new" / "data", tmp_path / "backups" / "monday")

    assert modes(tmp_path / "new", tmp_path / "backups") == {("folder", "0o700"), ("file", "0o600")}


def test_a_folder_that_was_there_keeps_its_mode_and_what_is_made_in_it_is_private(tmp_path: Path) -> None:
    for folder in (data := tmp_path / "data", copy := tmp_path / "copy", data / "blobs"):
        folder.mkdir(mode=0o755)

    install(data, copy)

    assert {oct(folder.stat().st_mode & 0o777) for folder in (data, copy, data / "blobs")} == {"0o755"}
    assert ("file", "0o600") in modes(tmp_path)
    assert not modes(tmp_path) & {("file", "0o644"), ("file", "0o640")}
    assert modes(*(data / "blobs").iterdir()) == {("folder", "0o700"), ("file", "0o600")}


@pytest.mark.parametrize(
    ("shared", "umask", "folder", "file"),
    [
        (0o770, 0o002, "0o770", "0o660"),
        (0o777, 0o000, "0o777", "0o666"),
        (0o1777, 0o000, "0o700", "0o600"),
    ],
)
def test_a_folder_that_several_users_write_to_is_shared_as_far_as_the_umask_lets(
    tmp_path: Path, shared: int, umask: int, folder: str, file: str
) -> None:
    for made in (data := tmp_path / "data", copy := tmp_path / "copy"):
        made.mkdir()
        made.chmod(shared)
    os.umask(umask)

    install(data, copy)

    assert modes(*data.iterdir(), *copy.iterdir()) == {("folder", folder), ("file", file)}
