"""The tables beside those of learning: what is told, kept and given up, and who may do what."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from store.schema.columns import metadata, model_id, number

# What happened to a model, in the order of the commits: written in the transaction that did it.
events = Table(
    "events",
    metadata,
    model_id(),
    number(),
    Column("kind", String(16), nullable=False),
    Column("facts", JSON, nullable=False),
    Column("at", Double, nullable=False),
)

# Who is told of events; `delivered` is the last event that the receiver took. A lease keeps two senders apart.
webhooks = Table(
    "webhooks",
    metadata,
    model_id(),
    number(),
    Column("url", Text, nullable=False),
    Column("kinds", JSON(none_as_null=True)),
    Column("secret", String(128), nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("delivered", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("not_before", Double),
    Column("owner", String(255)),
    Column("lease_until", Double),
    Column("last_error", Text),
    Column("delivered_at", Double),
    Column("removed_at", Double),
)

# Predictions that were kept for labels to come, until `kept_until`.
predictions = Table(
    "predictions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("model_id", Integer, ForeignKey("models.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(71), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("inputs", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("predicted_by", String(255), nullable=False),
    Column("predicted_at", Double, nullable=False),
    Column("kept_until", Double, nullable=False),
    Index("ix_predictions_model_id_predicted_at", "model_id", "predicted_at"),
    Index("ix_predictions_kept_until", "kept_until"),
)

# A label that arrived later: the row of a kept prediction became this row of a batch, once. It outlives what was kept.
labels = Table(
    "labels",
    metadata,
    Column("prediction", String(64), primary_key=True),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("model_id", Integer, ForeignKey("models.id"), nullable=False),
    Column("label", JSON, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("batch_row", Integer, nullable=False),
    Column("labeled_at", Double, nullable=False),
    ForeignKeyConstraint(["model_id", "batch"], ["batches.model_id", "batches.number"]),
    Index("ix_labels_model_id_batch", "model_id", "batch"),
)

# A batch whose rows were given up: its bytes are no longer the ledger's to keep. What it was stays in `batches`.
deletions = Table(
    "deletions",
    metadata,
    model_id(),
    number("batch"),
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
