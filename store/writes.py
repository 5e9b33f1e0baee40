"""Steps that every write of the ledger is made of; each runs inside the caller's transaction."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Table, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from store.queries import find_model, newest_move
from store.schema import models, moves
from store.values import HEAD, Json, ModelRow, MoveRow
from store.waker import announce


def insert_move(connection: Connection, model_id: int, values: Json) -> MoveRow:
    """The move is the newest of its alias; two movers of one alias cannot both insert the same `seq`.

    Sleeping workers and services wake when the transaction commits.
    """
    newest = newest_move(connection, model_id, values["alias"])
    seq = 1 if newest is None else newest.seq + 1
    connection.execute(insert(moves).values(model_id=model_id, seq=seq, **values))
    move = newest_move(connection, model_id, values["alias"])
    assert move is not None
    announce(connection)
    return move


def lock_model(connection: Connection, name: str) -> ModelRow:
    """The model, whose other writers wait until this transaction ends."""
    # SQLite ignores FOR UPDATE: there the transaction holds the only write lock already.
    connection.execute(select(models.c.id).where(models.c.name == name).with_for_update())
    return find_model(connection, name)


def head_of(connection: Connection, model: ModelRow) -> int:
    head = newest_move(connection, model.id, HEAD)
    assert head is not None
    assert head.version is not None
    return head.version


def next_number(connection: Connection, model_id: int, number: Column[int]) -> int:
    query = select(func.coalesce(func.max(number), 0)).where(number.table.c.model_id == model_id)
    return int(connection.execute(query).scalar_one()) + 1


def insert_once(connection: Connection, table: Table, values: Json) -> bool:
    """True when the row was inserted, False when one with the same unique value was there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    once = dialect.insert(table).values(values).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(once).one_or_none() is not None
