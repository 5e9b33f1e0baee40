"""Bytes that the service stores, and what a caller is told when it cannot."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from service.rejected import Unavailable
from store.blobs import Blobs

logger = logging.getLogger("posterity.service")


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
