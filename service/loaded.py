"""Versions ready to predict, kept in memory within a budget. Their bytes never change, so nothing here can be stale."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

from bayes import Draws, Method, Posterior, draw, mean_draw
from store.blobs import Blobs

Kept = Posterior | Draws


class Loaded:
    """The posteriors and draws used last; the ones used longest ago make room. Safe for many threads at once.

    However many requests ask for one thing that is not here, it is made once, and all of them wait for that.
    """

    def __init__(self, blobs: Blobs, *, bytes_max: int) -> None:
        self.blobs = blobs
        self.bytes_max = bytes_max
        self.nbytes = 0
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._making: dict[Hashable, Future[Kept]] = {}
        self._lock = threading.Lock()

    def posterior(self, digest: str) -> Posterior:
        """The posterior with these bytes.

        Raises:
            BlobMissing, BlobCorrupt: the store does not have them.
        """
        found = self._get(digest, lambda: Posterior.from_bytes(self.blobs.get(digest)))
        assert isinstance(found, Posterior)
        return found

    def draws(self, digest: str, *, method: Method, samples: int, seed: int) -> Draws:
        """The nets that answer for this posterior; always the same ones for the same arguments."""
        if method == "mean":
            found = self._get((digest, method), lambda: mean_draw(self.posterior(digest)))
        else:
            found = self._get((digest, samples, seed), lambda: draw(self.posterior(digest), samples=samples, seed=seed))
        assert isinstance(found, Draws)
        return found

    def _get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        with self._lock:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return found
            waiting = self._making.get(key)
            if waiting is None:
                promised: Future[Kept] = Future()
                self._making[key] = promised
        if waiting is not None:
            return waiting.result()
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            promised.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(key, made)
        promised.set_result(made)
        return made

    def _keep(self, key: Hashable, made: Kept) -> None:
        self._kept[key] = made
        self.nbytes += nbytes_of(made)
        while self.nbytes > self.bytes_max:
            _, dropped = self._kept.popitem(last=False)
            self.nbytes -= nbytes_of(dropped)


def nbytes_of(kept: Kept) -> int:
    if isinstance(kept, Posterior):
        return sum(tensor.nbytes for tensor in kept.tensors.values())
    return kept.nbytes
