"""Batches that are set aside: what was decided about them, and which updates leave them out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "parkings",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("decided_by", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "batch"], ["batches.model_id", "batches.number"], name="fk_parkings_model_id_batch"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_parkings_model_id"),
        sa.PrimaryKeyConstraint("model_id", "batch", "seq", name="pk_parkings"),
    )
    op.create_table(
        "omissions",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("update", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batch", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "batch"], ["batches.model_id", "batches.number"], name="fk_omissions_model_id_batch"
        ),
        sa.ForeignKeyConstraint(
            ["model_id", "update"], ["updates.model_id", "updates.number"], name="fk_omissions_model_id_update"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_omissions_model_id"),
        sa.PrimaryKeyConstraint("model_id", "update", "batch", name="pk_omissions"),
    )


def downgrade() -> None:
    """An older release counts a version's whole chunk as learned."""
    op.drop_table("omissions")
    op.drop_table("parkings")
