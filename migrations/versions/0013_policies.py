"""Stored descriptions say what was done before descriptions could say it: publish always, park nothing, keep nothing.

So a model is the same whether it is compared with a description of before or of now.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

LATER = {
    "publish": "always",
    "gate": {"held_out": 0.2, "accuracy": 0.01, "nll": 0.1, "standard_errors": 1.0},
    "surprise": {"park": False, "threshold": 2.5},
    "predictions": {"keep": False, "seconds": 604800.0},
}

models = sa.table("models", sa.column("id", sa.Integer), sa.column("description", sa.JSON))


def upgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(models.c.id, models.c.description)).all():
        if "recipe" in row.description:
            description = {**LATER, **row.description}
            connection.execute(models.update().where(models.c.id == row.id).values(description=description))


def downgrade() -> None:
    """An older release publishes always, and reads no such fields."""
    connection = op.get_bind()
    for row in connection.execute(sa.select(models.c.id, models.c.description)).all():
        description = {name: value for name, value in row.description.items() if name not in LATER}
        connection.execute(models.update().where(models.c.id == row.id).values(description=description))
