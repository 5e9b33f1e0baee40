"""Names of blobs, the digests of their bytes; and what a store hands out beside bytes."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from dataclasses import dataclass
from io import BufferedIOBase

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Listed:
    """A finished blob that a store says it has; nobody has looked at its bytes."""

    digest: str
    bytes: int
    modified_at: float
    """When it was last put, in seconds since 1970 by the store's clock."""


class Opened(BufferedIOBase):
    """The stored bytes of a digest as a file that can be sought."""

    @abstractmethod
    def verify(self) -> None:
        """The bytes that this file reads have the digest, all of them; where the file is read from is left alone.

        Another thread may read the file meanwhile.

        Raises:
            BlobCorrupt: they have another.
            BlobStoreError: they cannot be read.
        """


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """The name of these bytes: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def name_of(digest: str) -> str:
    """Where a store keeps the blob, from its root: `<first two digits>/<digits>`, the same in every store."""
    assert DIGEST.fullmatch(digest), digest
    hexadecimal = digest.removeprefix("sha256:")
    return f"{hexadecimal[:2]}/{hexadecimal}"


def digest_in(name: str) -> str | None:
    """The digest of the blob that a store keeps there; None: no blob is kept there."""
    digest = f"sha256:{name.rpartition('/')[2]}"
    return digest if DIGEST.fullmatch(digest) and name == name_of(digest) else None
