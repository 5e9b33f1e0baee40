"""`make check` compares the migrations with the schema on both engines, and notices when they part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Integer, Table

from store.schema.columns import metadata
from tests import schema


@pytest.fixture
def forgotten_table() -> Iterator[None]:
    table = Table("forgotten", metadata, Column("id", Integer, primary_key=True))
    yield
    metadata.remove(table)


def test_migrations_and_schema_agree_on_both_engines(capsys: pytest.CaptureFixture[str]) -> None:
    assert schema.main() == 0

    assert capsys.readouterr().out.endswith("Migrations and schema agree on SQLite and PostgreSQL.\n")


@pytest.mark.usefixtures("forgotten_table")
def test_a_table_without_a_migration_is_named_for_each_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert schema.main() == 1

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if "forgotten" in line] == ["sqlite", "postgresql"]
