"""Lines that are learned anew without some batches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

moves = sa.table("moves", sa.column("kind", sa.String))


def upgrade() -> None:
    op.create_table(
        "forgets",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batches", sa.JSON(), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("head_seq", sa.Integer(), nullable=False),
        sa.Column("head", sa.Integer(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("asked_by", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint("state IN ('running', 'done', 'failed', 'cancelled')", name="ck_forgets_state_known"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_forgets_model_id"),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_forgets"),
    )
    is_running = sa.text("state = 'running'")
    op.create_index(
        "uq_forgets_running",
        "forgets",
        ["model_id"],
        unique=True,
        sqlite_where=is_running,
        postgresql_where=is_running,
    )
    op.add_column("updates", sa.Column("forget", sa.Integer(), nullable=True))
    op.create_index("ix_updates_model_id_forget", "updates", ["model_id", "forget"])


def downgrade() -> None:
    """An older release would absorb what is still queued of a forget into head: finish them before.

    It knows no move by a forget, nor one of a challenger that was held back: to it, somebody put the alias there.
    """
    op.execute(sa.update(moves).where(moves.c.kind.in_(("forget", "hold"))).values(kind="put"))
    op.drop_index("ix_updates_model_id_forget", "updates")
    op.drop_column("updates", "forget")
    op.drop_index("uq_forgets_running", "forgets")
    op.drop_table("forgets")
