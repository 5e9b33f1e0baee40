"""Every benchmark but the paper's experiments, one after another, and then the table: `python -m benchmarks`.

One that fails does not keep the others from their turn. They want the machine for themselves.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import table


def main() -> int:
    """How many scripts failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder that has MNIST; scripts that need it are left out else")
    parser.add_argument("--quick", action="store_true", help="short runs of those that have one; nothing is kept")
    given = parser.parse_args()
    failed = []
    for script in table.SCRIPTS:
        if (given.quick and not script.can_be_quick) or (script.needs_data and given.data is None):
            print(f"left out: {script.name}")
            continue
        print(f"running: {script.name}", flush=True)
        if subprocess.run(command(script, given.data, quick=given.quick), check=False).returncode:
            failed.append(script.name)
    if not given.quick:
        table.main()
    if failed:
        print(f"failed: {', '.join(failed)}")
    return len(failed)


def command(script: table.Script, data: Path | None, *, quick: bool) -> Sequence[str]:
    stated = ["--data", str(data)] if script.needs_data else []
    return [sys.executable, "-m", f"benchmarks.{script.name}", *stated, *(["--quick"] if quick else [])]


if __name__ == "__main__":
    sys.exit(main())
