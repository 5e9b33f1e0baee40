"""How versions predicted batches before they were learned from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scores",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("update", sa.Integer(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=True),
        sa.Column("surprise", sa.JSON(), nullable=True),
        sa.Column("scored_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "batch"], ["batches.model_id", "batches.number"], name="fk_scores_model_id_batch"
        ),
        sa.ForeignKeyConstraint(
            ["model_id", "version"], ["versions.model_id", "versions.number"], name="fk_scores_model_id_version"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_scores_model_id"),
        sa.PrimaryKeyConstraint("model_id", "batch", "version", name="pk_scores"),
    )
    op.create_index("ix_scores_model_id_update", "scores", ["model_id", "update"])


def downgrade() -> None:
    """The scores of whole chunks stay in the reports of the versions."""
    op.drop_table("scores")
