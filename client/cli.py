"""The command line, `posterity`: its commands live in `client.commands`."""

from importlib.metadata import version
from typing import Annotated

import typer

from client.commands import (
    blobs,
    calibration,
    chain,
    describing,
    events,
    exports,
    keys,
    labels,
    models,
    processes,
    rows,
    taking_back,
    webhooks,
)
from client.commands.ending import Commands
from client.commands.grouped import group

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(describing.app)
app.add_typer(models.app, name="models")
app.add_typer(rows.app)
app.add_typer(chain.app)
app.add_typer(calibration.app)
app.add_typer(events.app)
app.add_typer(taking_back.app)
app.add_typer(labels.app)
app.add_typer(exports.app)
app.add_typer(blobs.app, name="blobs")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(keys.app, name="keys")
app.add_typer(processes.app)


def print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"posterity {version('posterity')}")
        raise typer.Exit


@app.callback()
def posterity(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=print_version, help="Print the version.")
    ] = False,
) -> None:
    """Post labeled batches, get Bayesian versions, predict with uncertainty from any of them, roll back."""


group(app)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
