"""Blobs in a folder: whole or absent, on the disk before anybody is told, verified on every read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedReader, BufferedWriter, FileIO
from pathlib import Path
from uuid import uuid4

from store.digests import Listed, Opened, digest_in, digest_of, name_of
from store.errors import BlobCorrupt, BlobMissing, BlobStoreError
from store.private import make_folder, opener

TEMPORARY = ".writing-"
HASHED_BYTES = 2**20
PROBE_BYTES = 4096


class Folder:
    """A folder of content-addressed blobs, `<root>/<first two digits>/<digest>`; safe for many processes at once."""

    settle_seconds = 0.0

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
            BlobStoreError: the disk is full or not writable; nothing is left under a digest but whole blobs.
        """
        named = {digest_of(data): data for data in blobs}
        paths = {self.path(digest): data for digest, data in named.items()}
        folders = {path.parent for path in paths}
        with _the_disk():
            for folder in folders - self._flushed:
                make_folder(folder)
            self._write({path: data for path, data in paths.items() if not self._keeps(path, data)})
            for folder in folders:
                flush_folder(folder)
            if not folders <= self._flushed:
                for above in (self.root, self.root.parent):
                    flush_folder(above)
                # Last, as other threads rely on it.
                self._flushed |= folders
        return [digest_of(data) for data in blobs] if len(named) < len(blobs) else list(named)

    def get(self, digest: str) -> bytes:
        """The bytes of a digest.

        Raises:
            BlobMissing: no such blob.
            BlobCorrupt: the stored bytes have another digest.
            BlobStoreError: they cannot be read.
        """
        with self.open(digest) as file, _the_disk():
            data = file.read()
        if (found := digest_of(data)) != digest:
            raise BlobCorrupt(digest=digest, found=found)
        return data

    def open(self, digest: str) -> OpenFile:
        """The bytes of a digest, as nobody has looked at yet; `verify` does.

        Raises:
            BlobMissing: no such blob.
            BlobStoreError: it cannot be opened.
        """
        with _the_disk():
            try:
                return OpenFile(self.path(digest), digest)
            except (FileNotFoundError, IsADirectoryError):
                raise BlobMissing(digest=digest) from None

    def verify(self, digest: str) -> None:
        """The stored bytes have this digest.

        Raises:
            BlobMissing: no such blob.
            BlobCorrupt: they have another.
            BlobStoreError: they cannot be read.
        """
        with self.open(digest) as file:
            file.verify()

    def holds(self, digest: str) -> bool:
        """True where a blob has this name; nobody has looked at its bytes."""
        with _the_disk():
            return self.path(digest).is_file()

    def path(self, digest: str) -> Path:
        return self.root / name_of(digest)

    def is_writable(self) -> bool:
        """True when a blob could be written now: a few bytes just were."""
        try:
            make_folder(self.root)
            # A full disk still makes empty files. Unflushed, as anybody may ask, and as often as they like.
            with tempfile.TemporaryFile(dir=self.root, buffering=0) as file:
                return file.write(bytes(PROBE_BYTES)) == PROBE_BYTES
        except OSError:
            return False

    def listed(self) -> Iterator[Listed]:
        """Every finished blob, in no order; what is no blob is passed over.

        Raises:
            BlobStoreError: the folder cannot be read.
        """
        for entry in self._entries():
            digest = digest_in(f"{Path(entry.path).parent.name}/{entry.name}")
            if digest is not None and (found := _stat(entry)) is not None:
                yield Listed(digest, found.st_size, found.st_mtime)

    def delete(self, digest: str) -> None:
        """No blob has this name, and none has it after a crash; nothing happens where none had.

        Raises:
            BlobStoreError: the folder cannot be written.
        """
        path = self.path(digest)
        with _the_disk():
            try:
                path.unlink(missing_ok=True)
                # Also where it was gone: whoever removed it may not have come so far.
                flush_folder(path.parent)
            except (FileNotFoundError, IsADirectoryError):
                return

    def remove_leftovers(self, before: float, /) -> int:
        """What writers that were killed left behind before this moment is gone; returns how many files.

        Raises:
            BlobStoreError: the folder cannot be read or written.
        """
        removed = 0
        for entry in self._entries():
            found = _stat(entry) if entry.name.startswith(TEMPORARY) else None
            if found is not None and found.st_mtime < before:
                with _the_disk():
                    Path(entry.path).unlink(missing_ok=True)
                removed += 1
        return removed

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        """Everything that lies where blobs do."""
        with _the_disk():
            folders = [path for path in self.root.glob("[0-9a-f][0-9a-f]") if path.is_dir()]
        for folder in folders:
            with _the_disk(), os.scandir(folder) as entries:
                found = list(entries)
            yield from found

    def _write(self, blobs: Mapping[Path, bytes]) -> None:
        with ExitStack() as undo:
            written: list[tuple[Path, Path, BufferedWriter]] = []
            for path, data in blobs.items():
                temporary = path.with_name(f"{TEMPORARY}{uuid4().hex}")
                file = undo.enter_context(open(temporary, "xb", opener=opener))
                undo.callback(temporary.unlink, missing_ok=True)
                file.write(data)
                file.flush()
                written.append((temporary, path, file))
            for _, _, file in written:
                os.fsync(file.fileno())
            for temporary, path, _ in written:
                temporary.replace(path)

    def _keeps(self, path: Path, data: bytes) -> bool:
        # A damaged file under this name is written again rather than trusted.
        try:
            if path.read_bytes() != data:
                return False
            os.utime(path)
        except FileNotFoundError:
            return False
        return True


class OpenFile(BufferedReader, Opened):
    """The file as it was when it was opened, also where its name was given to another since."""

    def __init__(self, path: Path, digest: str) -> None:
        super().__init__(FileIO(path))
        self._digest = digest

    def verify(self) -> None:
        found, at = hashlib.sha256(), 0
        with _the_disk():
            while data := os.pread(self.fileno(), HASHED_BYTES, at):
                found.update(data)
                at += len(data)
        if found.digest().hex() != self._digest.removeprefix("sha256:"):
            raise BlobCorrupt(digest=self._digest, found=f"sha256:{found.hexdigest()}")


@contextmanager
def _the_disk() -> Iterator[None]:
    """What the system says of the disk is the store's not being available."""
    try:
        yield
    except BlobStoreError:
        raise
    except OSError as error:
        raise BlobStoreError(error.errno, error.strerror, error.filename) from error


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None where it is no file, or none any more."""
    with _the_disk():
        try:
            return entry.stat(follow_symlinks=False) if entry.is_file(follow_symlinks=False) else None
        except FileNotFoundError:
            return None


def flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
