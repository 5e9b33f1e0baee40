"""`posterity export` and `posterity import`: a version as a file, and a model that goes on from one."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from client.client import Client
from client.commands.options import LOCAL, AsJson, ModelName, Url, contents, say, service_at
from client.errors import UnwritableFile
from client.tables import models_table, print_json, print_resource

app = typer.Typer()


class Format(StrEnum):
    ZIP = "zip"
    STATE_DICT = "state_dict"
    JSON = "json"
    POSTERIOR = "posterior"


SUFFIX = {Format.ZIP: "zip", Format.STATE_DICT: "pt", Format.JSON: "json", Format.POSTERIOR: "safetensors"}

Version = Annotated[int | None, typer.Option(help="The version; head's when not given.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; - for stdout.")]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        help="zip: to import elsewhere; state_dict: mean weights for plain torch; json: what is told of "
        "it; posterior: its own safetensors.",
    ),
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="What `posterity export` wrote; - for stdin.")]
Name = Annotated[str | None, typer.Option(help="What the model is called here; as there when not given.")]


@app.command("export")
def export_version(
    model: ModelName,
    *,
    version: Version = None,
    output: Output = None,
    format_: FormatOption = Format.ZIP,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Write a version to a file: to go on from it elsewhere, or to predict with `bayes` or plain torch alone.

    The file is MODEL-VERSION.zip (.pt, .json) unless --output names another.
    """
    with service_at(url) as client:
        if version is None:
            version = client.alias(model, "head").version
        file = output or Path(f"{model}-{version}.{SUFFIX[format_]}")
        data = _fetched(client, model, version, format_)
        _write(file, data)
        if as_json and str(file) != "-":
            print_json({"model": model, "version": version, "file": str(file), "bytes": len(data)})
        elif str(file) != "-":
            say(f"{file}: {len(data):,} bytes")


@app.command("import")
def import_version(file: File, name: Name = None, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """Create a model that goes on from an exported version; the same again changes nothing."""
    with service_at(url) as client:
        print_resource(client.import_version(contents(file), name, progress=True), models_table, as_json=as_json)


def _fetched(client: Client, model: str, version: int, format_: Format) -> bytes:
    if format_ is Format.POSTERIOR:
        return client.posterior(model, version, progress=True)
    kinds: dict[Format, Literal["zip", "state_dict", "json"]] = {
        Format.ZIP: "zip",
        Format.STATE_DICT: "state_dict",
        Format.JSON: "json",
    }
    return client.export(model, version, format=kinds[format_], progress=True)


def _write(file: Path, data: bytes) -> None:
    """The bytes are in the file, or on stdout for `-`.

    Raises:
        UnwritableFile: they cannot be written there.
    """
    if str(file) == "-":
        sys.stdout.buffer.write(data)
        return
    try:
        file.write_bytes(data)
    except OSError as error:
        raise UnwritableFile(f"{file}: {error.strerror}", "name a file in a folder that you may write to") from error
