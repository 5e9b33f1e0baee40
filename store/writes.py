"""Steps that every write of the ledger is made of; each runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, Table, and_, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from store.events import tell
from store.kinds import HEAD, EventKind, UpdateState
from store.queries import find_model, find_update, newest_move, next_number
from store.schema.learning import batches, chunks, models, moves, omissions, updates
from store.values import Json, ModelRow, MoveRow, UpdateRow
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
    told = {"alias": move.alias, "seq": seq, "from": move.previous, "to": move.version, "by": move.moved_by}
    facts = told | {"move": str(move.kind), "reason": move.reason}
    tell(connection, model_id, EventKind.MOVED, facts, at=move.moved_at)
    announce(connection)
    return move


def queue_update(
    connection: Connection,
    model: ModelRow,
    chunk: int,
    *,
    now: float,
    omitted: Collection[int] = (),
    only: Collection[int] = (),
    forget: int | None = None,
) -> UpdateRow:
    """A new update waits to absorb the chunk without the omitted batches, or of it only some, where they are given.

    It is a step of that forget, if one is given.
    """
    number = next_number(connection, model.id, updates.c.number)
    facts = {"state": UpdateState.QUEUED, "attempt": 0, "failures": 0, "created_at": now, "forget": forget}
    connection.execute(insert(updates).values(model_id=model.id, number=number, chunk=chunk, **facts))
    if omitted:
        rows = [{"model_id": model.id, "update": number, "batch": batch} for batch in omitted]
        connection.execute(insert(omissions), rows)
    if only:
        held = and_(chunks.c.model_id == batches.c.model_id, chunks.c.number == chunk)
        within = batches.c.number.between(chunks.c.batch_first, chunks.c.batch_last)
        others = select(batches.c.model_id, literal(number), batches.c.number).join(chunks, and_(held, within))
        left_out = others.where(batches.c.model_id == model.id, batches.c.number.not_in(only))
        connection.execute(insert(omissions).from_select(["model_id", "update", "batch"], left_out))
    announce(connection)
    return find_update(connection, model, number)


def lock_model(connection: Connection, name: str) -> ModelRow:
    """The model, whose other writers wait until this transaction ends."""
    # SQLite ignores FOR UPDATE: there the transaction holds the only write lock already. In PostgreSQL it is the lock
    # that leaves the key alone: rows that only name the model, such as kept predictions, do not wait for it.
    connection.execute(select(models.c.id).where(models.c.name == name).with_for_update(key_share=True))
    return find_model(connection, name)


def head_of(connection: Connection, model: ModelRow) -> int:
    head = newest_move(connection, model.id, HEAD)
    assert head is not None
    assert head.version is not None
    return head.version


def insert_once(connection: Connection, table: Table, values: Json) -> bool:
    """True when the row was inserted, False when one with the same unique value was there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    once = dialect.insert(table).values(values).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(once).one_or_none() is not None
