"""The tables of learning: what was accepted, absorbed and published, and where the aliases point."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from store.schema.columns import metadata, model_id, number

models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("description", JSON, nullable=False),
    Column("posted", JSON(none_as_null=True)),
    Column("imported", JSON(none_as_null=True)),
    Column("created_at", Double, nullable=False),
)

batches = Table(
    "batches",
    metadata,
    model_id(),
    number(),
    Column("key", String(255), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("label_counts", JSON, nullable=False),
    Column("accepted_at", Double, nullable=False),
    Column("traceparent", String(55)),
    UniqueConstraint("model_id", "key"),
    CheckConstraint("rows > 0", name="rows_positive"),
    Index("ix_batches_digest", "digest"),
)

# A chunk is a range of batches, so a batch is in one chunk at most by construction.
chunks = Table(
    "chunks",
    metadata,
    model_id(),
    number(),
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
    model_id(),
    number(),
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
    Column("forget", Integer),
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
    Index("ix_updates_model_id_forget", "model_id", "forget"),
)

# A batch of the chunk that this update leaves out: parked, discarded, forgotten, or not the one that was released.
omissions = Table(
    "omissions",
    metadata,
    model_id(),
    number("update"),
    number("batch"),
    ForeignKeyConstraint(["model_id", "update"], ["updates.model_id", "updates.number"]),
    ForeignKeyConstraint(["model_id", "batch"], ["batches.model_id", "batches.number"]),
)

# Decisions about a batch that is not (or no longer) to be learned from; the newest one says where it stands.
parkings = Table(
    "parkings",
    metadata,
    model_id(),
    number("batch"),
    number("seq"),
    Column("kind", String(16), nullable=False),
    Column("decided_by", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("decided_at", Double, nullable=False),
    ForeignKeyConstraint(["model_id", "batch"], ["batches.model_id", "batches.number"]),
)

# A branch is a run of versions, each the child of the one before; `fork` is the version that it starts from. So the
# line of any version is a few ranges of `depth`, whatever its length.
versions = Table(
    "versions",
    metadata,
    model_id(),
    number(),
    Column("parent", Integer),
    Column("chunk", Integer),
    Column("update", Integer),
    Column("digest", String(71), nullable=False),
    Column("kl_nats", Double, nullable=False),
    Column("report", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("depth", Integer, nullable=False, server_default="0"),
    Column("branch", Integer, nullable=False, server_default="0"),
    Column("fork", Integer),
    Column("rows", BigInteger, nullable=False, server_default="0"),
    Column("rows_learned", BigInteger, nullable=False, server_default="0"),
    Column("publication", String(16), nullable=False, server_default="head"),
    Column("head_seq", Integer, nullable=False, server_default="0"),
    UniqueConstraint("model_id", "update"),
    ForeignKeyConstraint(["model_id", "parent"], ["versions.model_id", "versions.number"]),
    ForeignKeyConstraint(["model_id", "chunk"], ["chunks.model_id", "chunks.number"]),
    CheckConstraint("parent IS NULL OR parent < number", name="parent_is_earlier"),
    Index("ix_versions_digest", "digest"),
    Index("ix_versions_model_id_parent", "model_id", "parent"),
    Index("ix_versions_model_id_chunk", "model_id", "chunk"),
    Index("uq_versions_branch", "model_id", "branch", "depth", unique=True),
)

# How a version predicted the rows of a batch before anything learned from them: sums, which add up over batches.
scores = Table(
    "scores",
    metadata,
    model_id(),
    number("batch"),
    number("version"),
    Column("update", Integer, nullable=False),
    Column("scores", JSON(none_as_null=True)),
    Column("surprise", JSON(none_as_null=True)),
    Column("scored_at", Double, nullable=False),
    ForeignKeyConstraint(["model_id", "batch"], ["batches.model_id", "batches.number"]),
    ForeignKeyConstraint(["model_id", "version"], ["versions.model_id", "versions.number"]),
    Index("ix_scores_model_id_update", "model_id", "update"),
)

# The newest row of an alias is the pointer; the primary key is the compare-and-swap; the table is the audit log.
moves = Table(
    "moves",
    metadata,
    model_id(),
    Column("alias", String(64), primary_key=True),
    number("seq"),
    Column("version", Integer),
    Column("kind", String(16), nullable=False),
    Column("moved_by", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("moved_at", Double, nullable=False),
    ForeignKeyConstraint(["model_id", "version"], ["versions.model_id", "versions.number"]),
)

# Head's line learned anew without some batches: a chain of updates aside, and one move of head at the end.
forgets = Table(
    "forgets",
    metadata,
    model_id(),
    number(),
    Column("batches", JSON, nullable=False),
    Column("method", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("base", Integer, nullable=False),
    Column("head_seq", Integer, nullable=False),
    Column("head", Integer),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("asked_by", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    CheckConstraint("state IN ('running', 'done', 'failed', 'cancelled')", name="state_known"),
    Index(
        "uq_forgets_running",
        "model_id",
        unique=True,
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
)
