"""Labels that arrived later, compared with the batches that they made."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, and_, func, select

from store.schema.beside import labels
from store.schema.learning import batches, models


def mislabeled(connection: Connection) -> Iterator[str]:
    """A sentence for every kept row that has two labels, and every batch of labels with a row that has not just one."""
    yield from _twice(connection)
    made = (
        select(
            labels.c.model_id,
            labels.c.batch,
            func.count().label("given"),
            func.count(func.distinct(labels.c.batch_row)).label("places"),
            func.min(labels.c.batch_row).label("first"),
            func.max(labels.c.batch_row).label("last"),
        )
        .group_by(labels.c.model_id, labels.c.batch)
        .subquery()
    )
    on = and_(batches.c.model_id == made.c.model_id, batches.c.number == made.c.batch)
    query = select(models.c.name, made, func.coalesce(batches.c.rows, 0).label("rows"))
    joined = made.join(models, models.c.id == made.c.model_id).outerjoin(batches, on)
    for row in connection.execute(query.select_from(joined).order_by(models.c.name, made.c.batch)):
        if not (row.given == row.places == row.rows and (row.first, row.last) == (0, row.rows - 1)):
            places = f"{row.given} labels became {row.places} of them"
            yield f"{row.name}: batch {row.batch} has {row.rows} rows, and {places}"


def _twice(connection: Connection) -> Iterator[str]:
    place = (labels.c.prediction, labels.c.row)
    given = func.count().label("given")
    for row in connection.execute(select(*place, given).group_by(*place).having(given > 1).order_by(*place)):
        yield f"row {row.row} of prediction {row.prediction} has {row.given} labels"
