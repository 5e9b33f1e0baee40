"""The database's migrations, run by Alembic from the folder migrations/."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from store.engine import for_writing
from store.errors import DatabaseNotCurrent


def upgrade(engine: Engine) -> None:
    """The database has the tables of this release; all of the step is one transaction.

    Raises:
        DatabaseNotCurrent: a later release has migrated it.
    """
    with for_writing(engine).begin() as connection:
        config = _config()
        _revision(connection, ScriptDirectory.from_config(config))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(engine: Engine) -> None:
    """Nothing happens when the database has the tables of this release.

    Raises:
        DatabaseNotCurrent: it has older or newer ones, or none.
    """
    scripts = ScriptDirectory.from_config(_config())
    needed = scripts.get_current_head()
    with engine.begin() as connection:
        found = _revision(connection, scripts)
    if found != needed:
        raise DatabaseNotCurrent(found=found or "none", needed=needed, advice=DatabaseNotCurrent.OLDER)


def _revision(connection: Connection, scripts: ScriptDirectory) -> str | None:
    """What the database is at; None where it was never migrated.

    Raises:
        DatabaseNotCurrent: this release does not know the revision.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        needed = scripts.get_current_head()
        raise DatabaseNotCurrent(found=found, needed=needed, advice=DatabaseNotCurrent.NEWER)
    return found


def _config() -> Config:
    # Found without being imported: the migrations import the store, not the other way round.
    spec = find_spec("migrations")
    assert spec is not None
    assert spec.origin is not None
    config = Config()
    config.set_main_option("script_location", str(Path(spec.origin).parent).replace("%", "%%"))
    return config
