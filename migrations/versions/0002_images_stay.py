"""Stored recipes say that they move no images, as none did when they were chosen.

A description that leaves `shift_pixels` out would be completed by the automatic recipe, and an old model would learn in
a new way.
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

models = sa.table("models", sa.column("id", sa.Integer), sa.column("description", sa.JSON))


def upgrade() -> None:
    _rewrite(lambda recipe: {"shift_pixels": 0, **recipe})


def downgrade() -> None:
    """Recipes no longer speak of shifts; those that moved images do so no more."""
    _rewrite(lambda recipe: {name: value for name, value in recipe.items() if name != "shift_pixels"})


def _rewrite(change: Callable[[Recipe], Recipe]) -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(models.c.id, models.c.description)).all():
        if "recipe" in row.description:
            description = {**row.description, "recipe": change(row.description["recipe"])}
            connection.execute(models.update().where(models.c.id == row.id).values(description=description))
