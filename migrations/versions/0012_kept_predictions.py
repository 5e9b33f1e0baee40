"""Predictions that are kept for a time, and the labels that came for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("inputs", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("predicted_by", sa.String(length=255), nullable=False),
        sa.Column("predicted_at", sa.Double(), nullable=False),
        sa.Column("kept_until", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_predictions_model_id"),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
    )
    op.create_index("ix_predictions_model_id_predicted_at", "predictions", ["model_id", "predicted_at"])
    op.create_index("ix_predictions_kept_until", "predictions", ["kept_until"])
    op.create_table(
        "labels",
        sa.Column("prediction", sa.String(length=64), nullable=False),
        sa.Column("row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.JSON(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("batch_row", sa.Integer(), nullable=False),
        sa.Column("labeled_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "batch"], ["batches.model_id", "batches.number"], name="fk_labels_model_id_batch"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_labels_model_id"),
        sa.PrimaryKeyConstraint("prediction", "row", name="pk_labels"),
    )
    op.create_index("ix_labels_model_id_batch", "labels", ["model_id", "batch"])


def downgrade() -> None:
    """The rows that labels have made stay in their batches; labels that come later find nothing."""
    op.drop_table("labels")
    op.drop_table("predictions")
