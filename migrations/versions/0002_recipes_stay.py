"""Stored recipes say that they do nothing of what recipes could not do when they were chosen.

What a description leaves out is completed by the automatic recipe, and an old model would learn in a new way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Recipe = dict[str, Any]

LATER: Recipe = {"steps_least": 0, "shift_pixels": 0}

models = sa.table("models", sa.column("id", sa.Integer), sa.column("description", sa.JSON))


def upgrade() -> None:
    _rewrite(lambda recipe: {**LATER, **recipe})


def downgrade() -> None:
    """Recipes no longer speak of it, and do it no more."""
    _rewrite(lambda recipe: {name: value for name, value in recipe.items() if name not in LATER})


def _rewrite(change: Callable[[Recipe], Recipe]) -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(models.c.id, models.c.description)).all():
        if "recipe" in row.description:
            description = {**row.description, "recipe": change(row.description["recipe"])}
            connection.execute(models.update().where(models.c.id == row.id).values(description=description))
