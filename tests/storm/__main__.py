"""`python -m tests.storm`: the whole house under fire, and its books afterwards. A seed makes a storm."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path

from tests.storm.run import ENGINES, storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--engine", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long the faults go on, for each engine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for the reports, storm-ENGINE.json")
    asked = parser.parse_args()
    # A storm that is told to stop leaves nothing mounted and nobody running.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(1))
    wrong = 0
    for engine in ENGINES if asked.engine == "both" else [asked.engine]:
        with tempfile.TemporaryDirectory(prefix="posterity-storm-") as folder:
            report = storm(Path(folder), engine=engine, seconds=asked.seconds, seed=asked.seed)
        wrong += len(report["wrong"])
        text = json.dumps(report, indent=2)
        sys.stdout.write(f"{text}\n")
        if asked.out is not None:
            asked.out.mkdir(parents=True, exist_ok=True)
            (asked.out / f"storm-{engine}.json").write_text(f"{text}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
