"""Models remember their description as it was posted; of those from before, NULL says that nobody knows it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("posted", sa.JSON(), nullable=True))


def downgrade() -> None:
    # Not in batch mode: SQLite would make the table anew, and cannot drop the old one, which other tables refer to.
    op.drop_column("models", "posted")
