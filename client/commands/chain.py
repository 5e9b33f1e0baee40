"""Commands about what became of the rows: updates, versions, aliases, rollback, history."""

from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import LOCAL, AliasName, AsJson, ModelName, Reason, Url, contents, service_at
from client.files import labels_of, rows_for
from client.tables import (
    aliases_table,
    batches_table,
    console,
    deletions_table,
    models_table,
    moves_table,
    print_json,
    print_resource,
    print_resources,
    show,
    updates_table,
    versions_table,
)
from client.trees import comparison_of, tree_of

app = typer.Typer()
aliases_app = typer.Typer(no_args_is_help=True, help="List the aliases of a model, or point one at a version.")
app.add_typer(aliases_app, name="aliases")

BatchNumber = Annotated[int, typer.Argument(metavar="BATCH", min=1, help="The batch's number.")]
VersionNumber = Annotated[int, typer.Argument(metavar="VERSION", min=0, help="The version's number.")]


@app.command()
def batches(
    model: ModelName,
    batch: Annotated[int | None, typer.Argument(metavar="[BATCH]", min=1, help="Only this one.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """List the batches of a model and what became of each."""
    with service_at(url) as client:
        if batch is None:
            print_resources(client.batches(model), batches_table, as_json=as_json)
        else:
            print_resource(client.batch(model, batch), batches_table, as_json=as_json)


@app.command("delete-batch")
def delete_batch(
    model: ModelName, batch: BatchNumber, *, reason: Reason = None, url: Url = LOCAL, as_json: AsJson = False
) -> None:
    """Delete the rows of a batch, for good, and say which versions have learned from them; those stay."""
    with service_at(url) as client:
        print_resource(client.delete_batch(model, batch, reason=reason), deletions_table, as_json=as_json)


@app.command()
def updates(
    model: ModelName,
    update: Annotated[int | None, typer.Argument(metavar="[UPDATE]", min=1, help="Only this one.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """List the updates of a model with their state, attempts and remarks."""
    with service_at(url) as client:
        if update is None:
            print_resources(client.updates(model), updates_table, as_json=as_json)
        else:
            print_resource(client.read_update(model, update), updates_table, as_json=as_json)


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
        ended = client.wait(model, queued.update, progress=True) if wait else queued
        print_resource(ended, updates_table, as_json=as_json)


@app.command()
def settle(
    model: ModelName,
    *,
    seconds: Annotated[float | None, typer.Option(min=0, help="Wait no longer; for ever if not given.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Wait until no row of a model is pending and no update of it is queued or running."""
    with service_at(url) as client:
        print_resource(client.settle(model, progress=True, timeout_seconds=seconds), models_table, as_json=as_json)


@app.command()
def cancel(
    model: ModelName,
    update: Annotated[int, typer.Argument(metavar="UPDATE", min=1, help="The update's number.")],
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Cancel an update that is queued or running; its chunk stays, and `replay` brings it back."""
    with service_at(url) as client:
        print_resource(client.cancel(model, update), updates_table, as_json=as_json)


@app.command()
def replay(
    model: ModelName,
    chunks: Annotated[list[int], typer.Argument(metavar="CHUNK...", min=1, help="The numbers of the chunks.")],
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all are published.")] = False,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Absorb chunks again, on the present line: those of failed or cancelled updates, or those that a rollback left."""
    with service_at(url) as client:
        queued = client.replay(model, *chunks)
        ended = [client.wait(model, one.update, progress=True) for one in queued] if wait else queued
        print_resources(ended, updates_table, as_json=as_json)


@app.command()
def head(
    model: ModelName,
    version: Annotated[int | None, typer.Argument(metavar="[VERSION]", min=0, help="Point head at this one.")] = None,
    *,
    reason: Reason = None,
    if_match: Annotated[int | None, typer.Option(help="Only if head's seq is still this one.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Say which version is live; or point head at any version, forward or back."""
    with service_at(url) as client:
        if version is None:
            found = client.alias(model, "head")
        else:
            found = client.set_alias(model, "head", version, reason=reason, if_match=if_match)
        print_resource(found, aliases_table, as_json=as_json)


@app.command()
def versions(
    model: ModelName,
    version: Annotated[int | None, typer.Argument(metavar="[VERSION]", min=0, help="Only this one.")] = None,
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
                show(tree_of(branches))
            return
        if version is None:
            print_resources(client.versions(model), versions_table, as_json=as_json)
        else:
            print_resource(client.version(model, version), versions_table, as_json=as_json)


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
            rows = rows_for(client.model(model), contents(file), is_labeled=labeled)
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
                show(part)


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
def remove_alias(model: ModelName, alias: AliasName, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """Remove an alias; its history stays."""
    with service_at(url) as client:
        client.remove_alias(model, alias)
        if as_json:
            print_json({"model": model, "alias": alias, "removed": True})
