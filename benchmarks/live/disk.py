"""How often a second this disk can make something durable, which no service can exceed."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from io import FileIO
from itertools import count
from pathlib import Path

APPENDED = b"0" * 1000


def limits(inside: Path, *, threads: int, seconds: float) -> dict[str, float]:
    """Durable writes a second, of each kind for so many seconds.

    `append`: a thousand bytes and fsync, by one thread and by several, each on its own file. `file`: a new file,
    fsynced, renamed, and its folder fsynced, as a blob is written. `commit`: a row by SQLite in WAL mode with
    synchronous=FULL, by one thread, as SQLite has one writer. Its files stay in the folder: for minutes, ext4 looks at
    every inode that was freed whenever it looks for a free one.
    """
    with ExitStack() as stack:
        root = Path(tempfile.mkdtemp(dir=inside))
        files = [stack.enter_context((root / f"log-{i}").open("wb", buffering=0)) for i in range(threads)]
        ledger = stack.enter_context(closing(_ledger(root / "ledger.sqlite")))
        return {
            "append": rate([partial(_append, files[0])], seconds),
            "append_by_threads": rate([partial(_append, file) for file in files], seconds),
            "file_by_threads": rate([partial(_write_file, root, count())] * threads, seconds),
            "commit": rate([partial(_commit, ledger)], seconds),
        }


def rate(calls: list[Callable[[], object]], seconds: float) -> float:
    """Calls a second in all, each called over and over by a thread of its own."""

    def repeat(call: Callable[[], object]) -> int:
        count = 0
        while time.perf_counter() < until:
            call()
            count += 1
        return count

    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(len(calls)) as threads:
        return sum(threads.map(repeat, calls)) / seconds


def _append(file: FileIO) -> None:
    file.write(APPENDED)
    os.fsync(file.fileno())


def _write_file(folder: Path, numbers: Iterator[int]) -> None:
    number = next(numbers)
    temporary = folder / f"writing-{number}"
    with temporary.open("wb") as file:
        file.write(APPENDED)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / f"file-{number}")
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _ledger(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE rows (digest TEXT)")
    return connection


def _commit(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO rows VALUES (?)", ("0" * 71,))
    connection.execute("COMMIT")
