"""Blobs in an object store that speaks S3, through obstore: the same names and the same promises as in a folder."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from store.digests import Listed, Opened, digest_in, digest_of, name_of
from store.errors import BlobCorrupt, BlobMissing, BlobStoreError
from store.refusals import reason_of
from store.urls import is_plain_endpoint

PUTS_AT_ONCE = 16
PARTS_AT_ONCE = 4
PART_BYTES = 8 * 2**20
"""What is larger is sent and fetched in parts: each is given the time of a request, and repeated by itself."""
PROBE, PROBE_SECONDS_MAX = ".probe", 3.0


class ObjectStore:
    """A bucket, or what begins with a prefix in it: `s3://bucket/prefix`.

    Endpoint, region and credentials come from the AWS_* variables. A request without an answer is given up after so
    many seconds, and repeated; a call of a store that stays silent fails after about twice as many.

    Blobs are written without conditions: whoever overwrites one writes the same bytes, and a store replaces an object
    whole. So a put that was carried out though its answer never came is simply done again, what is damaged is healed by
    a put, and nothing depends on whether a store knows If-None-Match.
    """

    settle_seconds = 16 * 60.0
    """A request that was given up may reach the store late; a quarter of an hour after it was signed, it is refused."""

    def __init__(self, url: str, *, seconds: float) -> None:
        self.url = url
        self._store = _connected(url, seconds, retries=10)
        self._impatient = _connected(url, min(seconds, PROBE_SECONDS_MAX), retries=0)

    def put(self, data: bytes) -> str:
        """As `put_all`, with one blob."""
        digest = digest_of(data)
        self._put(digest, data)
        return digest

    def put_all(self, blobs: Sequence[bytes]) -> list[str]:
        """All these bytes are under their digests; the store has said so. Returns the digests.

        Raises:
            BlobStoreError: the store refused one, or did not answer; others may be there.
        """
        digests = [digest_of(data) for data in blobs]
        named = dict(zip(digests, blobs, strict=True))
        has_failed = threading.Event()

        def put(digest: str) -> None:
            # Those who wait for their turn are not worth waiting for once one has failed.
            if not has_failed.is_set():
                try:
                    self._put(digest, named[digest])
                except BlobStoreError:
                    has_failed.set()
                    raise

        with ThreadPoolExecutor(min(PUTS_AT_ONCE, max(1, len(named)))) as putting:
            list(putting.map(put, named))
        return digests

    def get(self, digest: str) -> bytes:
        """The bytes of a digest.

        Raises:
            BlobMissing: no such blob.
            BlobCorrupt: the stored bytes have another digest.
            BlobStoreError: the store refuses, or does not answer.
        """
        found = ""
        for _ in range(2):  # Bytes may also be damaged on their way: the second time, the stored ones are to blame.
            data = self._fetched(digest)
            if (found := digest_of(data)) == digest:
                return data
        raise BlobCorrupt(digest=digest, found=found)

    def open(self, digest: str) -> Opened:
        """The bytes of a digest, in memory. Nobody has looked at them yet; `verify` does.

        Raises:
            BlobMissing: no such blob.
            BlobStoreError: the store refuses, or does not answer.
        """
        return InMemory(self._fetched(digest), digest)

    def verify(self, digest: str) -> None:
        """The stored bytes have this digest.

        Raises:
            BlobMissing, BlobCorrupt, BlobStoreError: as from `get`.
        """
        self.get(digest)

    def holds(self, digest: str) -> bool:
        """True where a blob has this name; nobody has looked at its bytes.

        Raises:
            BlobStoreError: the store refuses, or does not answer.
        """
        try:
            with self._answering("asked"):
                obstore.head(self._store, name_of(digest))
        except FileNotFoundError:
            return False
        return True

    def is_writable(self) -> bool:
        """True when a blob could be written now: something small just was."""
        try:
            with self._answering("written to"):
                obstore.put(self._impatient, PROBE, b"", mode="overwrite")
        except OSError:
            return False
        return True

    def listed(self) -> Iterator[Listed]:
        """Every blob, in no order; what is no blob is passed over.

        Raises:
            BlobStoreError: the store refuses, or does not answer.
        """
        pages = iter(obstore.list(self._store, chunk_size=1000))
        while True:
            with self._answering("listed"):
                page = next(pages, None)
            if page is None:
                return
            for found in page:
                if (digest := digest_in(found["path"])) is not None:
                    yield Listed(digest, found["size"], found["last_modified"].timestamp())

    def delete(self, digest: str) -> None:
        """No blob has this name; nothing happens where none had.

        Raises:
            BlobStoreError: the store refuses, or does not answer.
        """
        try:
            with self._answering("written to"):
                obstore.delete(self._store, name_of(digest))
        except FileNotFoundError:
            return

    def remove_leftovers(self, _before: float, /) -> int:
        """Nothing is there to remove: an object appears whole. Parts of what was never finished, nobody can list here.

        The bucket's rule AbortIncompleteMultipartUpload removes those.
        """
        return 0

    def _put(self, digest: str, data: bytes) -> None:
        try:
            with self._answering("written to"):
                obstore.put(
                    self._store,
                    name_of(digest),
                    data,
                    mode="overwrite",
                    use_multipart=len(data) > PART_BYTES,
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_ONCE,
                )
        except FileNotFoundError:
            raise BlobStoreError(f"{self.url} cannot be written to: there is no such bucket") from None

    def _fetched(self, digest: str) -> bytes:
        name = name_of(digest)

        def part(start: int) -> memoryview:
            length = min(PART_BYTES, size - start)
            return memoryview(obstore.get_range(self._store, name, start=start, length=length))

        try:
            with self._answering("read"):
                found = obstore.get(self._store, name)
                if (size := found.meta["size"]) <= PART_BYTES:
                    return found.bytes().to_bytes()
                del found
                with ThreadPoolExecutor(PARTS_AT_ONCE) as fetching:
                    return b"".join(fetching.map(part, range(0, size, PART_BYTES)))
        except FileNotFoundError:
            raise BlobMissing(digest=digest) from None

    @contextmanager
    def _answering(self, asked: str) -> Iterator[None]:
        """What the library says of the store is said without its words, which may hold keys and signatures.

        Raises:
            FileNotFoundError: there is no such object.
            BlobStoreError: anything else.
        """
        try:
            yield
        except (BaseError, ValueError, FileNotFoundError) as error:
            reason = reason_of(error)
            if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in reason:
                raise FileNotFoundError(self.url) from None
            raise BlobStoreError(f"{self.url} cannot be {asked}: {reason}") from None


class InMemory(BytesIO, Opened):
    """The bytes as they were fetched."""

    def __init__(self, data: bytes, digest: str) -> None:
        super().__init__(data)
        self._digest = digest

    def verify(self) -> None:
        with self.getbuffer() as data:
            found = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if found != self._digest:
            raise BlobCorrupt(digest=self._digest, found=found)


def _connected(url: str, seconds: float, *, retries: int) -> S3Store:
    return S3Store.from_url(
        url,
        client_options={
            "allow_http": is_plain_endpoint(),
            "connect_timeout": timedelta(seconds=min(5.0, seconds)),
            "timeout": timedelta(seconds=seconds),
        },
        retry_config={
            "max_retries": retries,
            "retry_timeout": timedelta(seconds=seconds * 1.2),
            "backoff": {
                "init_backoff": timedelta(seconds=0.1),
                "max_backoff": timedelta(seconds=max(0.1, seconds / 5)),
                "base": 2,
            },
        },
        disable_bulk_delete=True,
    )
