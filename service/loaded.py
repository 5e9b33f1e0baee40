"""Versions ready to predict, kept in memory within a budget. Their bytes never change, so nothing here can be stale."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from bayes import Method, Posterior, Ready, ready
from store.blobs import Blobs

Kept = Posterior | Ready
VERIFYING_THREADS = 2
TRIM_BYTES = 64 * 2**20
"""So much is dropped before its memory is given back: each time takes milliseconds."""

# The GNU library keeps what is freed, in pieces that the next version does not fit in.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Chosen:
    """By which method a posterior is asked; samples and seed are those of an ensemble, and None for others."""

    method: Method
    samples: int | None = None
    seed: int | None = None


def trim() -> None:
    """Memory that was freed is the system's again, where its library can do that."""
    if _malloc_trim is not None:
        _malloc_trim(0)


class Loaded:
    """The posteriors made ready last; the ones used longest ago make room. Safe for many threads at once.

    However many requests ask for one thing that is not here, it is made once, and all of them wait for that. Files are
    read, not mapped: what happens to a file later does not reach what was made of it. Each time, all of its bytes are
    compared with their digest meanwhile.
    """

    def __init__(self, blobs: Blobs, *, bytes_max: int) -> None:
        self.blobs = blobs
        self.bytes_max = bytes_max
        self.nbytes = self.hits = self.misses = self.evictions = 0
        self._dropped = 0
        self._kept: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()
        self._making: dict[Hashable, Future[Kept]] = {}
        self._lock = threading.Lock()
        self._verifying = ThreadPoolExecutor(VERIFYING_THREADS, thread_name_prefix="verify")

    def posterior(self, digest: str) -> Posterior:
        """The posterior with these bytes.

        Raises:
            BlobMissing, BlobCorrupt: the store does not have them.
        """
        found = self._get(digest, lambda: self._verified(digest, lambda posterior: posterior))
        assert isinstance(found, Posterior)
        return found

    def ready(self, digest: str, chosen: Chosen) -> Ready:
        """What answers for this posterior; always the same for the same arguments.

        Raises:
            BlobMissing, BlobCorrupt: the store does not have the posterior.
        """

        def make(posterior: Posterior) -> Kept:
            return ready(posterior, method=chosen.method, samples=chosen.samples, seed=chosen.seed, consume=True)

        found = self._get((digest, chosen), lambda: self._verified(digest, make))
        assert not isinstance(found, Posterior)
        return found

    def holds(self, digest: str, chosen: Chosen) -> bool:
        """True where `ready` need not make anything."""
        with self._lock:
            return (digest, chosen) in self._kept

    @property
    def count(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def close(self) -> None:
        """No thread is left."""
        self._verifying.shutdown(cancel_futures=True)

    def _verified(self, digest: str, make: Callable[[Posterior], Kept]) -> tuple[Kept, int]:
        with self.blobs.open(digest) as file:
            verified = self._verifying.submit(file.verify)
            try:
                made = make(Posterior.read(file))
            except Exception:
                verified.result()  # Damaged bytes are the better explanation.
                raise
            verified.result()
        return made, made.nbytes

    def _get(self, key: Hashable, make: Callable[[], tuple[Kept, int]]) -> Kept:
        with self._lock:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                self.hits += 1
                return found[0]
            self.misses += 1
            waiting = self._making.get(key)
            if waiting is None:
                promised: Future[Kept] = Future()
                self._making[key] = promised
        if waiting is not None:
            return waiting.result()
        try:
            made, nbytes = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            promised.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(key, made, nbytes)
            is_due = self._dropped >= TRIM_BYTES
            self._dropped = 0 if is_due else self._dropped
        promised.set_result(made)
        if is_due:
            trim()
        return made

    def _keep(self, key: Hashable, made: Kept, nbytes: int) -> None:
        if nbytes > self.bytes_max:
            return  # Everything else would go, and then this.
        self._kept[key] = made, nbytes
        self.nbytes += nbytes
        while self.nbytes > self.bytes_max:
            _, (_, dropped) = self._kept.popitem(last=False)
            self.nbytes -= dropped
            self._dropped += dropped
            self.evictions += 1
