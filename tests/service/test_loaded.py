"""The versions kept in memory: within their budget, made once, verified, never stale."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import bayes
from service.loaded import Chosen, Loaded
from store.blobs import digest_of
from store.errors import BlobCorrupt, BlobMissing
from store.folder import Folder, OpenFile
from tests.bayes.predictions import is_same
from tests.service.live import TINY

ROOT = bayes.root(bayes.Model.from_description(TINY))
BYTES = ROOT.to_bytes()
HEADER = 8 + int.from_bytes(BYTES[:8], "little")
WEIGHTS = 2 * 3 + 3 + 3 * 3 + 3

MOMENTS, MEAN = Chosen("moments"), Chosen("mean")
DRAW = Chosen("ensemble", 1, 0)
DRAW_NBYTES = 4 * WEIGHTS
"""What one draw counts for."""

WAIT_SECONDS = 30.0

Ask = Callable[[Loaded, str], object]

ASKED: dict[str, Ask] = {
    "the posterior": Loaded.posterior,
    "moments": lambda kept, digest: kept.ready(digest, MOMENTS),
    "draws": lambda kept, digest: kept.ready(digest, DRAW),
    "the mean": lambda kept, digest: kept.ready(digest, MEAN),
}


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def digest(blobs: Folder) -> str:
    return blobs.put(BYTES)


class HeldBlobs(Folder):
    """Counts the files that are read, and says nothing of any before the gate is open."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.verified = 0
        self.gate = threading.Event()

    def open(self, digest: str) -> OpenFile:
        with super().open(digest):
            return HeldFile(self, digest)


class HeldFile(OpenFile):
    def __init__(self, held: HeldBlobs, digest: str) -> None:
        super().__init__(held.path(digest), digest)
        self.held = held

    def verify(self) -> None:
        self.held.verified += 1
        assert self.held.gate.wait(WAIT_SECONDS)
        super().verify()


def seeded(seed: int) -> Chosen:
    return Chosen("ensemble", 1, seed)


def version(number: int) -> bytes:
    """The bytes of a posterior like no other."""
    bias = torch.full_like(ROOT.tensors["dense1.bias.mu"], number)
    tensors = dict(ROOT.tensors) | {"dense1.bias.mu": bias}
    return bayes.Posterior(ROOT.family, ROOT.net, ROOT.input, ROOT.output, tensors, chunks=0).to_bytes()


def test_what_is_ready_says_what_bayes_says_of_the_same_bytes(blobs: Folder, digest: str) -> None:
    kept, rows = Loaded(blobs, bytes_max=10**6), torch.tensor([[1.0, 2.0], [3.0, 4.5]])

    for chosen in (MOMENTS, MEAN, DRAW, Chosen("ensemble", 5, 7)):
        asked = {"method": chosen.method, "samples": chosen.samples, "seed": chosen.seed}
        found = bayes.ask(kept.ready(digest, chosen), rows)
        expected = bayes.predict(bayes.Posterior.from_bytes(BYTES), rows, **asked)  # type: ignore[arg-type]
        assert isinstance(found, bayes.CategoricalPrediction)
        assert isinstance(expected, bayes.CategoricalPrediction)
        assert torch.equal(found.probabilities, expected.probabilities)
        assert torch.equal(found.entropy, expected.entropy)


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
def test_many_threads_that_ask_for_one_thing_have_it_made_once(tmp_path: Path, ask: Ask) -> None:
    blobs = HeldBlobs(tmp_path)
    digest, kept = blobs.put(BYTES), Loaded(blobs, bytes_max=10**6)

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(ask, kept, digest) for _ in range(8)]
        blobs.gate.set()
        found = [future.result() for future in asked]

    assert blobs.verified == 1
    assert all(one is found[0] for one in found)


def test_whoever_waits_for_what_cannot_be_made_is_told_so_and_the_next_one_tries_again(tmp_path: Path) -> None:
    blobs = HeldBlobs(tmp_path)
    digest, kept = blobs.put(BYTES), Loaded(blobs, bytes_max=10**6)
    blobs.path(digest).write_bytes(BYTES[:-1] + b"\x01")
    began = threading.Barrier(5)

    def ask() -> bayes.Ready:
        began.wait(WAIT_SECONDS)
        return kept.ready(digest, MOMENTS)

    with ThreadPoolExecutor(4) as threads:
        asked: list[Future[bayes.Ready]] = [threads.submit(ask) for _ in range(4)]
        began.wait(WAIT_SECONDS)
        blobs.gate.set()
        assert {type(future.exception()) for future in asked} == {BlobCorrupt}

    assert (kept.nbytes, kept.holds(digest, MOMENTS)) == (0, False)
    blobs.put(BYTES)
    assert kept.ready(digest, MOMENTS) is kept.ready(digest, MOMENTS)


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
def test_bytes_that_are_not_there_are_missing_until_they_are(blobs: Folder, ask: Ask) -> None:
    kept = Loaded(blobs, bytes_max=10**6)

    with pytest.raises(BlobMissing):
        ask(kept, ROOT.digest)
    blobs.put(BYTES)

    assert ask(kept, ROOT.digest) is ask(kept, ROOT.digest)


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
@pytest.mark.parametrize("place", [0, 8, 100, HEADER - 1, HEADER, (HEADER + len(BYTES)) // 2, len(BYTES) - 1])
def test_a_flipped_bit_anywhere_is_found_before_anybody_is_answered(
    blobs: Folder, digest: str, ask: Ask, place: int
) -> None:
    kept = Loaded(blobs, bytes_max=10**6)
    flip(blobs, digest, place, 1)

    with pytest.raises(BlobCorrupt, match=digest):
        ask(kept, digest)

    assert kept.nbytes == 0
    assert not any(kept.holds(digest, chosen) for chosen in (MOMENTS, DRAW, MEAN))


@pytest.mark.parametrize("bit", [1, 128])
def test_a_flipped_bit_in_the_description_is_never_taken_for_anything_else_than_damage(
    blobs: Folder, digest: str, bit: int
) -> None:
    kept = Loaded(blobs, bytes_max=10**6)

    for place in range(HEADER):
        flip(blobs, digest, place, bit)
        with pytest.raises(BlobCorrupt, match=digest):
            kept.ready(digest, MOMENTS)


def flip(blobs: Folder, digest: str, place: int, bit: int) -> None:
    """The stored bytes are those of the root, but for this bit."""
    damaged = bytearray(BYTES)
    damaged[place] ^= bit
    blobs.path(digest).write_bytes(damaged)


@pytest.mark.parametrize("length", [0, 7, 8, HEADER - 1, HEADER, len(BYTES) - 1])
def test_a_file_that_was_cut_off_is_damaged(blobs: Folder, digest: str, length: int) -> None:
    blobs.path(digest).write_bytes(BYTES[:length])

    with pytest.raises(BlobCorrupt):
        Loaded(blobs, bytes_max=10**6).ready(digest, MOMENTS)


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
def test_what_happens_to_a_file_does_not_reach_what_was_made_of_it(blobs: Folder, digest: str, ask: Ask) -> None:
    kept = Loaded(blobs, bytes_max=10**6)
    made, rows = ask(kept, digest), torch.tensor([[1.0, 2.0], [3.0, 4.5]])

    def said() -> bayes.Prediction:
        return bayes.predict(made, rows) if isinstance(made, bayes.Posterior) else bayes.ask(made, rows)  # type: ignore[arg-type]

    before = said()
    blobs.path(digest).write_bytes(b"")

    assert is_same(said(), before)


def test_what_is_wrong_with_whole_bytes_is_not_said_to_be_damage(blobs: Folder) -> None:
    digest = blobs.put(b"no posterior")

    with pytest.raises(bayes.UnreadablePosterior):
        Loaded(blobs, bytes_max=10**6).ready(digest, MOMENTS)


def test_the_budget_counts_what_was_made(blobs: Folder, digest: str) -> None:
    kept = Loaded(blobs, bytes_max=10**6)

    made = kept.ready(digest, DRAW)
    assert (made.nbytes, kept.nbytes) == (4 * WEIGHTS, DRAW_NBYTES)

    kept.posterior(digest)
    assert kept.nbytes == DRAW_NBYTES + 2 * DRAW_NBYTES  # Means and log standard deviations.


def test_what_was_used_longest_ago_makes_room(blobs: Folder, digest: str) -> None:
    kept = Loaded(blobs, bytes_max=3 * DRAW_NBYTES)

    first, second, third = (kept.ready(digest, seeded(seed)) for seed in (1, 2, 3))
    assert kept.ready(digest, seeded(1)) is first
    kept.ready(digest, seeded(4))

    assert kept.nbytes == 3 * DRAW_NBYTES
    assert [kept.holds(digest, seeded(seed)) for seed in (1, 2, 3, 4)] == [True, False, True, True]
    assert kept.ready(digest, seeded(3)) is third
    assert kept.ready(digest, seeded(2)) is not second
    assert not kept.holds(digest, seeded(1))


def test_to_ask_what_is_held_is_no_use_of_it(blobs: Folder, digest: str) -> None:
    kept = Loaded(blobs, bytes_max=2 * DRAW_NBYTES)
    for seed in (1, 2):
        kept.ready(digest, seeded(seed))

    assert kept.holds(digest, seeded(1))
    kept.ready(digest, seeded(3))

    assert not kept.holds(digest, seeded(1))


def test_what_is_larger_than_the_budget_answers_is_not_kept_and_drives_nothing_out(blobs: Folder, digest: str) -> None:
    kept = Loaded(blobs, bytes_max=DRAW_NBYTES)
    kept.ready(digest, DRAW)

    assert isinstance(large := kept.ready(digest, Chosen("ensemble", 2, 0)), bayes.Draws)

    assert large.samples == 2
    assert kept.holds(digest, DRAW)
    assert kept.nbytes == DRAW_NBYTES


def test_hundreds_of_versions_stay_within_a_small_budget(blobs: Folder) -> None:
    kept, ways = Loaded(blobs, bytes_max=20_000), (MOMENTS, MEAN, DRAW)

    for number in range(300):
        data = version(number)
        path = blobs.path(digest := digest_of(data))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        kept.ready(digest, ways[number % 3])
        assert kept.nbytes <= 20_000
        assert kept.holds(digest, ways[number % 3])

    assert kept.nbytes > 10_000


def test_a_closed_house_has_no_thread_left_that_verifies(blobs: Folder, digest: str) -> None:
    before = set(threading.enumerate())
    kept = Loaded(blobs, bytes_max=10**6)
    kept.ready(digest, MOMENTS)

    kept.close()
    kept.close()

    assert set(threading.enumerate()) <= before


MANY_VERSIONS = """
import sys
from pathlib import Path
import torch
import bayes
from service.loaded import Chosen, Loaded
from store.blobs import digest_of
from store.folder import Folder, OpenFile

torch.set_num_threads(1)
folder, budget = Path(sys.argv[1]), int(sys.argv[2])
output = {"kind": "categorical", "classes": 10}
described = {"net": {"kind": "lenet5"}, "input": {"shape": [1, 28, 28]}, "output": output}
data = bytearray(bayes.root(bayes.Model.from_description(described)).to_bytes())
blobs = Folder(folder)
kept = Loaded(blobs, bytes_max=budget)

def resident():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

def load(number):
    data[-4:] = (0x3F000000 + number).to_bytes(4, "little")  # A float from 0.5 on.
    digest = digest_of(data)
    blobs.path(digest).parent.mkdir(exist_ok=True)
    blobs.path(digest).write_bytes(data)
    kept.ready(digest, Chosen("ensemble", 4, 0) if number % 10 == 9 else Chosen("moments"))
    blobs.path(digest).unlink()
    assert kept.nbytes <= budget

before = resident()
most = 0
for number in range(300):
    load(number)
    most = max(most, resident())
print(most - before, len(kept._kept), len(data))
"""


def test_the_memory_of_a_process_stays_bounded_over_hundreds_of_versions(tmp_path: Path) -> None:
    budget = 64 * 2**20

    command = [sys.executable, "-c", MANY_VERSIONS, str(tmp_path), str(budget)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)

    growth, kept, file = map(int, done.stdout.split())
    assert 4 <= kept <= budget // file
    assert growth <= budget + 64 * 2**20, f"{growth / 2**20:.0f} MiB more than before"
