"""`python -m benchmarks.paper`: perform what is not there yet, then write the page."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from bayes.devices import usable
from benchmarks.paper import images, page, results
from benchmarks.paper.choice import chosen
from benchmarks.paper.lines import Line
from benchmarks.paper.perform import perform
from benchmarks.paper.sets import Experiment, SetName, experiments
from benchmarks.paper.tables import table

LOG_COLUMNS = 160


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parser().parse_args(arguments)
    asked.device = usable(asked.device)
    asked.jobs = asked.jobs or (os.cpu_count() or 1 if asked.device == "cpu" else 1)
    console = Console(width=None if sys.stdout.isatty() else LOG_COLUMNS)
    wanted = chosen(experiments(asked.size), asked)
    folder = asked.results or (images.cache_folder() / "tuning" if asked.tune else results.FOLDER)
    labels = {line.key: f"{e.name} {row.label} {line.seed}" for e in wanted for row in e.rows for line in row.lines}
    lines = {labels[line.key]: line for e in wanted for line in e.lines}
    left = {label: line for label, line in lines.items() if asked.again or results.read(folder, line) is None}
    console.print(f"{len(lines)} lines, {len(lines) - len(left)} of them in {folder} already.")
    failed: BaseExceptionGroup[BaseException] | None = None
    try:
        absorb_all(left, asked, folder, console)
    except BaseExceptionGroup as group:
        failed = group
    except KeyboardInterrupt:
        console.print("Stopped. What is finished is kept; the same command goes on from there.")
        sys.exit(130)
    for experiment in wanted:
        console.print(shown(experiment, folder))
    if not asked.tune:
        page.write(asked.size, folder, asked.page)
        console.print(f"{asked.page} has the results of the set {asked.size}.")
    if failed is not None:
        raise failed


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(prog="python -m benchmarks.paper", description="The experiments of the paper.")
    size = known.add_mutually_exclusive_group()
    for name in get_args(SetName):
        size.add_argument(f"--{name}", dest="size", action="store_const", const=name, default="full")
    root = os.environ.get("DATA")
    known.add_argument(
        "--data", type=Path, default=root, required=not root, help="root of the data sets; downloaded to it if absent"
    )
    known.add_argument("--only", nargs="+", default=[], metavar="EXPERIMENT")
    known.add_argument("--methods", nargs="+", default=[], metavar="LABEL", help="rows of the tables")
    known.add_argument("--seeds", nargs="+", type=int, default=[])
    known.add_argument("--parts", type=int, help="stop after so many parts")
    known.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE[,VALUE]", help="fields of the recipe")
    known.add_argument("--tune", action="store_true", help="score on rows of the training set, kept out of the parts")
    known.add_argument("--again", action="store_true", help="perform also what is there")
    known.add_argument("--jobs", type=int, help="processes of one thread each; one for each core, or one on a GPU")
    known.add_argument("--device", default="auto", help="cpu, cuda, or auto: CUDA where there is one")
    known.add_argument("--results", type=Path, help="folder of the results")
    known.add_argument("--page", type=Path, default=page.PAGE, help="page to write tables, plots and verdicts into")
    return known


def absorb_all(lines: Mapping[str, Line], asked: argparse.Namespace, folder: Path, console: Console) -> None:
    """The folder has a result of every line; bars say how far each one is."""
    for dataset in sorted({line.dataset for line in lines.values()}):
        images.read(dataset, asked.data, announce=console.print)
    labels = {line.key: label for label, line in lines.items()}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        whole = bars.add_task("all lines", total=len(labels))
        shown: dict[str, TaskID] = {}

        def told(key: str, done: float) -> None:
            if key not in shown:
                shown[key] = bars.add_task(labels[key], total=100)
            bars.update(shown[key], completed=round(100 * done), visible=done < 1)
            bars.update(whole, completed=sum(bars.tasks[bar].finished for bar in shown.values()))

        perform(list(lines.values()), asked.data, folder, device=asked.device, processes=asked.jobs, told=told)


def shown(experiment: Experiment, folder: Path) -> Table:
    headings, *rows = table(experiment, page.found_of(experiment, folder))
    drawn = Table(*headings, title=experiment.title)
    for row in rows:
        drawn.add_row(*row)
    return drawn


if __name__ == "__main__":
    main()
