"""What the tables have in common: one `MetaData`, which names their constraints, and the columns of their keys."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def model_id() -> Column[int]:
    """The model that a row is of: the first part of its key."""
    return Column("model_id", Integer, ForeignKey("models.id"), primary_key=True)


def number(name: str = "number") -> Column[int]:
    """A part of the key that counts within a model."""
    return Column(name, Integer, primary_key=True, autoincrement=False)
