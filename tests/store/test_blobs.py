"""Bytes by digest: whole or absent, verified when read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from store.blobs import digest_of
from store.errors import BlobCorrupt, BlobMissing
from store.folder import TEMPORARY, Folder


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


def test_bytes_come_back_under_the_name_of_their_digest(blobs: Folder) -> None:
    digest = blobs.put(b"posterior")

    assert digest == f"sha256:{hashlib.sha256(b'posterior').hexdigest()}"
    assert blobs.get(digest) == b"posterior"
    assert blobs.put(b"posterior") == digest


def test_a_flipped_bit_is_a_clear_error_and_putting_the_bytes_again_heals_it(blobs: Folder) -> None:
    digest = blobs.put(b"posterior")
    blobs.path(digest).write_bytes(b"posterios")

    with pytest.raises(BlobCorrupt, match=digest):
        blobs.get(digest)

    blobs.put(b"posterior")
    assert blobs.get(digest) == b"posterior"


def test_missing_bytes_are_a_clear_error(blobs: Folder) -> None:
    with pytest.raises(BlobMissing, match="doctor"):
        blobs.get(f"sha256:{'0' * 64}")


def test_an_open_file_has_the_bytes_of_its_digest_and_nobody_has_looked_at_them(blobs: Folder) -> None:
    digest = blobs.put(b"posterior")
    with blobs.open(digest) as file:
        assert file.read() == b"posterior"
    blobs.verify(digest)

    blobs.path(digest).write_bytes(b"posterios")

    with blobs.open(digest) as file:
        assert file.read() == b"posterios"


@pytest.mark.parametrize("place", [0, 499_999, 999_999])
def test_verifying_finds_a_flipped_bit_wherever_it_is(blobs: Folder, place: int) -> None:
    data = bytearray(os.urandom(1_000_000))
    digest = blobs.put(bytes(data))
    data[place] ^= 1
    blobs.path(digest).write_bytes(data)

    with pytest.raises(BlobCorrupt, match=digest):
        blobs.verify(digest)

    data[place] ^= 1
    blobs.put(bytes(data))
    blobs.verify(digest)


@pytest.mark.parametrize("length", [0, 8])
def test_verifying_finds_bytes_that_were_cut_off(blobs: Folder, length: int) -> None:
    digest = blobs.put(b"posterior")
    blobs.path(digest).write_bytes(b"posterior"[:length])

    with pytest.raises(BlobCorrupt):
        blobs.verify(digest)


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


def test_the_same_bytes_put_by_many_at_once_are_one_whole_file(blobs: Folder) -> None:
    data = os.urandom(1 << 20)

    with ThreadPoolExecutor(8) as writers:
        (digest,) = set(writers.map(blobs.put, [data] * 16))

    assert blobs.get(digest) == data
    assert [path.name for path in blobs.root.rglob("*") if path.is_file()] == [digest.removeprefix("sha256:")]


def files(blobs: Folder) -> list[Path]:
    return [path for path in blobs.root.rglob("*") if path.is_file()]


def numbered() -> Iterator[bytes]:
    return (str(number).encode() for number in count())


def test_many_are_put_at_once_each_once_and_their_digests_come_in_order(blobs: Folder) -> None:
    data = [b"a", b"b", b"a", b"", b"c"]
    blobs.put(b"b")

    digests = blobs.put_all(data)

    assert digests == [digest_of(one) for one in data]
    assert [blobs.get(digest) for digest in digests] == data
    assert len(files(blobs)) == 4
    assert blobs.put_all([]) == []


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
