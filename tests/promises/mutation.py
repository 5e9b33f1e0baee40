"""Takes a guard out of the ledger: out of its running code, or out of its database."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine

from tests.conftest import ENGINES

Edit = tuple[Callable[..., Any], str, str]
"""A function, words that occur in it once, and what stands there instead."""

RUNNING = "uq_updates_running"
KEY = "uq_batches_model_id_key"
MOVES = "pk_moves"
BORN = "uq_versions_model_id_update"
LABELS = "pk_labels"
FORGETS = "uq_forgets_running"
BRANCH = "uq_versions_branch"
INDICES = (RUNNING, FORGETS, BRANCH)
TABLES = {KEY: "batches", MOVES: "moves", BORN: "versions", LABELS: "labels"}


@dataclass(frozen=True)
class Mutant:
    """The ledger without a guard."""

    without: str
    edits: tuple[Edit, ...] = ()
    dropped: tuple[str, ...] = ()
    """Constraints and indices of the database, by name."""
    directed: str = ""
    """The story or the meeting that the guard is for."""
    covered_by: str = ""
    """Why the random walk, one call after another, cannot notice; empty: it has to."""
    leaves: Literal["sound", "wrong", ""] = ""
    """What the directed check leaves: sound books, as another layer refuses; or wrong ones, as none is left."""
    engines: tuple[str, ...] = ENGINES

    @contextmanager
    def taken_out(self, of: Engine) -> Iterator[None]:
        """The guard is gone: from the code until the end of the context, from this database for good."""
        for name in self.dropped:
            drop(of, name)
        with ExitStack() as stack:
            for function in {edit[0] for edit in self.edits}:
                stack.enter_context(_edited(function, [edit[1:] for edit in self.edits if edit[0] is function]))
            yield


@contextmanager
def _edited(function: Callable[..., Any], replacements: list[tuple[str, str]]) -> Iterator[None]:
    source = textwrap.dedent(inspect.getsource(function))
    for words, instead in replacements:
        assert source.count(words) == 1, f"{function.__qualname__} has {words!r} {source.count(words)} times, not once"
        source = source.replace(words, instead)
    defined: dict[str, Any] = {}
    code = compile(f"from __future__ import annotations\n{source}", function.__code__.co_filename, "exec")
    exec(code, function.__globals__, defined)  # noqa: S102 - our own source, with a guard taken out
    original = function.__code__
    # The function stays the same object, so everyone who imported it has it without the guard.
    function.__code__ = defined[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = original


def drop(of: Engine, name: str) -> None:
    """The database, whose tables are empty, is without this constraint or index."""
    with of.connect() as connection:
        if name in INDICES:
            connection.exec_driver_sql(f"DROP INDEX {name}")
        elif of.dialect.name == "postgresql":
            connection.exec_driver_sql(f"ALTER TABLE {TABLES[name]} DROP CONSTRAINT {name}")
        else:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN")
            table = TABLES[name]
            written = f"SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '{table}'"  # noqa: S608 - ours
            sql = str(connection.exec_driver_sql(written).scalar_one())
            loose, count = re.subn(rf",\s*CONSTRAINT {name} [A-Z ]+ \([^)]*\)", "", sql)
            assert count == 1, sql
            connection.exec_driver_sql(f"DROP TABLE {table}")
            connection.exec_driver_sql(loose)
        connection.commit()
    of.dispose()
