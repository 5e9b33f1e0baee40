"""Bytes named by their digest, in a folder: written once, verified on every read, never changed."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from io import BufferedReader
from pathlib import Path
from uuid import uuid4

from store.errors import BlobCorrupt, BlobMissing

TEMPORARY = ".writing-"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(data: bytes) -> str:
    """The name of these bytes: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Blobs:
    """A folder of content-addressed blobs, `<root>/<first two digits>/<digest>`; safe for many processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._flushed: set[Path] = set()

    def put(self, data: bytes) -> str:
        """The bytes are on the disk under their digest, and survive a crash from here on; returns the digest.

        A reader never sees a part of them: they are written under a temporary name, flushed, then renamed.
        A name survives once its folder is flushed, and a folder once those above it are. Whoever wrote the file or made
        its folder may not have come so far, so a put flushes the folder also when the file was there, and those above
        it also when the folder was; but those once in a process and folder, as nobody removes a folder.

        Raises:
            OSError: the disk is full or not writable; nothing is left under the digest.
        """
        digest = digest_of(data)
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self._holds(path, digest):
            self._write(path, data)
        _flush_folder(path.parent)
        if path.parent not in self._flushed:
            for above in (self.root, self.root.parent):
                _flush_folder(above)
            # Last, as other threads rely on it.
            self._flushed.add(path.parent)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a digest.

        Raises:
            BlobMissing: no such blob.
            BlobCorrupt: the stored bytes have another digest.
        """
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise BlobMissing(digest=digest) from None
        if (found := digest_of(data)) != digest:
            raise BlobCorrupt(digest=digest, found=found)
        return data

    def open(self, digest: str) -> BufferedReader:
        """The bytes of a digest, as nobody has looked at yet; `verify` does.

        Raises:
            BlobMissing: no such blob.
        """
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise BlobMissing(digest=digest) from None

    def verify(self, digest: str) -> None:
        """The stored bytes have this digest.

        Raises:
            BlobMissing: no such blob.
            BlobCorrupt: they have another.
        """
        with self.open(digest) as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if found != digest:
            raise BlobCorrupt(digest=digest, found=found)

    def path(self, digest: str) -> Path:
        assert DIGEST.fullmatch(digest), digest
        hexadecimal = digest.removeprefix("sha256:")
        return self.root / hexadecimal[:2] / hexadecimal

    def is_writable(self) -> bool:
        """True when a blob could be written now."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                return True
        except OSError:
            return False

    def _write(self, path: Path, data: bytes) -> None:
        temporary = path.with_name(f"{TEMPORARY}{uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _holds(self, path: Path, digest: str) -> bool:
        # A damaged file under this name is written again rather than trusted.
        return path.exists() and digest_of(path.read_bytes()) == digest


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
