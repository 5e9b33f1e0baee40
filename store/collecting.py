"""Removes bytes that nothing needs: what rows no longer name, and what never came to be named."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Engine

from store.blobs import Blobs, Listed
from store.engine import Clock, database_clock, for_writing
from store.tombstones import begin_removal, bury, is_buried, mark_removed, named_among, unswept

GROUP = 200
"""Digests that are looked at in one transaction; others wait with their writes as long as that takes."""

LEFTOVER_SECONDS = 24 * 3600.0
"""A file that a killed writer left half written is removed when nobody can be writing it any more."""


@dataclass(frozen=True)
class Collected:
    """What a collection found."""

    blobs: int
    bytes: int
    removed: tuple[str, ...]
    bytes_removed: int
    leftovers: int
    young: int
    """Blobs that nothing names and that are too young to be removed: what will name them may be on its way."""


class Collecting:
    """The only one who removes blobs; safe while others write, and with others like it."""

    def __init__(self, engine: Engine, blobs: Blobs, *, clock: Clock = database_clock) -> None:
        self.engine = for_writing(engine)
        self.reading = engine
        self.blobs = blobs
        self.clock = clock

    def collect(self, *, older_than_seconds: float, is_rehearsal: bool = False) -> Collected:
        """Blobs that nothing names and that are older than this are gone; a rehearsal only says which would be.

        A version's posterior, the rows of batches that were not deleted and what priors name are never among them.

        Raises:
            OSError: the store does not list or remove; what was removed before is gone, and the rest follows next time.
        """
        now = self._now()
        before = now - older_than_seconds
        blobs = size = young = 0
        doomed: list[Listed] = []
        for group in _groups(self.blobs.listed()):
            blobs, size = blobs + len(group), size + sum(one.bytes for one in group)
            old = [one for one in group if one.modified_at <= before]
            young += len(self._unnamed([one for one in group if one.modified_at > before]))
            unnamed = self._unnamed(old) if is_rehearsal else self._bury([one.digest for one in old])
            doomed += [one for one in old if one.digest in unnamed]
        if not is_rehearsal:
            self.sweep(one.digest for one in doomed)
        return Collected(
            blobs=blobs,
            bytes=size,
            removed=tuple(one.digest for one in doomed),
            bytes_removed=sum(one.bytes for one in doomed),
            leftovers=0 if is_rehearsal else self.blobs.remove_leftovers(now - LEFTOVER_SECONDS),
            young=young,
        )

    def sweep(self, digests: Iterable[str] | None = None) -> None:
        """The bytes of these buried digests are gone, or of all, also where an earlier removal was cut short.

        Raises:
            OSError: the store does not remove; the next sweep goes on.
        """
        if digests is None:
            with self.reading.begin() as connection:
                digests = unswept(connection)
        for digest in digests:
            with self.engine.begin() as connection:
                is_buried_still = begin_removal(connection, digest, self.clock(connection))
            if is_buried_still:
                self._remove(digest)

    def discard(self, digests: Collection[str]) -> None:
        """Those of these digests that no row names are gone: they were written for a row that was refused.

        Raises:
            OSError: the store does not remove; the next sweep does.
        """
        self.sweep(sorted(self._bury(list(digests))))

    def _now(self) -> float:
        with self.reading.begin() as connection:
            return self.clock(connection)

    def _bury(self, digests: list[str]) -> set[str]:
        if not digests:
            return set()
        with self.engine.begin() as connection:
            return bury(connection, digests, self.clock(connection))

    def _unnamed(self, listed: list[Listed]) -> set[str]:
        digests = {one.digest for one in listed}
        if not digests:
            return set()
        with self.reading.begin() as connection:
            return digests - named_among(connection, digests)

    def _remove(self, digest: str) -> None:
        with self.engine.begin() as connection:
            # Whoever wants to name it again waits for us, or was before us.
            if is_buried(connection, digest):
                self.blobs.delete(digest)
                mark_removed(connection, digest, self.clock(connection))


def _groups(listed: Iterable[Listed]) -> Iterator[list[Listed]]:
    rest = iter(listed)
    while group := list(islice(rest, GROUP)):
        yield group
