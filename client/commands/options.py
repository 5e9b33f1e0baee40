"""What all commands share: the service's URL, JSON on request, which columns of a file are meant."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from client.client import Client
from client.commands.completing import alias_names, model_names
from client.csv_tables import Chosen
from client.sources import contents
from client.values import Model
from client.wire import LOCAL

__all__ = ["LOCAL", "contents"]

Url = Annotated[str, typer.Option(envvar="POSTERITY_URL", help="Where the service listens.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the service's own JSON; errors are JSON as well.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.", autocompletion=model_names)]
AliasName = Annotated[str, typer.Argument(metavar="ALIAS", help="The alias's name.", autocompletion=alias_names)]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the history.")]
Label = Annotated[str | None, typer.Option("--label", help="The column, or the array, that is the label.")]
Columns = Annotated[
    str | None,
    typer.Option("--columns", help="The columns that are the inputs, in the model's order, with commas between them."),
]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="A column to leave out; once for each.")]
Resize = Annotated[str | None, typer.Option("--resize", help="Scale images to this width and height: 28x28.")]


def chosen(label: str | None, columns: str | None, drop: list[str] | None, *, model: Model | None = None) -> Chosen:
    """The columns that the options name, and those that the model does."""
    named = () if columns is None else tuple(name.strip() for name in columns.split(",") if name.strip())
    return Chosen(label, named, tuple(drop or ()), () if model is None else model.input_names)


def time_of(word: str) -> datetime:
    """The time in UTC that the word names in ISO 8601; without a zone it is read as UTC, as times are printed.

    Raises:
        BadParameter: it is no time, or none of the years 1 to 9999.
    """
    try:
        when = datetime.fromisoformat(word.strip())
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{word!r} is no time; one looks like 2026-11-28T12:00:00Z.") from None


def key_of_environment() -> str | None:
    """The key that POSTERITY_KEY holds, or the file that POSTERITY_KEY_FILE names; None: neither is set.

    There is no option for it: everybody on a machine can read the words of a command.

    Raises:
        UnreadableFile: there is no such file, or it may not be read.
    """
    if key := os.environ.get("POSTERITY_KEY", "").strip():
        return key
    file = os.environ.get("POSTERITY_KEY_FILE", "").strip()
    return contents(Path(file)).decode("latin-1").strip() if file else None


def say(line: str) -> None:
    """The line is on stderr, as it is."""
    Console(stderr=True, highlight=False, markup=False).print(line, soft_wrap=True)


@contextmanager
def service_at(url: str) -> Iterator[Client]:
    """A client with the key of the environment.

    Raises:
        ClientProblem: what the world does wrong; `client.commands.ending` makes one readable line of it.
    """
    with Client(url, key=key_of_environment(), attempts_max=3) as client:
        yield client
