"""Bytes by digest: whole or absent, verified when read."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.blobs import Blobs
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
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    blobs.root.mkdir(parents=True)
    (blobs.root / "8f").mkdir()

    with pytest.raises(OSError, match="No space"):
        blobs.put(b"posterior")

    assert not [path for path in blobs.root.rglob("*") if path.is_file()]


def test_the_same_bytes_put_by_many_at_once_are_one_whole_file(blobs: Blobs) -> None:
    data = os.urandom(1 << 20)

    with ThreadPoolExecutor(8) as writers:
        (digest,) = set(writers.map(blobs.put, [data] * 16))

    assert blobs.get(digest) == data
    assert [path.name for path in blobs.root.rglob("*") if path.is_file()] == [digest.removeprefix("sha256:")]
