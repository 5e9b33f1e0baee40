"""How long the first answer takes: `python -m benchmarks.first_prediction` writes results/first_prediction.json.

One image of 28x28 bytes as JSON over one connection, by moments. Of a LeNet-5, each of 40 versions is asked twice: the
first answer needs its posterior read, checked and made ready, the second does not. Of a net of 12.5 million weights,
whose posterior is a file of 100 MB, each of a few versions is read by `Path.read_bytes`, and asked for the first time
and for the second; reading comes first for every other version. Both are done with the file in the page cache, and
again after the kernel was told to drop it (POSIX_FADV_DONTNEED) before the reading, and before the asking. What was
read is kept, as the service keeps what it made ready: memory that a process has not had before is what takes longest.
One version of either net, which is not counted, is asked before all others.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import record
from benchmarks.figures import Claim, figure, number, ratio
from benchmarks.live import digits, report, versions
from benchmarks.live.connections import JSON, Connection, request
from benchmarks.live.processes import service
from client.client import Client
from store.folder import Folder

SEED = 0
SMALL, LARGE = 40, 10
"""Versions of either net; half of the large ones are asked with their files dropped from the page cache."""
LARGE_NET: dict[str, Any] = {**digits.LENET, "name": "large", "net": {"kind": "mlp", "hidden": [3160, 3160]}}

PART_BYTES = 2**20

LATER_MS_MAX = 50.0
READING_MAX = 2.0


def main() -> None:
    quick = report.is_quick("The first answer of a version, beside the second, and beside reading its bytes.")
    small, large = (6, 4) if quick else (SMALL, LARGE)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        with service(data_dir) as server, Client(server.url) as client:
            versions.publish(client, data_dir, digits.LENET, small + 1, seed=SEED)
            versions.publish(client, data_dir, LARGE_NET, large + 1, seed=SEED)
        with service(data_dir, loaded_bytes_max=4 * 2**30) as server:
            files = large_files(server.url, data_dir)
            measured = asyncio.run(measure(server.port, files, small=small))
    result = {
        "what": "milliseconds over HTTP on loopback of a version's first and second answer, and of reading its file",
        "seed": SEED,
        "large_bytes": measured.pop("large_bytes"),
        **record.surroundings(),
        "milliseconds": measured,
    }
    report.finish("first_prediction", result, claims(result), quick=quick)


def large_files(url: str, data_dir: Path) -> list[Path]:
    """The files of the large net's versions 1, 2, … and last."""
    blobs = Folder(data_dir / "blobs")
    with Client(url) as client:
        listed = sorted(client.versions(LARGE_NET["name"]), key=lambda version: version.version)
    return [blobs.path(version.digest) for version in listed if version.version > 0]


async def measure(port: int, files: Sequence[Path], *, small: int) -> dict[str, Any]:
    """Milliseconds of each version; version 1 of either net is asked before, as a process's first answer is slower."""
    (body,) = digits.bodies(digits.rows(1, SEED)[0])
    seen: dict[str, Any] = {
        "small_first": [],
        "small_second": [],
        "cached": {"read": [], "first": [], "second": []},
        "dropped": {"read": [], "first": [], "second": []},
        "large_bytes": files[0].stat().st_size,
    }
    async with Connection(port) as connection:

        async def ask(name: str, version: int) -> float:
            began = time.perf_counter()
            answer = await connection.ask(
                request("POST", f"/v1/models/{name}/versions/{version}/predictions", body, JSON)
            )
            taken = 1000 * (time.perf_counter() - began)
            said = answer.json()
            assert (said["version"], said["method"]) == (version, "moments")
            return round(taken, 3)

        for name in (digits.NAME, LARGE_NET["name"]):
            await ask(name, 1)
        for version in range(2, small + 2):
            seen["small_first"].append(await ask(digits.NAME, version))
            seen["small_second"].append(await ask(digits.NAME, version))
        kept: list[bytes] = []
        for version, file in enumerate(files[1:], start=2):
            is_dropped = version % 2 == 1
            of = seen["dropped" if is_dropped else "cached"]
            for turn in ("read", "first") if version % 4 < 2 else ("first", "read"):
                settle_cache(file, is_dropped=is_dropped)
                of[turn].append(read_ms(file, kept) if turn == "read" else await ask(LARGE_NET["name"], version))
            of["second"].append(await ask(LARGE_NET["name"], version))
    return seen


def read_ms(file: Path, kept: list[bytes]) -> float:
    began = time.perf_counter()
    kept.append(file.read_bytes())
    return round(1000 * (time.perf_counter() - began), 3)


def settle_cache(file: Path, *, is_dropped: bool) -> None:
    """The file is out of the page cache, or in it."""
    with file.open("rb", buffering=0) as opened:
        if is_dropped:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return
        part = bytearray(PART_BYTES)
        while opened.readinto(part):
            continue


def claims(result: Mapping[str, Any]) -> list[Claim]:
    of = result["milliseconds"]
    later = figure([cold - warm for cold, warm in zip(of["small_first"], of["small_second"], strict=True)])
    found = [
        Claim(
            "A version's first prediction beside its next ones, LeNet-5",
            f"{later} ms more than {number(median(of['small_second']))} ms",
            f"≤ {LATER_MS_MAX:g} ms more",
            later.middle <= LATER_MS_MAX,
        )
    ]
    for cache, words in (("cached", "in the page cache"), ("dropped", "dropped from the page cache")):
        times = ratio(of[cache]["first"], of[cache]["read"])
        figures = " and ".join(f"{number(median(of[cache][name]))} ms" for name in ("first", "read"))
        found.append(
            Claim(
                f"The first prediction of a posterior of {result['large_bytes'] / 1e6:.0f} MB beside reading its file, "
                f"which is {words}",
                f"{times}x: {figures}",
                f"≤ {READING_MAX:g}x",
                times.middle <= READING_MAX,
            )
        )
    return found


if __name__ == "__main__":
    main()
