"""The versions kept in memory: within their budget, made once, never stale."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import bayes
from service import loaded
from service.loaded import Loaded, nbytes_of
from store.blobs import Blobs
from store.errors import BlobMissing
from tests.service.live import TINY

ROOT = bayes.root(bayes.Model.from_description(TINY))
WEIGHTS = 2 * 3 + 3 + 3 * 3 + 3


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path)


class CountingBlobs(Blobs):
    """Counts what is read, and lets nobody have it before the gate is open."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads = 0
        self.gate = threading.Event()
        self.gate.set()

    def get(self, digest: str) -> bytes:
        self.reads += 1
        assert self.gate.wait(30.0)
        return super().get(digest)


@contextmanager
def waiting_for(kept: Loaded, digest: str, *, threads: int) -> Iterator[list[bayes.Posterior]]:
    found: list[bayes.Posterior] = []
    with ThreadPoolExecutor(threads) as pool:
        asked = [pool.submit(kept.posterior, digest) for _ in range(threads)]
        yield found
        found += [future.result() for future in asked]


def test_many_threads_that_ask_for_one_posterior_load_it_once(tmp_path: Path) -> None:
    blobs = CountingBlobs(tmp_path)
    digest = blobs.put(ROOT.to_bytes())
    kept = Loaded(blobs, bytes_max=10**6)

    blobs.gate.clear()
    with waiting_for(kept, digest, threads=8) as found:
        blobs.gate.set()

    assert blobs.reads == 1
    assert all(posterior is found[0] for posterior in found)


def test_a_load_that_failed_is_tried_again(blobs: Blobs) -> None:
    digest = ROOT.digest
    kept = Loaded(blobs, bytes_max=10**6)

    with pytest.raises(BlobMissing):
        kept.posterior(digest)
    blobs.put(ROOT.to_bytes())

    assert kept.posterior(digest).digest == digest


def test_what_was_used_longest_ago_makes_room(blobs: Blobs) -> None:
    digest = blobs.put(ROOT.to_bytes())
    one_draw = WEIGHTS * 4
    kept = Loaded(blobs, bytes_max=nbytes_of(ROOT) + 2 * one_draw)

    first = kept.draws(digest, method="ensemble", samples=1, seed=1)
    second = kept.draws(digest, method="ensemble", samples=1, seed=2)
    kept.posterior(digest)
    assert kept.draws(digest, method="ensemble", samples=1, seed=1) is first
    kept.draws(digest, method="ensemble", samples=1, seed=3)

    assert kept.nbytes == nbytes_of(ROOT) + 2 * one_draw
    assert kept.draws(digest, method="ensemble", samples=1, seed=1) is first
    assert kept.draws(digest, method="ensemble", samples=1, seed=2) is not second


def test_what_is_larger_than_the_budget_answers_and_is_not_kept(blobs: Blobs) -> None:
    digest = blobs.put(ROOT.to_bytes())
    kept = Loaded(blobs, bytes_max=1)

    assert kept.draws(digest, method="ensemble", samples=2, seed=0).samples == 2
    assert kept.nbytes == 0


def test_the_mean_is_drawn_once_whatever_samples_and_seed_say(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = blobs.put(ROOT.to_bytes())
    kept = Loaded(blobs, bytes_max=10**6)

    mean = kept.draws(digest, method="mean", samples=16, seed=0)

    assert mean.samples == 1
    assert kept.draws(digest, method="mean", samples=3, seed=5) is mean
    monkeypatch.setattr(loaded, "draw", None)
    assert kept.draws(digest, method="mean", samples=16, seed=0) is mean
