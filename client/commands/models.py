"""`posterity models`: list, show, create."""

import json
from pathlib import Path
from typing import Annotated

import typer

from client.commands.describing import As, described, remark
from client.commands.options import (
    LOCAL,
    AsJson,
    Columns,
    Drop,
    Label,
    ModelName,
    Resize,
    Url,
    contents,
    service_at,
)
from client.describing import name_of
from client.errors import ClientProblem
from client.sources import size_of
from client.tables import models_table, print_json, print_resource, print_resources
from client.values import Json

app = typer.Typer(invoke_without_command=True, help="List the models; show or create one.")


class DescriptionUnreadable(ClientProblem):
    """What was given as a description is none."""

    code, title = "description-unreadable", "The description cannot be read"


Description = Annotated[Path | None, typer.Option("--file", "-f", help="A JSON description; - for stdin.")]
From = Annotated[
    Path | None,
    typer.Option("--from", help="Labeled rows instead, as of `posterity describe`: CSV, npz, a folder of images."),
]
NewName = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="Its name; that of the description or file if not given.")
]


@app.callback()
def models(context: typer.Context, url: Url = LOCAL, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_models(url=url, as_json=as_json)


@app.command("list")
def list_models(url: Url = LOCAL, as_json: AsJson = False) -> None:
    """List the models: head, versions, rows, what is pending."""
    with service_at(url) as client:
        print_resources(client.models(), models_table, as_json=as_json)


@app.command("show")
def show_model(
    model: ModelName,
    url: Url = LOCAL,
    as_json: Annotated[bool, typer.Option("--json", help="As without it; errors are JSON as well.")] = False,  # noqa: ARG001 - told apart by `Commands`.
) -> None:
    """Print all that the service knows of a model, as JSON."""
    with service_at(url) as client:
        print_json(client.model(model).raw)


@app.command("create")
def create_model(  # noqa: PLR0913 - each is an option of the command.
    name: NewName = None,
    *,
    file: Description = None,
    rows: From = None,
    label: Label = None,
    columns: Columns = None,
    drop: Drop = None,
    kind: As = None,
    resize: Resize = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Create the model that a JSON file describes, or that labeled rows ask for; the same again changes nothing."""
    if (file is None) == (rows is None):
        raise typer.BadParameter("give either --file or --from")
    if rows is not None:
        found = described(
            rows,
            name or name_of(rows),
            label=label,
            columns=columns,
            drop=drop,
            kind=kind,
            resize=size_of(resize),
        )
        remark(found)
        description = found.description
    else:
        assert file is not None
        description = _read(file)
        if name is not None:
            description = {**description, "name": name}
    with service_at(url) as client:
        print_resource(client.create_model(description), models_table, as_json=as_json)


def _read(file: Path) -> Json:
    """The description in the file.

    Raises:
        UnreadableFile, DescriptionUnreadable: there is none.
    """
    try:
        description = json.loads(contents(file))
    except ValueError as error:
        raise DescriptionUnreadable(
            f"The description is not JSON: {error}", "correct it, or let `posterity describe` write one"
        ) from error
    if not isinstance(description, dict):
        raise DescriptionUnreadable(
            "The description is no JSON object", "write one as docs/models.md shows, or let `posterity describe` do it"
        )
    return description
