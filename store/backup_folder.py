"""The folder that backups go into: an empty one, or that of an earlier backup of the same installation.

Whoever opens the ledger of a backup as an installation changes its first bytes, to SQLite's write-ahead log, and so its
digest. The folder's marker has the digests that backups gave to the ledger there: one that has another is somebody's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy import Engine, select

from store.digests import DIGEST, digest_of
from store.engine import close, connect
from store.folder import flush_folder
from store.private import make_folder, opener
from store.schema.beside import deletions, keys
from store.schema.learning import batches, models, moves, versions

LEDGER = "ledger.sqlite"
BLOBS = "blobs"
"""What an installation calls them in its data folder, so that a copy is one."""

MARKER = "backup.txt"
LOCK = ".backup-lock"
OF_NOBODY = {LOCK, f".{MARKER}", "lost+found"}
"""What lies in an empty folder all the same."""

OF_A_USER = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file while it is used, or when that ended in a crash."""

NOT_THERE = digest_of(b"")
"""In the marker: there may be no ledger, as the first backup has not come so far."""

EXPLAINED = "Backups go on into this folder while ledger.sqlite has one of these digests, so while nobody serves it.\n"
ROWS_AT_ONCE = 1000

PERMANENT = (
    select(models.c.id, models.c.name, models.c.created_at).order_by(models.c.id),
    select(batches.c.model_id, batches.c.number, batches.c.key, batches.c.digest).order_by(*batches.primary_key),
    select(versions.c.model_id, versions.c.number, versions.c.digest).order_by(*versions.primary_key),
    select(moves.c.model_id, moves.c.alias, moves.c.seq, moves.c.moved_at).order_by(*moves.primary_key),
    select(deletions.c.model_id, deletions.c.batch).order_by(*deletions.primary_key),
    select(keys.c.id, keys.c.name, keys.c.hash).order_by(keys.c.id),
)
"""Rows that a ledger only ever gets more of, and cells of them that never change."""


class BackupRefused(Exception):  # noqa: N818 - named for what happened to the backup
    """The folder is not one that backups of this installation go into; the message says why."""


@contextmanager
def claimed(folder: Path, engine: Engine, places: list[Path]) -> Iterator[None]:
    """Inside, this backup of the engine's installation, which lives in these places, is the only one into the folder.

    Raises:
        BackupRefused: the folder is used for something else, or by another backup right now; nothing was touched.
        OSError: it cannot be looked at or made.
    """
    _require_fit(folder, engine, places)
    make_folder(folder)
    with open(folder / LOCK, "w", opener=opener) as lock:
        _take(lock, folder)
        # Another backup may have ended meanwhile.
        _require_fit(folder, engine, places)
        if not (folder / MARKER).exists():
            _mark(folder, [NOT_THERE])
        yield


def replace_ledger(folder: Path, copy: Path) -> None:
    """The copy is the folder's ledger, and backups may go on from it.

    Raises:
        BackupRefused: somebody has opened the ledger that is there; it stays.
        OSError: the folder cannot be written to.
    """
    known, new = _known(folder), _digest(copy)
    # Both, as we may be killed before the ledger has its name.
    _mark(folder, [*known, new])
    _require_unused(folder, known)
    copy.replace(folder / LEDGER)
    flush_folder(folder)
    _mark(folder, [new])


def _require_fit(folder: Path, engine: Engine, places: list[Path]) -> None:
    _require_apart(folder, places)
    if _is_backup(folder):
        _require_unused(folder, _known(folder))
        _require_ancestor(folder, engine)


def _require_apart(folder: Path, places: list[Path]) -> None:
    for target in (folder.resolve(), (folder / BLOBS).resolve()):
        for place in map(Path.resolve, places):
            if _is_in(target, place) or _is_in(place, target):
                raise BackupRefused(
                    f"{folder} is, holds or lies in {place}, where the installation itself is kept. Choose a folder "
                    "apart from it."
                )


def _is_backup(folder: Path) -> bool:
    """True where an earlier backup is; False where nothing is."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise BackupRefused(f"{folder} is no folder. Choose one that is empty or not there yet.")
    if (folder / MARKER).is_file():
        return True
    if found := sorted({path.name for path in folder.iterdir()} - OF_NOBODY):
        raise BackupRefused(
            f"{folder} holds {found[0]}, and no {MARKER} of an earlier backup. Choose a folder that is empty or not "
            "there yet."
        )
    return False


def _require_unused(folder: Path, known: list[str]) -> None:
    """The ledger in the folder is one of the known ones, and nobody has it open."""
    ledger = folder / LEDGER
    is_open = any((folder / f"{LEDGER}{end}").exists() for end in OF_A_USER)
    is_known = (_digest(ledger) if ledger.exists() else NOT_THERE) in known
    if is_open or not is_known:
        raise BackupRefused(
            f"{ledger} is not as the last backup left it: somebody has served {folder}, or changed it. No backup goes "
            "into it any more. Choose another folder."
        )


def _require_ancestor(folder: Path, engine: Engine) -> None:
    """All that the folder's ledger has recorded is in the installation's too: replacing it loses nothing."""
    if not (folder / LEDGER).exists():
        return
    earlier = connect(f"sqlite:///{folder / LEDGER}", is_read_only=True)
    try:
        with engine.begin() as ours, earlier.begin() as theirs:
            for query in PERMANENT:
                # Both are in the same order, so that each look goes on where the one before it ended.
                present = iter(ours.execute(query).yield_per(ROWS_AT_ONCE))
                if not all(row in present for row in theirs.execute(query).yield_per(ROWS_AT_ONCE)):
                    raise BackupRefused(
                        f"{folder} is a backup of another installation, or of more than this one has learned since it "
                        "was restored. Choose another folder."
                    )
    finally:
        close(earlier)


def _take(lock: IO[str], folder: Path) -> None:
    """No other backup goes into the folder until the file is closed."""
    try:
        import fcntl  # noqa: PLC0415 - Windows has none.
    except ImportError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackupRefused(f"Another backup into {folder} is under way. Run it again after that.") from None
    except OSError:
        return  # A file system without locks is no reason to have no backup.


def _known(folder: Path) -> list[str]:
    marker = folder / MARKER
    return DIGEST.findall(marker.read_text(errors="replace")) if marker.exists() else []


def _mark(folder: Path, digests: list[str]) -> None:
    written = folder / f".{MARKER}"
    with open(written, "w", opener=opener) as file:
        file.write(EXPLAINED + "".join(f"{digest}\n" for digest in digests))
        file.flush()
        os.fsync(file.fileno())
    written.replace(folder / MARKER)
    flush_folder(folder)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"


def _is_in(inner: Path, outer: Path) -> bool:
    """True where the inner folder is the outer or lies in it, whatever they are called; both are resolved."""
    return any(path == outer or _are_one(path, outer) for path in (inner, *inner.parents))


def _are_one(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.samefile(other)
