"""The tables of the ledger. This is the only file, beside the migrations, that names columns."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

UPDATE_STATES = ("queued", "running", "published", "failed", "cancelled")


def _model_id() -> Column[int]:
    return Column("model_id", Integer, ForeignKey("models.id"), primary_key=True)


def _number(name: str = "number") -> Column[int]:
    return Column(name, Integer, primary_key=True, autoincrement=False)


models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("description", JSON, nullable=False),
    Column("posted", JSON(none_as_null=True)),
    Column("created_at", Double, nullable=False),
)

batches = Table(
    "batches",
    metadata,
    _model_id(),
    _number(),
    Column("key", String(255), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("label_counts", JSON, nullable=False),
    Column("accepted_at", Double, nullable=False),
    UniqueConstraint("model_id", "key"),
    CheckConstraint("rows > 0", name="rows_positive"),
    Index("ix_batches_digest", "digest"),
)

# A chunk is a range of batches, so a batch is in one chunk at most by construction.
chunks = Table(
    "chunks",
    metadata,
    _model_id(),
    _number(),
    Column("batch_first", Integer, nullable=False),
    Column("batch_last", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("reason", String(16), nullable=False),
    Column("closed_at", Double, nullable=False),
    UniqueConstraint("model_id", "batch_first"),
    CheckConstraint("batch_last >= batch_first", name="range_not_empty"),
    ForeignKeyConstraint(["model_id", "batch_first"], ["batches.model_id", "batches.number"]),
    ForeignKeyConstraint(["model_id", "batch_last"], ["batches.model_id", "batches.number"]),
)

updates = Table(
    "updates",
    metadata,
    _model_id(),
    _number(),
    Column("chunk", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("prior", Integer),
    Column("owner", String(255)),
    Column("lease_until", Double),
    Column("not_before", Double),
    Column("step", Integer),
    Column("steps", Integer),
    Column("elbo", Double),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    ForeignKeyConstraint(["model_id", "chunk"], ["chunks.model_id", "chunks.number"]),
    ForeignKeyConstraint(["model_id", "prior"], ["versions.model_id", "versions.number"]),
    CheckConstraint("state IN ('queued', 'running', 'published', 'failed', 'cancelled')", name="state_known"),
    Index(
        "uq_updates_running",
        "model_id",
        unique=True,
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
    Index("ix_updates_state", "state"),
)

versions = Table(
    "versions",
    metadata,
    _model_id(),
    _number(),
    Column("parent", Integer),
    Column("chunk", Integer),
    Column("update", Integer),
    Column("digest", String(71), nullable=False),
    Column("kl_nats", Double, nullable=False),
    Column("report", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("model_id", "update"),
    ForeignKeyConstraint(["model_id", "parent"], ["versions.model_id", "versions.number"]),
    ForeignKeyConstraint(["model_id", "chunk"], ["chunks.model_id", "chunks.number"]),
    CheckConstraint("parent IS NULL OR parent < number", name="parent_is_earlier"),
    Index("ix_versions_digest", "digest"),
    Index("ix_versions_model_id_parent", "model_id", "parent"),
    Index("ix_versions_model_id_chunk", "model_id", "chunk"),
)

# The newest row of an alias is the pointer; the primary key is the compare-and-swap; the table is the audit log.
moves = Table(
    "moves",
    metadata,
    _model_id(),
    Column("alias", String(64), primary_key=True),
    _number("seq"),
    Column("version", Integer),
    Column("kind", String(16), nullable=False),
    Column("moved_by", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("moved_at", Double, nullable=False),
    ForeignKeyConstraint(["model_id", "version"], ["versions.model_id", "versions.number"]),
)

# A batch whose rows were given up: its bytes are no longer the ledger's to keep. What it was stays in `batches`.
deletions = Table(
    "deletions",
    metadata,
    _model_id(),
    _number("batch"),
    Column("kind", String(16), nullable=False),
    Column("deleted_by", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("deleted_at", Double, nullable=False),
    ForeignKeyConstraint(["model_id", "batch"], ["batches.model_id", "batches.number"]),
)

# A digest whose bytes are removed, or about to be: no row may name it before it is readmitted (store/collecting.py).
tombstones = Table(
    "tombstones",
    metadata,
    Column("digest", String(71), primary_key=True),
    Column("buried_at", Double, nullable=False),
    Column("removed_at", Double),
    Index(
        "ix_tombstones_unswept",
        "buried_at",
        sqlite_where=text("removed_at IS NULL"),
        postgresql_where=text("removed_at IS NULL"),
    ),
)

# Who may do what. Only the hash of a key is here; the one cell that changes is `revoked_at`.
keys = Table(
    "keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("models", String(255), nullable=False),
    Column("requests_per_minute", Integer),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
)
