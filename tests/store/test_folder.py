"""Blobs in a folder: on the disk before anybody is told, and nothing left behind."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from io import FileIO
from itertools import count
from pathlib import Path

import pytest

from store.blobs import digest_of
from store.errors import BlobMissing, BlobStoreError
from store.folder import TEMPORARY, Folder


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


def test_a_file_that_is_not_there_is_a_clear_error(blobs: Folder) -> None:
    digest = f"sha256:{'0' * 64}"
    for ask in (blobs.open, blobs.verify, blobs.get):
        with pytest.raises(BlobMissing, match="doctor"):
            ask(digest)

    blobs.path(digest).mkdir(parents=True)
    for ask in (blobs.open, blobs.verify, blobs.get):
        with pytest.raises(BlobMissing):
            ask(digest)


def test_a_write_that_fails_leaves_nothing_behind(blobs: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_handle: int) -> None:
        assert files(blobs), "the disk is full only once something was written"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)

    with pytest.raises(OSError, match="No space"):
        blobs.put(b"posterior")

    assert files(blobs) == []


def test_a_full_disk_is_not_writable(blobs: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert blobs.is_writable()

    monkeypatch.setattr(tempfile, "TemporaryFile", full_disk)
    assert not blobs.is_writable()

    monkeypatch.undo()
    assert blobs.is_writable()
    assert files(blobs) == []


def full_disk(**_stated: object) -> FileIO:
    """A new file where there is no room: it can be made, and takes no byte."""
    return FileIO("/dev/full", "w")


@pytest.fixture
def flushed(blobs: Folder, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[Path]]]:
    """What was flushed, each with the blobs that had their names by then."""
    flushed: list[tuple[Path, list[Path]]] = []

    def fsync(handle: int) -> None:
        named = [path for path in files(blobs) if not path.name.startswith(TEMPORARY)]
        flushed.append((Path(f"/proc/self/fd/{handle}").readlink(), named))

    monkeypatch.setattr(os, "fsync", fsync)
    return flushed


def test_bytes_are_on_the_disk_before_their_name_and_their_folders_after_it(
    blobs: Folder, flushed: list[tuple[Path, list[Path]]]
) -> None:
    path = blobs.path(digest_of(b"posterior"))

    blobs.put(b"posterior")

    (written, named), *folders = flushed
    assert (written.parent, named) == (path.parent, [])
    assert folders == [(folder, [path]) for folder in (path.parent, blobs.root, blobs.root.parent)]


def test_bytes_that_were_there_are_not_written_again_but_their_folder_is_flushed(
    blobs: Folder, flushed: list[tuple[Path, list[Path]]]
) -> None:
    path = blobs.path(blobs.put(b"posterior"))
    flushed.clear()

    blobs.put(b"posterior")

    assert flushed == [(path.parent, [path])]


def test_the_folders_above_are_flushed_once_for_each_folder_of_blobs(
    blobs: Folder, flushed: list[tuple[Path, list[Path]]]
) -> None:
    path = blobs.path(blobs.put(b"posterior"))
    beside = next(data for data in numbered() if blobs.path(digest_of(data)).parent == path.parent)
    elsewhere = next(data for data in numbered() if blobs.path(digest_of(data)).parent != path.parent)
    flushed.clear()

    blobs.put(beside)
    assert [folder for folder, _ in flushed[1:]] == [path.parent]

    flushed.clear()
    blobs.put(elsewhere)
    folder = blobs.path(digest_of(elsewhere)).parent
    assert [folder for folder, _ in flushed[1:]] == [folder, blobs.root, blobs.root.parent]


def test_folders_that_another_process_made_are_flushed_as_it_may_have_been_killed_before_it_did(
    blobs: Folder, flushed: list[tuple[Path, list[Path]]]
) -> None:
    path = blobs.path(blobs.put(b"posterior"))
    flushed.clear()

    Folder(blobs.root).put(b"posterior")

    assert [folder for folder, _ in flushed] == [path.parent, blobs.root, blobs.root.parent]


def test_folders_whose_flush_failed_are_flushed_by_the_next_put(blobs: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []

    def fsync(handle: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{handle}").readlink())
        if flushed == [*flushed[:2], blobs.root]:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        blobs.put(b"posterior")
    flushed.clear()

    blobs.put(b"posterior")

    assert flushed[-2:] == [blobs.root, blobs.root.parent]


def files(blobs: Folder) -> list[Path]:
    return [path for path in blobs.root.rglob("*") if path.is_file()]


def numbered() -> Iterator[bytes]:
    return (str(number).encode() for number in count())


def test_many_that_cannot_all_be_written_leave_nothing_but_whole_blobs(
    blobs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[int]()

    def no_space(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        blobs.put_all([b"a", b"b", b"c", b"d"])
    monkeypatch.undo()

    assert files(blobs) == []
    assert [blobs.get(digest) for digest in blobs.put_all([b"a", b"b", b"c", b"d"])] == [b"a", b"b", b"c", b"d"]


def test_bytes_that_were_there_are_young_again(blobs: Folder) -> None:
    digest = blobs.put(b"posterior")
    os.utime(blobs.path(digest), (1000.0, 1000.0))
    (old,) = blobs.listed()

    blobs.put(b"posterior")

    (young,) = blobs.listed()
    assert (old.digest, old.modified_at) == (digest, 1000.0)
    assert abs(young.modified_at - time.time()) < 60


def test_bytes_that_vanish_while_they_are_looked_at_are_written_again(
    blobs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = blobs.put(b"posterior")

    def collected(path: Path) -> None:
        path.unlink()
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "utime", collected)
    blobs.put(b"posterior")

    assert blobs.get(digest) == b"posterior"


def test_a_deletion_is_flushed_also_where_another_process_removed_the_file(
    blobs: Folder, flushed: list[tuple[Path, list[Path]]]
) -> None:
    path = blobs.path(digest := blobs.put(b"posterior"))
    flushed.clear()

    blobs.delete(digest)
    blobs.delete(digest)

    assert flushed == [(path.parent, [])] * 2


def test_only_old_leftovers_of_killed_writers_are_removed(blobs: Folder) -> None:
    path = blobs.path(blobs.put(b"posterior"))
    old, young = path.with_name(f"{TEMPORARY}old"), path.with_name(f"{TEMPORARY}young")
    for file, seconds in ((old, 1000.0), (young, 2000.0), (path, 500.0)):
        file.touch()
        os.utime(file, (seconds, seconds))

    assert blobs.remove_leftovers(2000.0) == 1

    assert sorted(files(blobs)) == sorted([path, young])
    assert blobs.remove_leftovers(2000.0) == 0


def test_a_folder_that_was_never_written_holds_nothing(blobs: Folder) -> None:
    assert list(blobs.listed()) == []
    assert blobs.remove_leftovers(2000.0) == 0
    blobs.delete(digest_of(b"posterior"))
    assert not blobs.root.exists()


def test_a_folder_in_the_place_of_a_blob_is_none(blobs: Folder) -> None:
    digest = digest_of(b"posterior")
    blobs.path(digest).mkdir(parents=True)

    assert list(blobs.listed()) == []
    assert not blobs.holds(digest)
    blobs.delete(digest)
    assert blobs.path(digest).is_dir()


def test_what_the_disk_does_not_give_is_no_missing_blob(blobs: Folder) -> None:
    digest = digest_of(b"posterior")
    path = blobs.path(digest)
    path.parent.mkdir(parents=True)
    path.symlink_to(path)

    for ask in (blobs.open, blobs.verify, blobs.get):
        with pytest.raises(BlobStoreError, match="symbolic links"):
            ask(digest)
