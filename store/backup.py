"""A copy of an embedded installation, taken while it is used: the ledger of one moment, and all that it names."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from store.blobs import Blobs
from store.engine import connect
from store.errors import BlobMissing
from store.folder import Folder, flush_folder
from store.private import create, make_folder
from store.schema import versions
from store.tombstones import KEPT_ROWS, named_by_priors

LEDGER = "ledger.sqlite"
BLOBS = "blobs"
"""What an installation calls them in its data folder, so that a copy is one."""

ATTEMPTS = 5


@dataclass(frozen=True)
class BackedUp:
    blobs: int
    """All that the copy's ledger names."""
    copied: int
    """Of these, what the folder did not hold from a backup before."""


class BackupOvertaken(Exception):  # noqa: N818 - not wrong: the rows were deleted while they were copied
    """Rows were deleted, as their retention says, between the copy of the ledger and that of the blobs."""


def back_up(engine: Engine, blobs: Blobs, folder: Path) -> BackedUp:
    """The folder is a data folder with this ledger, as of one moment, and every blob that it names, verified.

    A backup into the folder of an earlier one copies what is new, and removes what is no longer named.

    Raises:
        BlobMissing, BlobCorrupt: the installation lacks bytes; `posterity doctor` says whose.
        BackupOvertaken: rows went faster than they could be copied, several times.
        OSError: the folder cannot be written to, or the store does not answer.
    """
    make_folder(folder)
    copies = Folder(folder / BLOBS)
    # First what is there now, which takes long; so that little is left between the copy of the ledger and its blobs.
    copied = _copy(_named(engine), blobs, copies, engine)
    for _ in range(ATTEMPTS):
        copy = folder / f".{LEDGER}"
        copy.unlink(missing_ok=True)
        _copy_ledger(engine, copy)
        named = _named_in(copy)
        try:
            copied += _copy(named, blobs, copies, None)
        except BlobMissing as missing:
            if missing.facts["digest"] in _named(engine):
                raise
            continue
        copy.replace(folder / LEDGER)
        flush_folder(folder)
        for listed in list(copies.listed()):
            if listed.digest not in named:
                copies.delete(listed.digest)
        return BackedUp(len(named), copied)
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
    finally:
        borrowed.close()
    with target.open("rb") as written:
        os.fsync(written.fileno())


def _copy(digests: set[str], blobs: Blobs, copies: Folder, live: Engine | None) -> int:
    """The copies hold these; how many they did not before. With `live`, what it names no longer is passed over."""
    count = 0
    for digest in sorted(digests):
        if copies.holds(digest):
            copies.verify(digest)
            continue
        try:
            copies.put(blobs.get(digest))
            count += 1
        except BlobMissing:
            if live is None or digest in _named(live):
                raise
    return count


def _named(engine: Engine) -> set[str]:
    with engine.begin() as connection:
        return set(_digests(connection))


def _named_in(ledger: Path) -> set[str]:
    engine = connect(f"sqlite:///{ledger}")
    try:
        return _named(engine)
    finally:
        engine.dispose()


def _digests(connection: Connection) -> Iterator[str]:
    yield from connection.execute(select(versions.c.digest)).scalars()
    yield from connection.execute(KEPT_ROWS).scalars()
    yield from named_by_priors(connection)
