"""Is damage ever taken for data: `python -m benchmarks.corruption` writes results/corruption.json.

An installation in this process has models of every family with two versions each, their batches, and weights that were
uploaded. Each trial damages one stored file, drawn at random: a byte is another, the end is cut off, or the bytes are
those of another blob of the same installation. Then everything that reads this file does: `get`, a file that is opened,
read and verified as the service does, the worker's absorbing, each HTTP call that needs it, and the doctor. Each has to
say that this very blob is damaged: an answer, or another error, is counted as silent. At the beginning and at the end
all files are whole, and every reading of each succeeds.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.progress import track

from bayes import Posterior
from benchmarks import record
from benchmarks.figures import Claim
from benchmarks.live.stored import Blob, Installation, Kind, installation
from store.doctor import examine
from store.errors import BlobCorrupt
from worker.absorb import absorb

TRIALS, SEED = 10_000, 1
EXAMINED_AT_ONCE = 10
"""The doctor reads everything: it is asked once about so many damaged files, and has to name each."""
_numbers = count(1)
KINDS: tuple[Kind, ...] = ("posterior", "batch", "weights")
DAMAGES = ("flipped", "cut off", "swapped")

Reading = Callable[[Installation, Blob], Awaitable[str | None]]
"""Reads the blob; the digest that is said to be damaged, or None."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS, help="of fewer than 10,000, nothing is kept")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    logging.getLogger("posterity").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(measure(Path(folder), trials=given.trials, seed=given.seed)) | record.surroundings()
    if given.trials >= TRIALS:
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
            for trial in together:
                counts.add("doctor", is_silent=not _is_named(trial.blob, wrong))
        await _require_whole(made)
    return {
        "what": "stored files damaged, and readings of them that did not say so",
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


def readings_of(blob: Blob) -> dict[str, Reading]:
    """Everything that reads such a blob, by its name."""
    found: dict[str, Reading] = {
        "store: get": _of(lambda made, blob: made.folder.get(blob.digest)),
        "store: open and verify": _of(_opened),
        "worker: absorb": _of(_absorbed),
        "GET blob": _asked(lambda blob: ("GET", f"/v1/blobs/{blob.digest}", None)),
    }
    if blob.kind == "weights":
        found["POST model"] = _asked(lambda blob: ("POST", "/v1/models", _described(blob)))
    if blob.kind == "posterior":
        version = f"/v1/models/{blob.model}/versions/{blob.version}"
        found["GET posterior"] = _asked(lambda _: ("GET", f"{version}/posterior", None))
        found["GET compare"] = _asked(lambda _: ("GET", f"{version}/compare/{blob.version}", None))
        found["POST predictions"] = _predicted
        if blob.claim.description["family"] != "point":
            found["POST predictions, draws"] = _drawn
    return found


def _of(read: Callable[[Installation, Blob], object]) -> Reading:
    async def reading(made: Installation, blob: Blob) -> str | None:
        try:
            read(made, blob)
        except BlobCorrupt as error:
            return str(error.facts["digest"])
        except Exception as error:  # noqa: BLE001 - Whatever it is, it does not say what is damaged.
            return type(error).__name__
        return None

    return reading


def _asked(request: Callable[[Blob], tuple[str, str, Any]]) -> Reading:
    async def reading(made: Installation, blob: Blob) -> str | None:
        method, url, body = request(blob)
        return _named(await made.client.request(method, url, json=body), blob)

    return reading


async def _predicted(made: Installation, blob: Blob) -> str | None:
    url = f"/v1/models/{blob.model}/versions/{blob.version}/predictions"
    method = "mean" if blob.claim.description["family"].startswith("mnf") else "moments"
    return _named(await made.client.post(url, json={**made.bodies[blob.model], "method": method}), blob)


async def _drawn(made: Installation, blob: Blob) -> str | None:
    url = f"/v1/models/{blob.model}/versions/{blob.version}/predictions"
    drawn = {"method": "ensemble", "samples": 2, "seed": next(_numbers)}
    return _named(await made.drawing.post(url, json={**made.bodies[blob.model], **drawn}), blob)


def _named(answer: httpx.Response, blob: Blob) -> str | None:
    if answer.is_success:
        return None
    body = answer.json()
    is_named = (answer.status_code, body["code"]) == (500, "blob-corrupt") and blob.digest in body["detail"]
    return blob.digest if is_named else str(body["code"])


def _is_named(blob: Blob, wrong: Sequence[str]) -> bool:
    return any(sentence.startswith(f"{blob.model}: ") and blob.digest in sentence for sentence in wrong)


def _opened(made: Installation, blob: Blob) -> None:
    with made.folder.open(blob.digest) as file:
        try:
            if blob.kind == "posterior":
                Posterior.read(file)
            else:
                file.read()
        finally:
            file.verify()  # Damaged bytes are the better explanation, as in service/loaded.py.


def _absorbed(made: Installation, blob: Blob) -> None:
    absorb(blob.claim, made.folder, device="cpu", missing_labels=[], progress=lambda _: None, check=lambda: None)


def _described(blob: Blob) -> Mapping[str, Any]:
    stated = {name: value for name, value in blob.claim.description.items() if name != "recipe"}
    prior = {"kind": "weights", "blob": blob.digest, "sigma": 0.1}
    return stated | {"name": f"around-{next(_numbers)}", "prior": prior}


def claims(result: Mapping[str, Any]) -> Sequence[Claim]:
    silent, readings = sum(result["silent"].values()), sum(result["readings"].values())
    return [
        Claim(
            f"Readings that took a damaged posterior, batch or weights file for whole: of {len(result['readings'])} "
            "kinds, by the service, the worker, the doctor and the store itself",
            f"{silent} of {readings:,}, in {result['trials']:,} trials on {result['blobs']} files",
            "0",
            silent == 0,
        )
    ]


if __name__ == "__main__":
    main()
