"""Bytes that the service stores, and what a caller is told when it cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TypeVar

from service.rejected import Unavailable
from store.blobs import Blobs, digest_of
from store.collecting import Collecting
from store.engine import DATABASE_DOWN
from store.errors import BlobBuried
from store.ledger import Ledger

logger = logging.getLogger("posterity.service")

Written = TypeVar("Written")


def keep_all(blobs: Blobs, data: Sequence[bytes]) -> list[str]:
    """All are in the store; returns their digests.

    Raises:
        Unavailable: the store cannot be written to.
    """
    try:
        return blobs.put_all(data)
    except OSError as error:
        logger.error("the blobs cannot be written: %s", error)
        raise Unavailable(reason="The store of the blobs cannot be written to") from None


def discard(collecting: Collecting, digests: Collection[str]) -> None:
    """Bytes that were written for what was refused then are gone, unless a row names them.

    Where the database or the store does not answer now, they stay: until a worker sweeps, or until they are collected.
    So do those in a store that may carry the removal out much later, as nobody could post them again meanwhile.
    """
    if not collecting.blobs.settle_seconds:
        with suppress(OSError, *DATABASE_DOWN):
            collecting.discard(digests)


def keep_and_name(
    blobs: Blobs, ledger: Ledger, data: Sequence[bytes], write: Callable[[list[str]], Written]
) -> Written:
    """All are in the store, and `write` has named their digests in the ledger; returns what it returns.

    `write` is called a second time where some of them were about to be removed, after they were written again.

    Raises:
        Unavailable: the store cannot be written to.
        BlobBuried: they are being removed at this moment.
    """
    if blobs.settle_seconds:
        # Such a store may carry out a removal long after it was asked for: what is refused for it is not written first.
        ledger.readmit(list(map(digest_of, data)), settle_seconds=blobs.settle_seconds)
    digests = keep_all(blobs, data)
    try:
        written = write(digests)
    except BlobBuried as buried:
        ledger.readmit(buried.digests, settle_seconds=blobs.settle_seconds)
        written = write(keep_all(blobs, data))
    # What was there already may have been removed before it was named, and readmitted for somebody else who wants it.
    # Where removals take long to settle nobody could have readmitted it.
    if not blobs.settle_seconds and (gone := [one for one in digests if not blobs.holds(one)]):
        keep_all(blobs, [one for digest, one in zip(digests, data, strict=True) if digest in gone])
    return written
