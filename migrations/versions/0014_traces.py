"""A batch says which span accepted it, where requests are traced: the update that learns from it is linked to that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("traceparent", sa.String(length=55), nullable=True))


def downgrade() -> None:
    """Updates of batches that were traced begin traces of their own."""
    op.drop_column("batches", "traceparent")
