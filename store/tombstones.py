"""Digests whose bytes are removed, or about to be: steps inside the caller's transaction.

A blob is shared by everything that names its digest, in any model, and it is written before the row that names it. So
whoever removes bytes must not pass by somebody who has just found them there and is about to name them. Both look at
the table of tombstones:

- a transaction that inserts a row naming a digest looks whether the digest is buried, and inserts nothing then;
- a transaction that buries digests looks whether a row names them, while no other transaction is between its look and
  its commit: on SQLite because it holds the write lock, on PostgreSQL because it has the table to itself, and the look
  of the others keeps them in that table until their end.

Bytes are removed only under a tombstone. What was buried may be named again after `readmit`, which waits for a removal
that has begun; the bytes are written anew after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import ceil

from sqlalchemy import Connection, CursorResult, delete, insert, select, text, union, update

from store.errors import BlobBuried
from store.queries import IS_DELETED
from store.schema.beside import tombstones
from store.schema.learning import batches, models, versions
from store.values import Json

KEPT_ROWS = select(batches.c.digest).where(~IS_DELETED)
"""The digests of batches whose rows were not given up."""

PRIOR_BLOBS = ("blob", "batch")
"""The fields of a description's prior that name digests."""


def must_not_be_buried(connection: Connection, digests: Collection[str]) -> None:
    """These digests may be named by rows of this transaction; nobody buries them before its end.

    Raises:
        BlobBuried: some are buried; `readmit` them, write their bytes again, and begin anew.
    """
    if not digests:
        return
    query = select(tombstones.c.digest).where(tombstones.c.digest.in_(digests)).order_by(tombstones.c.digest)
    if buried := list(connection.execute(query).scalars()):
        raise BlobBuried(digests=buried)


def bury(connection: Connection, digests: Collection[str], now: float) -> set[str]:
    """Of these digests, those that no row names are buried now; they."""
    if connection.dialect.name == "postgresql":
        # Conflicts with the mere look of `must_not_be_buried`, until the end of that transaction.
        connection.execute(text(f"LOCK TABLE {tombstones.name} IN ACCESS EXCLUSIVE MODE"))
    unnamed = set(digests) - named_among(connection, digests)
    known = select(tombstones.c.digest).where(tombstones.c.digest.in_(unnamed))
    new = unnamed - set(connection.execute(known).scalars())
    if new:
        connection.execute(insert(tombstones), [{"digest": digest, "buried_at": now} for digest in sorted(new)])
    return unnamed


def readmit(connection: Connection, digests: Collection[str], *, begun_before: float) -> None:
    """These digests may be named again; no removal of them is under way. Their bytes may be gone.

    Raises:
        BlobBuried: the removal of some began after `begun_before`, and may still reach a store that is slow to do it.
    """
    asked = tombstones.c.digest.in_(digests)
    connection.execute(delete(tombstones).where(asked, tombstones.c.buried_at <= begun_before))
    left = {row.digest: row.buried_at for row in connection.execute(select(tombstones).where(asked))}
    if left:
        raise BlobBuried(digests=sorted(left), seconds=max(1, ceil(max(left.values()) - begun_before)))


def is_buried(connection: Connection, digest: str) -> bool:
    """True while the digest is buried; nobody readmits it before the end of this transaction then."""
    query = select(tombstones.c.digest).where(tombstones.c.digest == digest).with_for_update()
    return connection.execute(query).one_or_none() is not None


def unswept(connection: Connection) -> list[str]:
    """Buried digests whose bytes may still be there."""
    query = select(tombstones.c.digest).where(tombstones.c.removed_at.is_(None)).order_by(tombstones.c.buried_at)
    return list(connection.execute(query).scalars())


def begin_removal(connection: Connection, digest: str, now: float) -> bool:
    """The removal of the buried digest is said to begin now; False when it was readmitted meanwhile."""
    begun: CursorResult[tuple[object]] = connection.execute(
        update(tombstones).where(tombstones.c.digest == digest).values(buried_at=now, removed_at=None)
    )
    return begun.rowcount == 1


def mark_removed(connection: Connection, digest: str, now: float) -> None:
    connection.execute(update(tombstones).where(tombstones.c.digest == digest).values(removed_at=now))


def mark_returned(connection: Connection, digests: Collection[str]) -> None:
    """The bytes of these buried digests, if they are buried, may have been written again, and are to be removed."""
    if digests:
        connection.execute(update(tombstones).where(tombstones.c.digest.in_(digests)).values(removed_at=None))


def named_among(connection: Connection, digests: Collection[str]) -> set[str]:
    """Those of the digests whose bytes are needed: by a version, by a batch that was not deleted, or by a prior."""
    chosen = list(digests)
    named = set(connection.execute(select(versions.c.digest).where(versions.c.digest.in_(chosen))).scalars())
    named |= set(connection.execute(KEPT_ROWS.where(batches.c.digest.in_(chosen))).scalars())
    return named | set(named_by_models(connection)).intersection(chosen)


def holders_of(connection: Connection, digest: str) -> list[str]:
    """The models that need these bytes, by name; as `named_among` asks it."""
    own = (
        select(table.c.model_id).where(table.c.digest == digest, *kept)
        for table, kept in ((versions, ()), (batches, (~IS_DELETED,)))
    )
    found = connection.execute(select(models.c.name).where(models.c.id.in_(union(*own)))).scalars().all()
    told = connection.execute(select(models.c.name, models.c.description, models.c.imported))
    return sorted({*found, *(row.name for row in told if digest in digests_of_model(row.description, row.imported))})


def named_and_buried(connection: Connection) -> list[str]:
    """Digests that a row names although they are buried: there are none in sound books."""
    buried = select(tombstones.c.digest)
    of_versions = select(versions.c.digest).where(versions.c.digest.in_(buried))
    named = set(connection.execute(of_versions).scalars())
    named |= set(connection.execute(KEPT_ROWS.where(batches.c.digest.in_(buried))).scalars())
    by_models = set(named_by_models(connection))
    return sorted(named | by_models.intersection(connection.execute(buried).scalars()))


def named_by_models(connection: Connection) -> Iterator[str]:
    """The digests that the models themselves name."""
    for row in connection.execute(select(models.c.description, models.c.imported)):
        yield from digests_of_model(row.description, row.imported)


def digests_of_model(description: Json, imported: Json | None) -> list[str]:
    """Those that its prior names. A model that was imported has its root as bytes, and needs just what came with it."""
    return digests_of_prior(description) if imported is None else [str(digest) for digest in imported["blobs"].values()]


def digests_of_prior(description: Json) -> list[str]:
    prior = description.get("prior")
    return [str(prior[key]) for key in PRIOR_BLOBS if key in prior] if isinstance(prior, dict) else []
