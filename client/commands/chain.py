"""Commands about what became of the rows: updates, versions, aliases, rollback, history."""

from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import LOCAL, AsJson, ModelName, Reason, Url, contents, service_at
from client.files import fitted, labels_of, read_rows
from client.tables import (
    aliases_table,
    batches_table,
    console,
    deletions_table,
    moves_table,
    print_json,
    print_resource,
    print_resources,
    updates_table,
    versions_table,
)
from client.trees import comparison_of, tree_of

app = typer.Typer()
aliases_app = typer.Typer(no_args_is_help=True, help="List the aliases of a model, or point one at a version.")
app.add_typer(aliases_app, name="aliases")

AliasName = Annotated[str, typer.Argument(metavar="ALIAS", help="The alias's name.")]
BatchNumber = Annotated[int, typer.Argument(metavar="BATCH", min=1, help="The batch's number.")]
VersionNumber = Annotated[int, typer.Argument(metavar="VERSION", min=0, help="The version's number.")]


@app.command()
def batches(model: ModelName, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """List the batches of a model and what became of each."""
    with service_at(url) as client:
        print_resources(client.batches(model), batches_table, as_json=as_json)


@app.command("delete-batch")
def delete_batch(
    model: ModelName, batch: BatchNumber, *, reason: Reason = None, url: Url = LOCAL, as_json: AsJson = False
) -> None:
    """Delete the rows of a batch, for good, and say which versions have learned from them; those stay."""
    with service_at(url) as client:
        print_resource(client.delete_batch(model, batch, reason=reason), deletions_table, as_json=as_json)


@app.command()
def updates(model: ModelName, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """List the updates of a model with their state, attempts and remarks."""
    with service_at(url) as client:
        print_resources(client.updates(model), updates_table, as_json=as_json)


@app.command()
def update(
    model: ModelName,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it is published.")] = False,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Close the pending rows into a chunk now, and queue its update."""
    with service_at(url) as client:
        queued = client.update(model)
        print_resource(client.wait(model, queued.update) if wait else queued, updates_table, as_json=as_json)


@app.command()
def versions(
    model: ModelName,
    *,
    tree: Annotated[bool, typer.Option("--tree", help="Draw the branches and what they start from.")] = False,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """List the versions of a model: lineage, evidence, scores before absorbing, KL to the parent."""
    with service_at(url) as client:
        if tree:
            branches = client.branches(model)
            if as_json:
                print_json([branch.raw for branch in branches])
            else:
                console().print(tree_of(branches))
            return
        print_resources(client.versions(model), versions_table, as_json=as_json)


@app.command()
def compare(  # noqa: PLR0913 - each is an option of the command.
    model: ModelName,
    version: VersionNumber,
    other: Annotated[int, typer.Argument(metavar="OTHER", min=0, help="The version that it is compared with.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Rows to predict, as of `posterity predict`; - for stdin.")
    ] = None,
    *,
    labeled: Annotated[
        bool, typer.Option("--labeled", help="The file has labels, as of `posterity ingest`: say which is better.")
    ] = False,
    batch: Annotated[int | None, typer.Option(min=1, help="A batch whose rows are predicted.")] = None,
    most: Annotated[int | None, typer.Option(min=0, help="Of how many rows that differ most; 10 if not given.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Compare two versions: KL by layer, what only one has learned from, and where they predict rows differently."""
    if file is not None and batch is not None:
        raise typer.BadParameter("give either a file or --batch")
    with service_at(url) as client:
        rows = None
        if file is not None:
            rows = fitted(read_rows(contents(file), is_labeled=labeled), client.model(model))
        found = client.compare(
            model,
            version,
            other,
            x=None if rows is None else rows.x,
            y=labels_of(rows) if rows is not None and labeled else None,
            batch=batch,
            most=most,
        )
        if as_json:
            print_json(found.raw)
        else:
            for part in comparison_of(found):
                console().print(part)


@app.command()
def rollback(
    model: ModelName,
    *,
    to: Annotated[int | None, typer.Option(help="The version that head shall point at.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="How many versions back, instead.")] = None,
    reason: Reason = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Point head at an earlier version; the next request sees it."""
    if (to is None) == (steps is None):
        raise typer.BadParameter("give either --to or --steps")
    with service_at(url) as client:
        moved = client.rollback(model, to=to, steps=steps, reason=reason)
        if as_json:
            print_json(moved.raw)
        else:
            console().print(f"head of {model}: version {moved.previous} -> version {moved.head}")


@app.command()
def history(
    model: ModelName,
    *,
    alias: Annotated[str, typer.Option(help="The alias whose moves are listed.")] = "head",
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """List what was live when, moved by whom, and why."""
    with service_at(url) as client:
        print_resources(client.history(model, alias), moves_table, as_json=as_json)


@aliases_app.command("list")
def list_aliases(model: ModelName, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """List the aliases of a model."""
    with service_at(url) as client:
        print_resources(client.aliases(model), aliases_table, as_json=as_json)


@aliases_app.command("set")
def set_alias(
    model: ModelName,
    *,
    alias: AliasName,
    version: VersionNumber,
    reason: Reason = None,
    if_match: Annotated[int | None, typer.Option(help="Only if the alias's seq is still this one.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Point an alias at a version."""
    with service_at(url) as client:
        moved = client.set_alias(model, alias, version, reason=reason, if_match=if_match)
        print_resource(moved, aliases_table, as_json=as_json)


@aliases_app.command("remove")
def remove_alias(model: ModelName, alias: AliasName, url: Url = LOCAL) -> None:
    """Remove an alias; its history stays."""
    with service_at(url) as client:
        client.remove_alias(model, alias)
