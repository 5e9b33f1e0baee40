"""Bytes named by their digest, in a folder: written once, verified on every read, never changed."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from io import BufferedReader, BufferedWriter
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
        """As `put_all`, with one blob."""
        return self.put_all([data])[0]

    def put_all(self, blobs: Sequence[bytes]) -> list[str]:
        """All these bytes are on the disk under their digests, and survive a crash from here on; returns the digests.

        A reader never sees a part of them: they are written under a temporary name, flushed, then renamed.
        A name survives once its folder is flushed, and a folder once those above it are. Whoever wrote the file or made
        its folder may not have come so far, so a put flushes the folder also when the file was there, and those above
        it also when the folder was; but those once in a process and folder, as nobody removes a folder. Of several
        blobs the first flush does most of the work of all.

        Raises:
            OSError: the disk is full or not writable; nothing is left under a digest but whole blobs.
        """
        named = {digest_of(data): data for data in blobs}
        paths = {self.path(digest): data for digest, data in named.items()}
        folders = {path.parent for path in paths}
        for folder in folders - self._flushed:
            folder.mkdir(parents=True, exist_ok=True)
        self._write({path: data for path, data in paths.items() if not self._holds(path, data)})
        for folder in folders:
            _flush_folder(folder)
        if not folders <= self._flushed:
            for above in (self.root, self.root.parent):
                _flush_folder(above)
            # Last, as other threads rely on it.
            self._flushed |= folders
        return [digest_of(data) for data in blobs] if len(named) < len(blobs) else list(named)

    def get(self, digest: str) -> bytes:
        """The bytes of a digest.

        Raises:
            BlobMissing: no such blob.
            BlobCorrupt: the stored bytes have another digest.
        """
        try:
            data = self.path(digest).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
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
        except (FileNotFoundError, IsADirectoryError):
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

    def _write(self, blobs: Mapping[Path, bytes]) -> None:
        with ExitStack() as undo:
            written: list[tuple[Path, Path, BufferedWriter]] = []
            for path, data in blobs.items():
                temporary = path.with_name(f"{TEMPORARY}{uuid4().hex}")
                file = undo.enter_context(temporary.open("xb"))
                undo.callback(temporary.unlink, missing_ok=True)
                file.write(data)
                file.flush()
                written.append((temporary, path, file))
            for _, _, file in written:
                os.fsync(file.fileno())
            for temporary, path, _ in written:
                temporary.replace(path)

    def _holds(self, path: Path, data: bytes) -> bool:
        # A damaged file under this name is written again rather than trusted.
        try:
            return path.read_bytes() == data
        except FileNotFoundError:
            return False


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
