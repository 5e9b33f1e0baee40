"""benchmarks/README.md says what the results beside it say: `python -m benchmarks.table` writes its tables anew.

The words around the tables are by hand. A script that is not in SCRIPTS is in no table, and a test notices.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import (
    claimed,
    corruption,
    delayed_labels,
    first_prediction,
    footprint,
    forgetting,
    fuzz,
    hostile_api,
    hostile_clients,
    ingest,
    listeners,
    many_versions,
    over_http,
    poisoned_stream,
    record,
    rollback_under_load,
    sleeping_listeners,
    surprise,
    ten_thousand_versions,
    while_training,
)
from benchmarks.figures import Claim
from benchmarks.paper.page import BLOCK
from benchmarks.paper.tables import markdown

PAGE = Path(__file__).with_name("README.md")
HEADINGS = ["claim", "bound", "found", "holds", "commit and machine", "script"]
PAPER = [
    "Which claims of the paper hold, with what figures",
    "",
    "[the page](../docs/paper.md), made of `results/paper/*.json`",
    "",
    "on the page",
    "`make paper DATA=<folder>`, `LAPTOP=1` for two cores",
]

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Script:
    """A module of this folder that writes results/<name>.json, and what it claims of that."""

    name: str
    claims: Callable[[Result], Sequence[Claim]]
    needs_data: bool = False
    """It takes the folder that has MNIST."""
    can_be_quick: bool = False
    """It takes --quick, and then keeps nothing."""


SCRIPTS = (
    Script("predict", claimed.predict, needs_data=True),
    Script("quality", claimed.quality, needs_data=True),
    Script("over_http", over_http.claims, can_be_quick=True),
    Script("first_prediction", first_prediction.claims, can_be_quick=True),
    Script("many_versions", many_versions.claims, can_be_quick=True),
    Script("ten_thousand_versions", ten_thousand_versions.claims, can_be_quick=True),
    Script("rollback", claimed.rollback),
    Script("rollback_under_load", rollback_under_load.claims, can_be_quick=True),
    Script("listeners", listeners.claims, can_be_quick=True),
    Script("sleeping_listeners", sleeping_listeners.claims, can_be_quick=True),
    Script("ingest", ingest.claims, can_be_quick=True),
    Script("delayed_labels", delayed_labels.claims, can_be_quick=True),
    Script("while_training", while_training.claims, can_be_quick=True),
    Script("footprint", footprint.claims, can_be_quick=True),
    Script("corruption", corruption.claims),
    Script("hostile_clients", hostile_clients.claims, can_be_quick=True),
    Script("poisoned_stream", poisoned_stream.claims, needs_data=True),
    Script("surprise", surprise.claims, needs_data=True),
    Script("forgetting", forgetting.claims, needs_data=True),
    Script("step", claimed.step),
    Script("out_of_the_box", claimed.out_of_the_box, needs_data=True),
    Script("fuzz", fuzz.claims),
    Script("hostile_api", hostile_api.claims),
)


def main() -> None:
    PAGE.write_text(made(PAGE.read_text(), record.RESULTS))


def made(text: str, results: Path) -> str:
    """The text with its tables made of the results in the folder."""
    blocks = {"claims": markdown(claims_table(results)), "while-training": beside_training(results)}
    return BLOCK.sub(lambda match: f"<!-- results: {match[1]} -->\n{blocks[match[1]]}\n<!-- end of results -->", text)


def claims_table(results: Path) -> list[list[str]]:
    """The headings, and a row for each claim of each script; one that has no result yet says so."""
    return [HEADINGS, *(row for script in SCRIPTS for row in rows_of(script, results)), PAPER]


def rows_of(script: Script, results: Path) -> list[list[str]]:
    command = f"`python -m benchmarks.{script.name}{' --data <folder>' if script.needs_data else ''}`"
    if (result := read(script.name, results)) is None:
        return [["", "", "no result yet", "", "", command]]
    around = f"{result['commit']}, {result['machine']}"
    linked = f"[{script.name}](results/{script.name}.json): {command}"
    return [[*claim.cells, around, linked] for claim in script.claims(result)]


def beside_training(results: Path) -> str:
    result = read("while_training", results)
    return "No result yet." if result is None else markdown(while_training.table(result))


def read(name: str, results: Path) -> Result | None:
    path = results / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else None


if __name__ == "__main__":
    main()
