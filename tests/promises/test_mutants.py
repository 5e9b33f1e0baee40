"""Every guard of the ledger is taken out once, and is missed: by the random walk, or by the check that is about it.

`python -m tests.promises.mutate` prints the table: each guard, each engine, who noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import pytest
from sqlalchemy import Engine

from store.engine import close, connect
from store.migrate import upgrade
from tests.conftest import ENGINES
from tests.postgres import PostgresServer
from tests.promises.mutants import MUTANTS
from tests.promises.mutate import CHECKS, MOMENT_SECONDS, WALK, line, notices
from tests.promises.mutation import Mutant

EXAMPLES = {"sqlite": 6, "postgresql": 0}
"""Of the random walk for each mutant: its rules, and so what it notices, are the same on both engines.

By ten seeds so many noticed 64 to 83 percent of what a walk can meet; half of it is asked for. A seed gives one walk
only while the code that is loaded has the same numbers in it: Hypothesis draws some of those.
"""

Databases = Callable[[str], AbstractContextManager[Engine]]
"""A migrated database of its own, by the kind of its engine."""


@pytest.fixture(scope="module")
def databases(postgres: PostgresServer, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    @contextmanager
    def opened(kind: str) -> Iterator[Engine]:
        if kind == "postgresql":
            url = postgres.create_database(template=migrated)
        else:
            url = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.sqlite'}"
        engine = connect(url)
        try:
            if kind == "sqlite":
                upgrade(engine)
            yield engine
        finally:
            close(engine)
            if kind == "postgresql":
                postgres.drop_database(url)

    return opened


@pytest.fixture(scope="module")
def engines(databases: Databases) -> Iterator[Mapping[str, Engine]]:
    """One database of each kind, for all checks that leave its tables as they are."""
    with ExitStack() as kept:
        yield {kind: kept.enter_context(databases(kind)) for kind in ENGINES}


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """The lines of the table, printed at the end."""
    lines: list[str] = []
    yield lines
    print("\n" + "\n".join(lines))  # noqa: T201


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("check", CHECKS)
def test_with_every_guard_in_place_each_check_passes(kind: str, check: str, engines: Mapping[str, Engine]) -> None:
    CHECKS[check](engines[kind], MOMENT_SECONDS)


@pytest.mark.parametrize(
    ("mutant", "kind"),
    [pytest.param(one, kind, id=f"{one.without}-{kind}") for one in MUTANTS for kind in one.engines],
)
def test_a_guard_that_was_taken_out_is_missed(
    mutant: Mutant, kind: str, engines: Mapping[str, Engine], databases: Databases, table: list[str]
) -> None:
    with databases(kind) if mutant.dropped else nullcontext(engines[kind]) as engine:
        found = notices(mutant, engine, examples=EXAMPLES[kind])

    table.append(line(mutant, kind, found))
    by = {one.by: one for one in found}
    assert mutant.directed in by
    match mutant.leaves:
        case "sound":
            assert by[mutant.directed].wrong == [], "another layer should have refused"
        case "wrong":
            assert by[mutant.directed].wrong != [], "nothing is left that could have refused"


def test_most_guards_are_missed_by_the_random_walk_too(table: list[str]) -> None:
    """On SQLite, of those that it can meet; in a longer walk they all are."""
    met = [mutant for mutant in MUTANTS if not mutant.covered_by]
    noticed = [one for one in table if one.startswith("sqlite") and WALK in one]

    assert len(noticed) > len(met) / 2, "\n".join(table)


def test_every_check_is_about_a_guard() -> None:
    assert {mutant.directed for mutant in MUTANTS} == set(CHECKS)
