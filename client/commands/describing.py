"""`posterity describe`: a model's description from rows of one's own; `models create --from` posts it at once."""

import json
from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import Columns, Drop, Label, Resize, chosen, say
from client.describing import Described, Kind, describe, name_of
from client.errors import UnusableArray
from client.sources import Reading, size_of, sources_of

app = typer.Typer()

As = Annotated[Kind | None, typer.Option("--as", help="What the labels are; seen in them if not given.")]
Name = Annotated[str | None, typer.Option(help="The model's name; like the file's if not given.")]
Rows = Annotated[
    Path, typer.Argument(metavar="FILE", help="Labeled rows, as of `posterity ingest`: CSV, npz, images; - for stdin.")
]


@app.command("describe")
def describe_rows(
    file: Rows,
    *,
    label: Label = None,
    columns: Columns = None,
    drop: Drop = None,
    kind: As = None,
    resize: Resize = None,
    name: Name = None,
    as_json: Annotated[bool, typer.Option("--json", help="Only JSON, also of what there is to know.")] = False,
) -> None:
    """Look at labeled rows and print a model's description for them, to post as it is or to change.

    Words and few small whole numbers in the label are classes, other numbers are measured. The mean and the standard
    deviation of each column are written into it, so that columns of any scale are learned alike. The names of
    a header are kept with the model, and the columns of later files are found by them.
    """
    found = described(
        file, name or name_of(file), label=label, columns=columns, drop=drop, kind=kind, resize=size_of(resize)
    )
    if as_json:
        told = {"remarks": list(found.remarks), "columns": list(found.columns)}
        typer.echo(json.dumps({"description": found.description, **told}))
        return
    lines = (f"{json.dumps(key)}: {json.dumps(part)}" for key, part in found.description.items())
    typer.echo("{" + ",\n ".join(lines) + "}")
    remark(found)


def described(
    file: Path,
    name: str,
    *,
    label: str | None,
    columns: str | None,
    drop: list[str] | None,
    kind: Kind | None,
    resize: tuple[int, int] | None,
) -> Described:
    """The description that the rows of the file or folder ask for.

    Raises:
        UnreadableFile, UnusableArray: there is nothing to describe a model by.
    """
    named = chosen(label, columns, drop)
    found = sources_of([file], Reading(is_labeled=True, chosen=named, size=resize))
    if not found:
        raise UnusableArray(f"{file} has no rows", "name a CSV, an npz or a folder of images")
    return describe(found[0].rows, name, chosen=named, kind=kind)


def remark(found: Described) -> None:
    """What there is to know about the description is on stderr."""
    for sentence in found.remarks:
        say(f"note: {sentence}")
