"""Every guard of the ledger is taken out once, and is missed: by the random walk, or by the check that is about it.

`python -m tests.promises.mutate` prints the table: each guard, each engine, who noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from store.engine import connect
from store.migrate import upgrade
from tests.conftest import ENGINES
from tests.postgres import PostgresServer
from tests.promises.mutants import MUTANTS
from tests.promises.mutate import CHECKS, WALK, line, notices
from tests.promises.mutation import Mutant

EXAMPLES = {"sqlite": 4, "postgresql": 0}
"""Of the random walk for each mutant: its rules, and so what it notices, are the same on both engines."""
PATIENCE_SECONDS = 0.3


@pytest.fixture(scope="module")
def engines(postgres: PostgresServer, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """One database of each kind, for all checks that leave its tables as they are."""
    kept: dict[str, Engine] = {}
    yield lambda kind: kept.setdefault(kind, connect(a_database(kind, postgres, migrated, tmp_path_factory)))
    for engine in kept.values():
        engine.dispose()


def a_database(kind: str, postgres: PostgresServer, migrated: str, folders: pytest.TempPathFactory) -> str:
    """The URL of a migrated database of its own."""
    if kind == "postgresql":
        return postgres.create_database(template=migrated)
    url = f"sqlite:///{folders.mktemp('ledger') / Path('ledger.sqlite')}"
    engine = connect(url)
    upgrade(engine)
    engine.dispose()
    return url


Engines = Callable[[str], Engine]


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """The lines of the table, printed at the end."""
    lines: list[str] = []
    yield lines
    print("\n" + "\n".join(lines))  # noqa: T201


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("check", CHECKS)
def test_with_every_guard_in_place_each_check_passes(kind: str, check: str, engines: Engines) -> None:
    CHECKS[check](engines(kind), PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("mutant", "kind"),
    [pytest.param(one, kind, id=f"{one.without}-{kind}") for one in MUTANTS for kind in one.engines],
)
def test_a_guard_that_was_taken_out_is_missed(
    mutant: Mutant, kind: str, request: pytest.FixtureRequest, table: list[str]
) -> None:
    engine = a_loose_one(kind, request) if mutant.dropped else request.getfixturevalue("engines")(kind)

    found = notices(mutant, engine, examples=EXAMPLES[kind])

    table.append(line(mutant, kind, found))
    by = {one.by: one for one in found}
    assert mutant.directed in by
    match mutant.leaves:
        case "sound":
            assert by[mutant.directed].wrong == [], "another layer should have refused"
        case "wrong":
            assert by[mutant.directed].wrong != [], "nothing is left that could have refused"
    CHECKS[mutant.directed](request.getfixturevalue("engines")(kind), PATIENCE_SECONDS)


def a_loose_one(kind: str, request: pytest.FixtureRequest) -> Engine:
    """A database of its own, which loses a constraint."""
    postgres, migrated = request.getfixturevalue("postgres"), request.getfixturevalue("migrated")
    engine = connect(a_database(kind, postgres, migrated, request.getfixturevalue("tmp_path_factory")))
    request.addfinalizer(engine.dispose)
    return engine


def test_most_guards_are_missed_by_the_random_walk_too(table: list[str]) -> None:
    """On SQLite, of those that it can meet; in a longer walk they all are."""
    met = [mutant for mutant in MUTANTS if not mutant.covered_by]
    noticed = [one for one in table if one.startswith("sqlite") and WALK in one]

    assert len(noticed) >= len(met) / 2, "\n".join(table)


def test_every_check_is_about_a_guard() -> None:
    assert {mutant.directed for mutant in MUTANTS} == set(CHECKS)
