"""The end of a measurement: its claims are on the terminal, and the result is kept unless the run was a short one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import record
from benchmarks.figures import Claim


def is_quick(description: str) -> bool:
    """True where the command line asks for a short run, which shows that the script works and keeps nothing."""
    asked: bool = options(description).parse_args().quick
    return asked


def options(description: str) -> argparse.ArgumentParser:
    """What reads the command line of a script that takes more than `--quick`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a short run that writes no result")
    return parser


def finish(name: str, result: Mapping[str, Any], claims: Sequence[Claim], *, quick: bool) -> None:
    """The claims are printed, and unless the run was quick, results/<name>.json holds the result."""
    if not quick:
        record.write(name, result)
    shown = Table("claim", "bound", "figure", "holds", title=f"{name}, quick" if quick else name)
    for claim in claims:
        shown.add_row(*claim.cells)
    Console().print(shown)
