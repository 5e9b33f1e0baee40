"""Is damage ever taken for data: `python -m benchmarks.corruption` writes results/corruption.json.

An installation in this process has models of every family with two versions each, their batches, and weights that were
uploaded. Each trial damages one stored file, drawn at random: a byte is another, the end is cut off, or the bytes are
those of another blob of the same installation. Then everything that reads this file does: `get`, a file that is opened,
read and verified as the service does, the worker's absorbing, each HTTP call that needs it, and the doctor. Each has to
say that this very blob is damaged: an answer, or another error, is counted as silent. At the beginning every reading of
every file succeeds. Runs of one commit with several seeds are kept together: `--trials 2500 --seed 2`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks import record
from benchmarks.figures import Claim
from benchmarks.live.readings import readings_of
from benchmarks.live.stored import Blob, Installation, Kind, installation
from store.doctor import examine

TRIALS, SEED = 10_000, 1
EXAMINED_AT_ONCE = 25
"""The doctor reads everything: it is asked once for so many trials, and has to name each file that they damaged."""
KINDS: tuple[Kind, ...] = ("posterior", "batch", "weights")
DAMAGES = ("flipped", "cut off", "swapped")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    logging.getLogger("posterity").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        run = asyncio.run(measure(Path(folder), trials=given.trials, seed=given.seed))
    result = {
        "what": "stored files damaged, and readings of them that did not say so",
        **record.surroundings(),
    }
    result["runs"] = [*others(result["commit"], seed=given.seed), run]
    record.write("corruption", result)
    for claim in claims(result):
        Console().print(*claim.cells, sep="; ", soft_wrap=True)


@dataclass(frozen=True)
class Trial:
    """A blob, and what its file is made to hold."""

    blob: Blob
    damage: str
    data: bytes


@dataclass
class Counts:
    damaged: Counter[str] = field(default_factory=Counter)
    readings: Counter[str] = field(default_factory=Counter)
    silent: Counter[str] = field(default_factory=Counter)

    def add(self, reading: str, *, is_silent: bool) -> None:
        self.readings[reading] += 1
        self.silent[reading] += is_silent


def others(commit: str, *, seed: int) -> list[dict[str, Any]]:
    """The runs with other seeds that were kept of this commit."""
    path = record.RESULTS / "corruption.json"
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"commit": None}
    return [run for run in kept["runs"] if run["seed"] != seed] if kept["commit"] == commit else []


async def measure(folder: Path, *, trials: int, seed: int) -> dict[str, Any]:
    """How often each reading was asked of damaged bytes, and how often it did not say so."""
    drawn, counts = np.random.default_rng(seed), Counts()
    async with installation(folder, seed) as made:
        await _require_whole(made)
        for first in track(range(0, trials, EXAMINED_AT_ONCE), description="trials"):
            together = [_trial(made, drawn) for _ in range(min(EXAMINED_AT_ONCE, trials - first))]
            for trial in together:
                counts.damaged[f"{trial.blob.kind} {trial.damage}"] += 1
                with _in_place(made, [trial]):
                    for name, read in readings_of(trial.blob).items():
                        counts.add(name, is_silent=await read(made, trial.blob) != trial.blob.digest)
            with _in_place(made, together):
                wrong = examine(made.house.engine, made.folder).wrong
            for trial in {trial.blob.digest: trial for trial in together}.values():
                counts.add("doctor", is_silent=not _is_named(trial.blob, wrong))
        assert examine(made.house.engine, made.folder).wrong == ()
    return {
        "seed": seed,
        "trials": trials,
        "blobs": len(made.blobs),
        "damaged": dict(sorted(counts.damaged.items())),
        "readings": dict(sorted(counts.readings.items())),
        "silent": {name: counts.silent[name] for name in sorted(counts.readings)},
    }


async def _require_whole(made: Installation) -> None:
    """Nothing is damaged, and every reading of everything succeeds."""
    assert examine(made.house.engine, made.folder).wrong == ()
    for blob in made.blobs:
        for name, read in readings_of(blob).items():
            assert await read(made, blob) is None, f"{name} of a whole {blob.kind} of {blob.model}"


def _trial(made: Installation, drawn: np.random.Generator) -> Trial:
    kind = KINDS[drawn.integers(len(KINDS))]
    alike = [blob for blob in made.blobs if blob.kind == kind]
    blob, damage = alike[drawn.integers(len(alike))], DAMAGES[drawn.integers(len(DAMAGES))]
    return Trial(blob, damage, _damaged(made, blob, damage, drawn))


@contextmanager
def _in_place(made: Installation, trials: Sequence[Trial]) -> Iterator[None]:
    """Meanwhile these files hold what the trials say; of two of one file, the last."""
    whole = {path: path.read_bytes() for path in (made.folder.path(trial.blob.digest) for trial in trials)}
    for trial in trials:
        made.folder.path(trial.blob.digest).write_bytes(trial.data)
    yield
    for path, data in whole.items():
        path.write_bytes(data)


def _damaged(made: Installation, blob: Blob, damage: str, drawn: np.random.Generator) -> bytes:
    data = bytearray(made.folder.path(blob.digest).read_bytes())
    match damage:
        case "flipped":
            data[drawn.integers(len(data))] ^= int(drawn.integers(1, 256))
        case "cut off":
            del data[drawn.integers(len(data)) :]
        case _:
            others = [one.digest for one in made.blobs if one.digest != blob.digest]
            return made.folder.path(others[drawn.integers(len(others))]).read_bytes()
    return bytes(data)


def _is_named(blob: Blob, wrong: Sequence[str]) -> bool:
    return any(sentence.startswith(f"{blob.model}: ") and blob.digest in sentence for sentence in wrong)


def claims(result: Mapping[str, Any]) -> Sequence[Claim]:
    runs = result["runs"]
    trials = sum(run["trials"] for run in runs)
    readings = sum(sum(run["readings"].values()) for run in runs)
    silent = sum(sum(run["silent"].values()) for run in runs)
    seeds = ", ".join(str(run["seed"]) for run in runs)
    return [
        Claim(
            f"Readings, of {len(runs[0]['readings'])} kinds by the service, the worker, the doctor and the store, that "
            "took a damaged posterior, batch or weights file for whole",
            f"{silent} of {readings:,}, in {trials:,} trials on {runs[0]['blobs']} files; seed {seeds}",
            f"0 in {TRIALS:,} trials",
            silent == 0 and trials >= TRIALS,
        )
    ]


if __name__ == "__main__":
    main()
