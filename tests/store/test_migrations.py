"""Migrations: from nothing to the tables of the schema and back, on both engines, and refused where they are owed."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, inspect

from store.engine import connect, for_writing
from store.errors import DatabaseNotCurrent
from store.history import History
from store.ledger import Ledger
from store.migrate import require_current, upgrade
from store.schema import metadata
from tests.store.given import ROOT

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def alembic(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with for_writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_the_migrations_make_the_tables_of_the_schema(engine: Engine) -> None:
    assert set(inspect(engine).get_table_names()) == {*metadata.tables, "alembic_version"}
    require_current(engine)


def test_a_second_upgrade_changes_nothing(engine: Engine) -> None:
    upgrade(engine)
    require_current(engine)


def test_the_way_down_leaves_nothing_and_the_way_up_works_again(engine: Engine) -> None:
    alembic(engine, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    with pytest.raises(DatabaseNotCurrent, match="revision none"):
        require_current(engine)

    upgrade(engine)
    require_current(engine)


def test_a_model_of_before_images_could_be_moved_goes_on_moving_none(engine: Engine) -> None:
    old = {"family": "ffg", "recipe": {"epochs": 3, "seed": 5}, "chunk": {"rows": 100, "seconds": None}}
    Ledger(engine).create_model("plain", {"family": "ffg", "chunk": {"rows": 100, "seconds": None}}, ROOT)
    Ledger(engine).create_model("digits", old, ROOT)
    alembic(engine, "0001")
    assert History(engine).model("digits").description == old

    upgrade(engine)

    description = History(engine).model("digits").description
    assert description == {**old, "recipe": {"epochs": 3, "seed": 5, "shift_pixels": 0}}
    assert "recipe" not in History(engine).model("plain").description


def test_the_way_down_leaves_recipes_that_an_older_release_reads(engine: Engine) -> None:
    described = {"recipe": {"epochs": 3, "shift_pixels": 2}, "chunk": {"rows": 100, "seconds": None}}
    Ledger(engine).create_model("digits", described, ROOT)

    alembic(engine, "0001")

    assert History(engine).model("digits").description == {**described, "recipe": {"epochs": 3}}


def test_a_database_that_was_never_migrated_is_refused(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'new.sqlite'}")
    with pytest.raises(DatabaseNotCurrent, match="posterity migrate"):
        require_current(engine)
    engine.dispose()
