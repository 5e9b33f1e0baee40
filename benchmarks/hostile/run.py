"""Schemathesis, in a process of its own, against a service that has been prepared; and what it saw, counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from benchmarks.hostile.counts import Counts
from benchmarks.hostile.models import prepare
from benchmarks.live.processes import ROOT

CONFIG = Path(__file__).with_name("schemathesis.toml")
PHASES = ("examples", "coverage", "fuzzing", "stateful")
AGAIN = ("fuzzing", "stateful")
"""The others say the same every time."""
SECONDS_MAX = 1800
ANSWER_SECONDS_MAX = 60
"""The first net of torchvision is long in coming where the machine is busy."""


def attack(
    url: str,
    folder: Path,
    *,
    cases: int,
    seed: int,
    examples: int,
    headers: Mapping[str, str],
    phases: Sequence[str] = PHASES,
) -> Counts:
    """At least so many cases, in rounds of so many examples for a call; the seed of each round is one more."""
    with httpx.Client(base_url=url, headers=headers, timeout=60.0) as client:
        prepare(client)
        counts = Counts(client.get("/openapi.json").raise_for_status().json())
    while counts.cases < cases:
        before, events = counts.cases, folder / f"events-{seed}.ndjson"
        counts.read(run(url, events, phases=phases, seed=seed, examples=examples, headers=headers))
        events.unlink()
        assert counts.cases > before, "Schemathesis sent nothing"
        seed, phases = seed + 1, AGAIN
    return counts


def run(url: str, events: Path, *, phases: Sequence[str], seed: int, examples: int, headers: Mapping[str, str]) -> Path:
    """One run of all checks; its events are in the file."""
    options = [
        *("--phases", ",".join(phases), "--seed", str(seed), "--max-examples", str(examples)),
        *("--exclude-operation-id", "listen"),  # Its answer has no end.
        *("--request-timeout", str(ANSWER_SECONDS_MAX)),
        *("--continue-on-failure", "--no-shrink", "--no-color", "--generation-database", "none"),
        *("--report", "ndjson", "--report-ndjson-path", str(events)),
        *(word for name, value in headers.items() for word in ("--header", f"{name}: {value}")),
    ]
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "benchmarks.hostile.hooks", "PYTHONPATH": str(ROOT)}
    with events.with_suffix(".log").open("w") as log:
        done = subprocess.run(
            [*command, f"{url}/openapi.json", *options],
            env=environment,
            cwd=events.parent,  # It leaves a folder of its own where it runs.
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=SECONDS_MAX,
        )
    assert done.returncode in {0, 1}, events.with_suffix(".log").read_text()[-3000:]
    return events
