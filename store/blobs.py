"""Bytes named by their digest: written once, verified on every read, never changed; in a folder or an object store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from store.digests import DIGEST, Listed, Opened, digest_of
from store.errors import BlobStoreError
from store.folder import Folder
from store.object_store import ObjectStore
from store.settings import Settings

__all__ = ["DIGEST", "BlobStoreError", "Blobs", "Listed", "Opened", "digest_of", "open_blobs"]


class Blobs(Protocol):
    """A store of blobs, safe for many threads and processes at once. The same bytes have the same name in each.

    Every call may raise `BlobStoreError`, an OSError: the store does not answer, or refuses.
    """

    @property
    def settle_seconds(self) -> float:
        """So long after a `delete` was asked for the store may still carry it out, whatever it answered since."""
        ...

    def put(self, data: bytes) -> str:
        """As `put_all`, with one blob."""
        ...

    def put_all(self, blobs: Sequence[bytes]) -> list[str]:
        """All these bytes are under their digests, and survive a crash from here on; returns the digests.

        A blob that is there already is as young afterwards as one that was not; one that is damaged is whole again.
        When it raises, nothing is under a digest but whole blobs.
        """
        ...

    def get(self, digest: str) -> bytes:
        """The bytes of a digest.

        Raises:
            BlobMissing: no such blob.
            BlobCorrupt: the stored bytes have another digest.
        """
        ...

    def open(self, digest: str) -> Opened:
        """The bytes of a digest as a file that can be sought. Nobody has looked at them yet; `verify` does.

        Raises:
            BlobMissing: no such blob.
        """
        ...

    def verify(self, digest: str) -> None:
        """The stored bytes have this digest.

        Raises:
            BlobMissing: no such blob.
            BlobCorrupt: they have another.
        """
        ...

    def holds(self, digest: str) -> bool:
        """True where a blob has this name; nobody has looked at its bytes."""
        ...

    def is_writable(self) -> bool:
        """True when a blob could be written now."""
        ...

    def listed(self) -> Iterator[Listed]:
        """Every finished blob, in no order; what is no blob is passed over.

        One that is written or removed meanwhile may be listed or not.
        """
        ...

    def delete(self, digest: str) -> None:
        """No blob has this name, and none has it after a crash; nothing happens where none had."""
        ...

    def remove_leftovers(self, before: float, /) -> int:
        """What writers that were killed left behind before this moment is gone; returns how many.

        The moment is in seconds since 1970 by the store's clock, as `Listed.modified_at` is.
        """
        ...


def open_blobs(settings: Settings) -> Blobs:
    """The store that the settings name; it is asked nothing yet."""
    if (folder := settings.blob_folder) is not None:
        return Folder(folder)
    assert settings.blob_url is not None
    return ObjectStore(settings.blob_url, seconds=settings.blob_seconds)
