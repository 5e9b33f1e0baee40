"""Bytes by digest: whole or absent, verified when read."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.blobs import Blobs, digest_of
from store.errors import BlobCorrupt, BlobMissing


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def test_bytes_come_back_under_the_name_of_their_digest(blobs: Blobs) -> None:
    digest = blobs.put(b"posterior")

    assert digest == f"sha256:{hashlib.sha256(b'posterior').hexdigest()}"
    assert blobs.get(digest) == b"posterior"
    assert blobs.put(b"posterior") == digest


def test_a_flipped_bit_is_a_clear_error_and_putting_the_bytes_again_heals_it(blobs: Blobs) -> None:
    digest = blobs.put(b"posterior")
    blobs.path(digest).write_bytes(b"posterios")

    with pytest.raises(BlobCorrupt, match=digest):
        blobs.get(digest)

    blobs.put(b"posterior")
    assert blobs.get(digest) == b"posterior"


def test_missing_bytes_are_a_clear_error(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing, match="doctor"):
        blobs.get(f"sha256:{'0' * 64}")


def test_a_write_that_fails_leaves_nothing_behind(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_handle: int) -> None:
        assert files(blobs), "the disk is full only once something was written"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)

    with pytest.raises(OSError, match="No space"):
        blobs.put(b"posterior")

    assert files(blobs) == []


def test_bytes_are_on_the_disk_before_their_name_and_their_folders_after_it(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = blobs.path(digest_of(b"posterior"))
    seen: list[tuple[Path, bool]] = []

    def fsync(handle: int) -> None:
        seen.append((Path(f"/proc/self/fd/{handle}").readlink(), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)

    blobs.put(b"posterior")
    (written, was_named), *folders = seen
    assert (written.parent, was_named) == (path.parent, False)
    assert folders == [(path.parent, True), (blobs.root, True), (blobs.root.parent, True)]

    seen.clear()
    blobs.put(b"posterior")
    assert seen == folders


def test_the_same_bytes_put_by_many_at_once_are_one_whole_file(blobs: Blobs) -> None:
    data = os.urandom(1 << 20)

    with ThreadPoolExecutor(8) as writers:
        (digest,) = set(writers.map(blobs.put, [data] * 16))

    assert blobs.get(digest) == data
    assert [path.name for path in blobs.root.rglob("*") if path.is_file()] == [digest.removeprefix("sha256:")]


def files(blobs: Blobs) -> list[Path]:
    return [path for path in blobs.root.rglob("*") if path.is_file()]
