"""What all commands share: the service's URL, JSON on request, and one readable line when the world fails."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from client.client import Client
from client.errors import ClientProblem, UnreadableFile

LOCAL = "http://127.0.0.1:8000"

Url = Annotated[str, typer.Option(envvar="POSTERITY_URL", help="Where the service listens.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the service's own JSON.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the alias's history.")]


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

    What the world does wrong ends the command with one line on stderr and exit code 1.
    """
    try:
        with Client(url, key=key_of_environment(), attempts_max=3) as client:
            yield client
    except ClientProblem as error:
        say(f"posterity: {error}")
        raise typer.Exit(1) from error


def contents(file: Path) -> bytes:
    """The bytes of the file, or of stdin for `-`.

    Raises:
        UnreadableFile: there is no such file, or it may not be read.
    """
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{file}: {error.strerror}") from error
