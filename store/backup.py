"""A copy of an embedded installation, taken while it is used: the ledger of one moment, and all that it names."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from store.backup_folder import BLOBS, LEDGER, claimed, replace_ledger
from store.blobs import Blobs, BlobStoreError
from store.engine import close, connect
from store.errors import BlobCorrupt, BlobMissing
from store.folder import Folder
from store.private import create
from store.schema.learning import versions
from store.tombstones import KEPT_ROWS, named_by_models

ATTEMPTS = 5


@dataclass(frozen=True)
class BackedUp:
    blobs: int
    """All that the copy's ledger names."""
    copied: int
    """Of these, what the folder did not hold, whole, from a backup before."""
    lacking: tuple[str, ...]
    """A sentence for each of these that the installation has lost or damaged, and the folder has no whole one of."""


class BackupOvertaken(Exception):  # noqa: N818 - not wrong: the rows were deleted while they were copied
    """Rows were deleted, as their retention says, between the copy of the ledger and that of the blobs."""


class Copying:
    """Blobs on their way from an installation to its copy."""

    def __init__(self, blobs: Blobs, copies: Folder) -> None:
        self.blobs = blobs
        self.copies = copies
        self.copied = 0

    def copy(self, digests: Collection[str]) -> dict[str, str]:
        """The copy holds these, whole, but for those that it returns: the installation has none that are, and why.

        Raises:
            BlobStoreError: the store does not answer, or the copy cannot be written to.
        """
        lacking: dict[str, str] = {}
        for digest in sorted(digests):
            if self._is_whole(digest):
                continue
            try:
                data = self.blobs.get(digest)
            except (BlobMissing, BlobCorrupt, BlobStoreError) as error:
                # A disk that cannot read this one may well read the others.
                if isinstance(error, BlobStoreError) and error.errno != errno.EIO:
                    raise
                lacking[digest] = str(error)
            else:
                self.copies.put(data)
                self.copied += 1
        return lacking

    def others(self, digests: Collection[str]) -> list[str]:
        """What the copy holds beside these.

        Raises:
            BlobStoreError: the copy cannot be read.
        """
        return [listed.digest for listed in self.copies.listed() if listed.digest not in digests]

    def _is_whole(self, digest: str) -> bool:
        try:
            self.copies.verify(digest)
        except (BlobMissing, BlobCorrupt):
            return False
        return True


def back_up(engine: Engine, blobs: Blobs, folder: Path) -> BackedUp:
    """The folder is a data folder with this ledger, as of one moment, and every blob that it names, verified.

    Only what the installation itself has lost or damaged may be lacking. A backup into the folder of an earlier one
    copies what is new, or damaged there, and removes what is no longer named.

    Raises:
        BackupRefused: the folder is used for something else; its ledger and its blobs are as they were.
        BackupOvertaken: rows went faster than they could be copied, several times.
        OSError: the folder cannot be written to, or the store does not answer.
    """
    assert engine.url.database is not None
    ledger = Path(engine.url.database)
    places = [ledger.parent, ledger.resolve().parent, *([blobs.root] if isinstance(blobs, Folder) else [])]
    with claimed(folder, engine, places):
        copying = Copying(blobs, Folder(folder / BLOBS))
        # First what is there now, which takes long; so that little is left between the copy of ledger and its blobs.
        copying.copy(_named(engine))
        copy = folder / f".{LEDGER}"
        try:
            return _finish(engine, copying, copy, folder)
        finally:
            copy.unlink(missing_ok=True)


def _finish(engine: Engine, copying: Copying, copy: Path, folder: Path) -> BackedUp:
    for _ in range(ATTEMPTS):
        copy.unlink(missing_ok=True)
        _copy_ledger(engine, copy)
        named = _named_in(copy)
        lacking = copying.copy(named)
        if lacking.keys() <= _named(engine):
            # Those that are there now, and none that somebody puts there who uses the folder from here on.
            others = copying.others(named)
            replace_ledger(folder, copy)
            for digest in others:
                copying.copies.delete(digest)
            return BackedUp(len(named), copying.copied, tuple(lacking.values()))
    raise BackupOvertaken("Rows were deleted faster than they were copied. Run it again when less is learned.")


def _copy_ledger(engine: Engine, target: Path) -> None:
    """SQLite's online backup: the target is the ledger as of one commit, whoever writes meanwhile."""
    create(target)
    borrowed = engine.raw_connection()
    try:
        with closing(sqlite3.connect(target)) as copy:
            source = borrowed.driver_connection
            assert isinstance(source, sqlite3.Connection)
            source.backup(copy)
            # One file, whatever the journal of the ledger is.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise OSError(f"the ledger cannot be copied into {target.parent}: {error}") from None
    finally:
        borrowed.close()
    with target.open("rb") as written:
        os.fsync(written.fileno())


def _named(engine: Engine) -> set[str]:
    with engine.begin() as connection:
        return set(_digests(connection))


def _named_in(ledger: Path) -> set[str]:
    engine = connect(f"sqlite:///{ledger}", is_read_only=True)
    try:
        return _named(engine)
    finally:
        close(engine)


def _digests(connection: Connection) -> Iterator[str]:
    yield from connection.execute(select(versions.c.digest)).scalars()
    yield from connection.execute(KEPT_ROWS).scalars()
    yield from named_by_models(connection)
