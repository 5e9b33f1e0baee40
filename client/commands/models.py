"""`posterity models`: list, show, create."""

import json
from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import LOCAL, AsJson, ModelName, Url, contents, service_at
from client.errors import ClientProblem
from client.tables import models_table, print_json, print_resource, print_resources

app = typer.Typer(invoke_without_command=True, help="List the models; show or create one.")

Description = Annotated[Path, typer.Option("--file", "-f", help="A JSON description; - for stdin.")]


@app.callback()
def models(context: typer.Context, url: Url = LOCAL, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        with service_at(url) as client:
            print_resources(client.models(), models_table, as_json=as_json)


@app.command("show")
def show_model(model: ModelName, url: Url = LOCAL) -> None:
    """Print all that the service knows of a model, as JSON."""
    with service_at(url) as client:
        print_json(client.model(model).raw)


@app.command("create")
def create_model(file: Description, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """Create the model that a JSON file describes; the same again changes nothing."""
    with service_at(url) as client:
        try:
            description = json.loads(contents(file))
        except ValueError as error:
            raise ClientProblem(f"The description is not JSON: {error}") from error
        if not isinstance(description, dict):
            raise ClientProblem("The description is no JSON object.")
        print_resource(client.create_model(description), models_table, as_json=as_json)
