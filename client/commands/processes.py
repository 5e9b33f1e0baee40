"""Commands that become another process of the house; nothing of it is imported here."""

import os
import sys
from typing import Annotated, NoReturn

import typer

from client.commands.options import LOCAL, Url, key_of_environment
from client.doctor import examine, of_books, show
from client.tables import console

app = typer.Typer()
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def become(module: str, *arguments: str) -> NoReturn:
    """The module now runs in place of this process."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is the point.


@app.command()
def serve(
    host: Annotated[str | None, typer.Option("--host", "-h", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", help="0 picks a free one.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", "-w", help="Workers to start with it.")] = None,
) -> None:
    """Run the service, with its workers, until it is stopped."""
    given = {"--host": host, "--port": port, "--workers": workers}
    stated = [(name, str(value)) for name, value in given.items() if value is not None]
    become("service", *(part for option in stated for part in option))


@app.command()
def worker() -> None:
    """Run one more worker, on this machine's settings, until it is stopped.

    It shares the queue with every other worker of the same database, and needs the blobs that they see.
    """
    become("worker")


@app.command()
def migrate() -> None:
    """Bring the database that POSTERITY_DATABASE_URL names to the present schema; doing it again changes nothing.

    Without that variable it is the SQLite file under POSTERITY_DATA_DIR, which `posterity serve` migrates by itself.
    """
    become("store", "migrate")


@app.command(context_settings=PASSED_ON)
def collect(context: typer.Context) -> None:
    """Remove the bytes that nothing names, on this machine's settings (`posterity collect --help`)."""
    become("store", "collect", *context.args)


@app.command(context_settings=PASSED_ON)
def backup(context: typer.Context) -> None:
    """Copy the ledger and all that it names into a folder, while it is used (`posterity backup --help`)."""
    become("store", "backup", *context.args)


@app.command(context_settings=PASSED_ON)
def demo(context: typer.Context) -> None:
    """Watch the whole chain on real data, in a temporary directory (`posterity demo --help`)."""
    become("client.demo", *context.args)


@app.command()
def doctor(
    *,
    remote: Annotated[
        bool, typer.Option("--remote", help="The service runs elsewhere: look only at what can be seen from here.")
    ] = False,
    books: Annotated[
        bool,
        typer.Option("--books", help="Look at the ledger and its bytes alone, such as those of a copy."),
    ] = False,
    url: Url = LOCAL,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each check.")] = False,
) -> None:
    """Look at all that a service and its users need, and say what to do next; exit 1 when anything fails.

    That is: Python and the packages, the devices of torch, the service, the key and what it allows, the port, the
    settings and where they are from, folder and space, database and migration, clocks, workers, blobs; then the books,
    and the digest of every posterior, batch and weights file.
    """
    if remote and books:
        raise typer.BadParameter("the books are looked at where the service runs: give either --remote or --books")
    is_well = True
    for check in of_books() if books else examine(url, key=key_of_environment(), is_remote=remote):
        show(check, console=console(), as_json=as_json)
        is_well = is_well and check.state != "fail"
    if not is_well:
        raise typer.Exit(1)
