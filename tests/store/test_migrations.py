"""Migrations: from nothing to the tables of the schema and back, on both engines, and refused where they are owed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, inspect

from store.engine import connect, for_writing
from store.errors import DatabaseNotCurrent, ModelExists
from store.history import History
from store.ledger import Ledger
from store.migrate import require_current, upgrade
from store.schema.columns import metadata
from store.values import Json
from tests.store.given import DESCRIPTION, ROOT, accept

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def alembic(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with for_writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def described(engine: Engine, name: str) -> Json:
    """The stored description, read with what every revision has."""
    models = sa.table("models", sa.column("name", sa.String), sa.column("description", sa.JSON))
    with engine.begin() as connection:
        found: Json = connection.execute(sa.select(models.c.description).where(models.c.name == name)).scalar_one()
        return found


def columns(engine: Engine) -> set[str]:
    return {column["name"] for column in inspect(engine).get_columns("models")}


def migrated_by_a_later_release(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")


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
    assert described(engine, "digits") == old

    upgrade(engine)

    description = History(engine).model("digits").description
    assert description == {
        **old,
        "recipe": {"epochs": 3, "seed": 5, "steps_least": 0, "shift_pixels": 0},
        "publish": "always",
        "gate": {"held_out": 0.2, "accuracy": 0.01, "nll": 0.1, "standard_errors": 1.0},
        "surprise": {"park": False, "threshold": 2.5},
        "predictions": {"keep": False, "seconds": 604800.0},
    }
    assert "recipe" not in History(engine).model("plain").description


def test_the_way_down_leaves_recipes_that_an_older_release_reads(engine: Engine) -> None:
    moving = {"recipe": {"epochs": 3, "steps_least": 9, "shift_pixels": 2}, "chunk": {"rows": 100, "seconds": None}}
    Ledger(engine).create_model("digits", moving, ROOT)

    alembic(engine, "0001")

    assert described(engine, "digits") == {**moving, "recipe": {"epochs": 3}}


def test_a_model_of_before_posted_descriptions_were_kept_is_compared_by_what_they_resolve_to(engine: Engine) -> None:
    ledger = Ledger(engine)
    posted = {"chunk": {"rows": 100}}
    first, _ = ledger.create_model("digits", DESCRIPTION, ROOT, posted=posted)
    accept(ledger, "a")
    alembic(engine, "0002")
    assert "posted" not in columns(engine)
    assert described(engine, "digits") == DESCRIPTION

    upgrade(engine)

    assert "posted" in columns(engine)
    old = History(engine).model("digits")
    assert (old.description, old.posted) == (first.description, None)
    assert History(engine).counters("digits").batches == 1
    assert ledger.create_model("digits", DESCRIPTION, ROOT, posted=posted) == (old, False)
    with pytest.raises(ModelExists):
        ledger.create_model("digits", {**DESCRIPTION, "family": "point"}, ROOT, posted=posted)


def test_a_database_that_was_never_migrated_is_refused(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'new.sqlite'}")
    with pytest.raises(DatabaseNotCurrent, match="posterity migrate"):
        require_current(engine)
    engine.dispose()


def test_a_database_that_a_later_release_has_migrated_is_refused_and_left_as_it_is(engine: Engine) -> None:
    migrated_by_a_later_release(engine)

    for refused in (require_current, upgrade):
        with pytest.raises(DatabaseNotCurrent, match=r"revision 9999, .* is newer than this program"):
            refused(engine)

    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == "9999"


def test_migrating_a_database_of_a_later_release_is_refused_in_one_line(engine: Engine, tmp_path: Path) -> None:
    migrated_by_a_later_release(engine)
    url = engine.url.render_as_string(hide_password=False)
    environment = os.environ | {"POSTERITY_DATABASE_URL": url, "POSTERITY_DATA_DIR": str(tmp_path)}

    command = [sys.executable, "-m", "store", "migrate"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "The database is newer than this program" in ended.stderr
