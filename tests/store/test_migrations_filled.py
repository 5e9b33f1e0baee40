"""Each migration, up and down, on a ledger full of rows, on both engines: nothing is lost that the tables can hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from store.doctor import examine
from store.engine import for_writing
from store.folder import Folder
from store.leases import Leases
from store.migrate import require_current
from tests.store.filled import RECIPE, fill

MIGRATIONS = Path(__file__).parents[2] / "migrations"
SCRIPTS = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
STEPS = list(zip(SCRIPTS[1:], SCRIPTS, strict=False))[::-1]
"""(before, after) of each migration but the first, the oldest first."""

SAID_LATER = {"recipe", "publish", "gate", "surprise", "predictions"}
PUT_BEFORE = {"forget", "hold"}
"""Kinds of moves that releases before forgets do not know; to them somebody put the alias there."""

Row = dict[str, Any]
Tables = dict[str, list[Row]]


def migrate(engine: Engine, revision: str, how: Callable[[Config, str], None]) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with for_writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        how(config, revision)


def contents(engine: Engine) -> Tables:
    """Every row of every table, read with the columns that the database has now."""
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        return {
            name: sorted((dict(row._mapping) for row in connection.execute(sa.select(table))), key=repr)
            for name, table in metadata.tables.items()
            if name != "alembic_version"
        }


def common(tables: Tables, others: Tables) -> Tables:
    """What of the tables the others have a place for."""
    return {
        name: sorted(({column: row[column] for column in row if column in others[name][0]} for row in rows), key=repr)
        for name, rows in tables.items()
        if others.get(name)
    }


def without_defaults(tables: Tables) -> Tables:
    """Migrations 0002 and 0013 write into descriptions what models did before they could say it; 0008, into moves."""
    for row in tables["moves"]:
        row["kind"] = "put" if row["kind"] in PUT_BEFORE else row["kind"]
    for row in tables["models"]:
        row["description"] = {name: value for name, value in row["description"].items() if name not in SAID_LATER}
    return tables


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def full(engine: Engine, folder: Path) -> Engine:
    fill(engine, folder)
    assert all(contents(engine).values()), "some table has no row: a migration of it would be tested on nothing"
    assert examine(engine, Folder(folder)).wrong == ()
    return engine


@pytest.fixture
def of_before(engine: Engine, folder: Path) -> Engine:
    """What releases held whose versions learned from whole chunks."""
    fill(engine, folder, is_of_before=True)
    return engine


@pytest.mark.parametrize(("before", "after"), STEPS)
def test_a_migration_keeps_every_row_that_is_there(full: Engine, before: str, after: str) -> None:
    migrate(full, before, command.downgrade)
    old = contents(full)

    migrate(full, after, command.upgrade)

    new = contents(full)
    assert common(without_defaults(new), old) == common(without_defaults(old), new)
    assert [len(new[name]) for name in old] == [len(rows) for rows in old.values()]


@pytest.mark.parametrize(("before", "after"), STEPS)
def test_the_way_back_keeps_every_row_that_the_older_tables_hold(full: Engine, before: str, after: str) -> None:
    migrate(full, after, command.downgrade) if after != SCRIPTS[0] else None
    new = contents(full)

    migrate(full, before, command.downgrade)

    old = contents(full)
    assert common(without_defaults(old), new) == common(without_defaults(new), old)
    assert [len(rows) for rows in old.values()] == [len(new[name]) for name in old]


def test_the_way_down_leaves_kinds_of_moves_that_releases_before_forgets_read(full: Engine) -> None:
    assert {row["kind"] for row in contents(full)["moves"]} >= PUT_BEFORE

    migrate(full, "0007", command.downgrade)

    assert {row["kind"] for row in contents(full)["moves"]} == {"create", "publish", "put", "rollback", "remove"}


@pytest.mark.parametrize("oldest", SCRIPTS[1:])
def test_a_ledger_of_any_release_goes_on_after_its_upgrade(of_before: Engine, folder: Path, oldest: str) -> None:
    migrate(of_before, oldest, command.downgrade)

    migrate(of_before, "head", command.upgrade)

    require_current(of_before)
    wrong = [sentence for sentence in examine(of_before, Folder(folder)).wrong if "digits: batch 1" not in sentence]
    # Of rows that were deleted, tables of before deletions do not say so.
    assert wrong == []
    claim = Leases(of_before, lease_seconds=15.0, attempts_max=1, retry_seconds=0.0).claim("worker")
    assert claim is not None
    assert (claim.model, claim.prior, claim.description["recipe"]) == ("letters", 1, _recipe_of(oldest))
    if oldest >= "0004":
        names = {index["name"] for index in inspect(of_before).get_indexes("versions")}
        assert "ix_versions_model_id_parent" in names


def _recipe_of(revision: str) -> Row:
    """Before 0002 no recipe could say what it does of the two, and does nothing of them after."""
    return RECIPE if revision >= "0002" else RECIPE | {"steps_least": 0, "shift_pixels": 0}
