"""The six tables of the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("description", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name", name="uq_models_name"),
    )
    op.create_table(
        "batches",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("label_counts", sa.JSON(), nullable=False),
        sa.Column("accepted_at", sa.Double(), nullable=False),
        sa.CheckConstraint("rows > 0", name="ck_batches_rows_positive"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_batches_model_id"),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_batches"),
        sa.UniqueConstraint("model_id", "key", name="uq_batches_model_id_key"),
    )
    op.create_table(
        "chunks",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batch_first", sa.Integer(), nullable=False),
        sa.Column("batch_last", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("closed_at", sa.Double(), nullable=False),
        sa.CheckConstraint("batch_last >= batch_first", name="ck_chunks_range_not_empty"),
        sa.ForeignKeyConstraint(
            ["model_id", "batch_first"], ["batches.model_id", "batches.number"], name="fk_chunks_model_id_batch_first"
        ),
        sa.ForeignKeyConstraint(
            ["model_id", "batch_last"], ["batches.model_id", "batches.number"], name="fk_chunks_model_id_batch_last"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_chunks_model_id"),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_chunks"),
        sa.UniqueConstraint("model_id", "batch_first", name="uq_chunks_model_id_batch_first"),
    )
    op.create_table(
        "versions",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parent", sa.Integer(), nullable=True),
        sa.Column("chunk", sa.Integer(), nullable=True),
        sa.Column("update", sa.Integer(), nullable=True),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("kl_nats", sa.Double(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint("parent IS NULL OR parent < number", name="ck_versions_parent_is_earlier"),
        sa.ForeignKeyConstraint(
            ["model_id", "chunk"], ["chunks.model_id", "chunks.number"], name="fk_versions_model_id_chunk"
        ),
        sa.ForeignKeyConstraint(
            ["model_id", "parent"], ["versions.model_id", "versions.number"], name="fk_versions_model_id_parent"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_versions_model_id"),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_versions"),
        sa.UniqueConstraint("model_id", "update", name="uq_versions_model_id_update"),
    )
    op.create_table(
        "moves",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("moved_by", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "version"], ["versions.model_id", "versions.number"], name="fk_moves_model_id_version"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_moves_model_id"),
        sa.PrimaryKeyConstraint("model_id", "alias", "seq", name="pk_moves"),
    )
    op.create_table(
        "updates",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("prior", sa.Integer(), nullable=True),
        sa.Column("owner", sa.String(length=255), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("not_before", sa.Double(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("steps", sa.Integer(), nullable=True),
        sa.Column("elbo", sa.Double(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'published', 'failed', 'cancelled')", name="ck_updates_state_known"
        ),
        sa.ForeignKeyConstraint(
            ["model_id", "chunk"], ["chunks.model_id", "chunks.number"], name="fk_updates_model_id_chunk"
        ),
        sa.ForeignKeyConstraint(
            ["model_id", "prior"], ["versions.model_id", "versions.number"], name="fk_updates_model_id_prior"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_updates_model_id"),
        sa.PrimaryKeyConstraint("model_id", "number", name="pk_updates"),
    )
    op.create_index("ix_updates_state", "updates", ["state"])
    is_running = sa.text("state = 'running'")
    op.create_index(
        "uq_updates_running",
        "updates",
        ["model_id"],
        unique=True,
        sqlite_where=is_running,
        postgresql_where=is_running,
    )


def downgrade() -> None:
    op.drop_table("updates")
    op.drop_table("moves")
    op.drop_table("versions")
    op.drop_table("chunks")
    op.drop_table("batches")
    op.drop_table("models")
