"""Each decoder of bodies under a coverage-guided fuzzer: `python -m benchmarks.fuzz` writes results/fuzz.json.

atheris (libFuzzer) makes a million bodies for each decoder, from valid ones that code makes and by mutations that know
their structure; benchmarks/fuzzing has both. A decoder reads a body or refuses it by a declared problem. Anything else
is a fault: another error, an accepted body whose stored form reads otherwise, more than a second of processor time for
a body of at most 16 KiB, or 64 MiB more resident memory than any body before; address space ends 1 GiB above what the
process begins with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.figures import Claim
from benchmarks.fuzzing.child import ENGINE, fuzz
from benchmarks.fuzzing.watch import BODY_BYTES_MAX, GROWTH_BYTES_MAX, SECONDS_MAX
from benchmarks.live import report

EXECUTIONS, SEED = 1_000_000, 1
DECODERS = ("safetensors", "npy", "images", "base64", "raw", "forms")


def main() -> int:
    """1 where a fault was found, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decoder", action="append", choices=DECODERS, help="this one, again for more; others stay")
    parser.add_argument("--executions", type=int, default=EXECUTIONS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    if ENGINE != "atheris":
        print("NOTE: atheris has no wheel for this platform; bodies are made by chance, guided by nothing.")
    is_whole = given.executions >= EXECUTIONS
    found = _found_before(given) if is_whole else {}
    for decoder in given.decoder or DECODERS:
        with tempfile.TemporaryDirectory() as folder:
            figures = fuzz(decoder, Path(folder), executions=given.executions, seed=given.seed)
        found[decoder] = {"commit": record.surroundings()["commit"], **figures}
        print(f"{decoder}: {found[decoder]}", flush=True)
        if is_whole:
            record.write("fuzz", _result(given, found))
    result = _result(given, found)
    report.finish("fuzz", result, claims(result), quick=not is_whole)
    return 0 if all(claim.holds for claim in claims(result)) else 1


def _found_before(given: argparse.Namespace) -> dict[str, Any]:
    """The figures of the decoders that are not fuzzed now, by as many executions of the same seed."""
    path = record.RESULTS / "fuzz.json"
    if not given.decoder or not path.exists():
        return {}
    before = json.loads(path.read_text())
    is_alike = (before["executions"], before["seed"]) == (given.executions, given.seed)
    return dict(before["decoders"]) if is_alike else {}


def _result(given: argparse.Namespace, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "what": "executions of each decoder, branches (edges) that they reached, seconds, and MiB resident at most",
        "executions": given.executions,
        "seed": given.seed,
        "body_bytes_max": BODY_BYTES_MAX,
        "seconds_max": SECONDS_MAX,
        "growth_bytes_max": GROWTH_BYTES_MAX,
        "atheris": version("atheris") if ENGINE == "atheris" else None,
        **record.surroundings(),
        "decoders": {decoder: found[decoder] for decoder in DECODERS if decoder in found},
    }


def claims(result: Mapping[str, Any]) -> list[Claim]:
    """Of each decoder whether a fault was found."""
    return [_claim(decoder, of, result["executions"]) for decoder, of in result["decoders"].items()]


def _claim(decoder: str, of: Mapping[str, Any], asked: int) -> Claim:
    words = f"Faults of the decoder of {decoder} under {of['engine']}: crashes, slow bodies, memory without bound"
    if of["fault"]:
        return Claim(words, f"{len(of['found'])} found", "0", holds=False)
    figure = (
        f"0 in {of['executions']:,}, of which {of['accepted']:,} accepted; {of['seconds']:.0f} s, "
        f"{of.get('edges', 0):,} branches; the slowest {of['slowest_seconds'] * 1000:.0f} ms; memory "
        f"{of['peak_mib']:.0f} MiB at most, {of['peak_mib_before']:.0f} before"
    )
    return Claim(words, figure, "0", of["executions"] >= asked)


if __name__ == "__main__":
    sys.exit(main())
