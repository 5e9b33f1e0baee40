"""`python -m client.demo`: a service of its own, the steps, and nothing left running."""

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from client.client import Client
from client.demo import steps
from client.demo.data import Dataset, DatasetName, load_dataset
from client.demo.place import LOG_NAME, data_directory, service_environment
from client.demo.process import log_tail, running_service
from client.demo.report import Report
from client.errors import ClientProblem, Unreachable

LOG_COLUMNS = 120


def demo(
    *,
    dataset: Annotated[DatasetName, typer.Option(envvar="DATASET", help="Real rows to stream.")] = DatasetName.DIGITS,
    data: Annotated[
        Path, typer.Option(envvar="DATA", help="Folder with MNIST/raw; MNIST is fetched into it when absent.")
    ] = Path("data"),
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar="POSTERITY_DATA_DIR", help="Keep the ledger and blobs here; temporary if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the shuffle and of the noise images.")] = 1,
) -> None:
    """Stream real labeled batches through a service of its own, and check what Posterity promises."""
    report = Report(Console(width=None if sys.stdout.isatty() else LOG_COLUMNS))
    began = time.monotonic()
    generator = np.random.default_rng(seed)
    try:
        with data_directory(data_dir) as directory:
            environment = service_environment(directory, is_temporary=data_dir is None)
            rows = load_dataset(dataset, data, generator, announce=report.say)
            perform(rows, report, generator=generator, environment=environment)
    except (ClientProblem, OSError) as error:
        Console(stderr=True, highlight=False, markup=False).print(f"\nposterity demo: {error}", soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        Console(stderr=True).print("\nposterity demo: stopped; nothing is left running.")
        raise typer.Exit(130) from interrupt
    report.title(f"All {report.checks} checks hold, after {time.monotonic() - began:.0f} seconds.")
    kept = f"The ledger and the blobs stay in {data_dir}." if data_dir else "The temporary directory is removed."
    report.say(f"Nothing is left running. {kept}")


def perform(dataset: Dataset, report: Report, *, generator: np.random.Generator, environment: dict[str, str]) -> None:
    """All steps were done on a service that kept its data in the directory and is stopped again."""
    rows = sum(map(len, dataset.batches))
    report.title(f"Posterity demo: {dataset.source}")
    report.say(
        f"{rows:,} rows in {len(dataset.batches)} batches, posted one after another; "
        f"{len(dataset.held_out):,} rows are held out and never posted."
    )
    directory = Path(environment["POSTERITY_DATA_DIR"])
    log = directory / LOG_NAME
    try:
        with running_service(environment, log=log) as url, Client(url) as client:
            report.say(f"A service and its worker run at {url}, and keep their data in {directory}.")
            report.say(
                "Head predicts each batch before it is posted; then the worker absorbs it into a new version, whose"
            )
            report.say("prior is the version before. NLL is in nats per row, ECE is over 15 bins of confidence.")
            name = steps.free_name(client, dataset.name)
            client.create_model(dataset.description(name))
            shown = steps.Demo(client=client, report=report, dataset=dataset, model=name)
            steps.stream(shown)
            steps.check_chain(shown)
            steps.show_ten(shown)
            steps.show_noise(shown, generator)
            steps.roll_back_and_forth(shown)
            steps.show_history(shown)
    except Unreachable as error:
        raise ClientProblem(f"The demo's service stopped answering. Its last words:\n{log_tail(log)}") from error


def main() -> None:
    """Run the command; SIGTERM unwinds it as Ctrl-C does, so that the service is stopped."""
    signal.signal(signal.SIGTERM, _leave)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(demo)
    app(prog_name="posterity demo")


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler.
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
