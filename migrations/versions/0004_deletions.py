"""Batches whose rows were given up, and digests whose bytes are gone.

Both are asked for by digest; what was learned from a chunk is found by way of the chunk and of parents.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deletions",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("deleted_by", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "batch"], ["batches.model_id", "batches.number"], name="fk_deletions_model_id_batch"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_deletions_model_id"),
        sa.PrimaryKeyConstraint("model_id", "batch", name="pk_deletions"),
    )
    op.create_table(
        "tombstones",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("buried_at", sa.Double(), nullable=False),
        sa.Column("removed_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_tombstones"),
    )
    is_unswept = sa.text("removed_at IS NULL")
    op.create_index(
        "ix_tombstones_unswept",
        "tombstones",
        ["buried_at"],
        sqlite_where=is_unswept,
        postgresql_where=is_unswept,
    )
    op.create_index("ix_batches_digest", "batches", ["digest"])
    op.create_index("ix_versions_digest", "versions", ["digest"])
    op.create_index("ix_versions_model_id_parent", "versions", ["model_id", "parent"])
    op.create_index("ix_versions_model_id_chunk", "versions", ["model_id", "chunk"])


def downgrade() -> None:
    """Of deleted rows nothing says any more that they are; an older release would report their bytes as missing."""
    op.drop_index("ix_versions_model_id_chunk", "versions")
    op.drop_index("ix_versions_model_id_parent", "versions")
    op.drop_index("ix_versions_digest", "versions")
    op.drop_index("ix_batches_digest", "batches")
    op.drop_index("ix_tombstones_unswept", "tombstones")
    op.drop_table("tombstones")
    op.drop_table("deletions")
