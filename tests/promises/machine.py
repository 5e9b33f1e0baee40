"""The random walk over the ledger, counted: `python -m tests.promises.machine` takes 400 examples on each engine.

A seed gives the same walk again. `--write` keeps the figures in benchmarks/results/promises.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Engine

from benchmarks import record
from store.engine import close, connect
from store.migrate import upgrade
from tests.conftest import ENGINES
from tests.postgres import start_postgres
from tests.promises.agreement import Tally
from tests.promises.ledger_machine import LedgerMachine

EXAMPLES, STEPS, SEED = 400, 50, 0
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder within it is our own
"""Where Linux keeps files in memory: nothing here has to survive."""


def walk(engine: Engine, *, examples: int, steps: int, seed_: int, shrinks: bool = True) -> Tally:
    """So many examples of at most so many steps each, on which the ledger and the plain one agree; what happened.

    `shrinks`: the shortest example that fails is looked for, which takes long.

    Raises:
        Exception: they do not agree, the books are wrong, or the ledger broke; the steps are printed.
    """
    tally = Tally()
    bound = seed(seed_)(type("LedgerMachine", (LedgerMachine,), {"engine": engine, "tally": tally}))
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=(Phase.generate, Phase.shrink) if shrinks else (Phase.generate,),
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(bound, settings=chosen)
    return tally


@contextmanager
def migrated(kind: str) -> Iterator[Engine]:
    """An engine for a new, migrated database of this kind, which is gone afterwards."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
            yield from _opened(f"sqlite:///{folder}/ledger.sqlite")
        return
    server = start_postgres()
    try:
        yield from _opened(server.create_database())
    finally:
        server.stop()


def _opened(url: str) -> Iterator[Engine]:
    engine = connect(url)
    try:
        upgrade(engine)
        yield engine
    finally:
        close(engine)


def measured(kind: str, *, examples: int, steps: int, seed_: int) -> dict[str, Any]:
    """The figures of one walk without a violation."""
    with migrated(kind) as engine:
        began = time.perf_counter()
        tally = walk(engine, examples=examples, steps=steps, seed_=seed_)
        seconds = time.perf_counter() - began
    return {
        "examples": examples,
        "walks": tally.walks,
        "steps": tally.looks,
        "calls": tally.outcomes.total(),
        "violations": 0,
        "seconds": round(seconds, 1),
        "never_occurred": tally.never,
        "outcomes": {f"{rule}: {outcome}": count for (rule, outcome), count in sorted(tally.outcomes.items())},
        "happened": dict(sorted(tally.happened.items())),
    }


def keep(name: str, figures: dict[str, Any]) -> None:
    """benchmarks/results/promises/<name>.json holds the figures."""
    (record.RESULTS / "promises").mkdir(exist_ok=True)
    record.write(f"promises/{name}", figures)


def main() -> int:
    """How many outcomes never occurred."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--steps", type=int, default=STEPS, help="at most so many in each example")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="both, if left out")
    parser.add_argument("--write", action="store_true", help="keep the figures")
    given = parser.parse_args()
    engines = {}
    for kind in given.engine or ENGINES:
        sys.stdout.write(f"{kind}: {given.examples} examples of {given.steps} steps, seed {given.seed}\n")
        sys.stdout.flush()
        found = engines[kind] = measured(kind, examples=given.examples, steps=given.steps, seed_=given.seed)
        for name, value in found.items():
            lines = [f"  {name}: {value}"] if not isinstance(value, dict) else [f"  {k}  {n}" for k, n in value.items()]
            sys.stdout.write("\n".join(lines) + "\n")
    if given.write:
        what = "a random walk over the ledger beside the same in plain Python; the books are looked at after every step"
        figures = {"what": what, "steps_max": given.steps, "seed": given.seed, **record.surroundings()}
        keep("ledger_machine", figures | {"engines": engines})
    return sum(len(found["never_occurred"]) for found in engines.values())


if __name__ == "__main__":
    sys.exit(main())
