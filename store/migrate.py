"""The database's migrations, run by Alembic from the folder migrations/."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from store.engine import for_writing
from store.errors import DatabaseNotCurrent


def upgrade(engine: Engine) -> None:
    """The database has the tables of this release; all of the step is one transaction."""
    with for_writing(engine).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(engine: Engine) -> None:
    """Nothing happens when the database has the tables of this release.

    Raises:
        DatabaseNotCurrent: it has older or newer ones, or none.
    """
    needed = ScriptDirectory.from_config(_config()).get_current_head()
    with engine.begin() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != needed:
        raise DatabaseNotCurrent(found=found or "none", needed=needed)


def _config() -> Config:
    # Found without being imported: the migrations import the store, not the other way round.
    spec = find_spec("migrations")
    assert spec is not None
    assert spec.origin is not None
    config = Config()
    config.set_main_option("script_location", str(Path(spec.origin).parent).replace("%", "%%"))
    return config
