"""Takes each guard of the ledger out, and says what noticed: `python -m tests.promises.mutate` prints the table.

The random walk is tried, but where a guard is covered by another layer or only met by calls at the same moment; and the
check that brings about what the guard is for. `--write` keeps the table in benchmarks/results/promises.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis.errors import HypothesisException
from sqlalchemy import Engine

from benchmarks import record
from tests.conftest import ENGINES
from tests.promises.aside_stories import ASIDE_STORIES
from tests.promises.ledger_books import look
from tests.promises.machine import SEED, STEPS, keep, migrated, walk
from tests.promises.meetings import MEETINGS
from tests.promises.mutants import MUTANTS, ROW_LOCK, WRITE_LOCK
from tests.promises.mutation import Mutant
from tests.promises.stories import STORIES

EXAMPLES = 20
CHECKS = STORIES | ASIDE_STORIES | MEETINGS
WALK = "the random walk"
MOMENT_SECONDS, PATIENCE_SECONDS = 0.3, 10.0
"""For a second call that a lock keeps waiting anyway, and for one that none keeps any more."""
WORDS_MAX = 120


@dataclass(frozen=True)
class Notice:
    """Who noticed that a guard was gone, by what, and what was wrong with the books then."""

    by: str
    error: str
    wrong: list[str]


def notices(mutant: Mutant, engine: Engine, *, examples: int = EXAMPLES) -> list[Notice]:
    """Who notices that the guard is gone. Its constraints are gone from this database afterwards.

    `examples` of the random walk are tried, where nothing covers the guard; then the check that is about it.
    """
    tried: dict[str, Callable[[], object]] = {}
    if examples and not mutant.covered_by:
        tried[WALK] = lambda: walk(engine, examples=examples, steps=STEPS, seed_=SEED, shrinks=False)
    tried[mutant.directed] = lambda: CHECKS[mutant.directed](engine, patience_without(mutant))
    found = []
    with mutant.taken_out(engine):
        for name, try_ in tried.items():
            try:
                try_()
            except HypothesisException:
                raise
            except Exception as error:  # noqa: BLE001 - whatever the ledger breaks with is noticed
                found.append(Notice(name, _words(error), look(engine).wrong))
    return found


def patience_without(mutant: Mutant) -> float:
    """How long the first of two calls at the same moment waits for the second."""
    # PostgreSQL ends the wait for a lock after 10 s: whoever is let wait as long may not be second, but refused.
    return PATIENCE_SECONDS if {ROW_LOCK, WRITE_LOCK} & set(mutant.edits) else MOMENT_SECONDS


def _words(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:WORDS_MAX]


def main() -> int:
    """How many mutants nothing noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of the random walk, for each mutant")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="both, if left out")
    parser.add_argument("--write", action="store_true", help="keep the table")
    given = parser.parse_args()
    rows = [
        (mutant, kind, found(mutant, kind, examples=given.examples))
        for kind in given.engine or ENGINES
        for mutant in MUTANTS
        if kind in mutant.engines
    ]
    if given.write:
        table = [
            {
                "without": mutant.without,
                "engine": kind,
                "covered_by": mutant.covered_by,
                "noticed_by": {one.by: one.error for one in seen},
            }
            for mutant, kind, seen in rows
        ]
        what = "the ledger without one of its guards, and who noticed: the random walk, or a check on purpose"
        counted = {"mutants": len(rows), "unnoticed": sum(not seen for _, _, seen in rows)}
        figures = {"what": what, "examples": given.examples, "seed": SEED, **record.surroundings()}
        keep("ledger_mutants", {**figures, **counted, "table": table})
    return sum(not seen for _, _, seen in rows)


def found(mutant: Mutant, kind: str, *, examples: int) -> list[Notice]:
    """As `notices`, on a database of its own; the line of the table is printed."""
    with migrated(kind) as engine:
        seen = notices(mutant, engine, examples=examples)
    sys.stdout.write(line(mutant, kind, seen) + "\n")
    sys.stdout.flush()
    return seen


def line(mutant: Mutant, kind: str, seen: list[Notice]) -> str:
    """One line of the table, wide."""
    by = "; ".join(f"{one.by} ({one.error})" for one in seen) or "NOTHING"
    return f"{kind:10}  without {mutant.without:60}  {by}"


if __name__ == "__main__":
    sys.exit(main())
