"""Commands about what is learned from: park, release, discard and forget batches; how well each was predicted."""

from datetime import datetime
from typing import Annotated

import typer

from client.commands.options import LOCAL, AsJson, ModelName, Reason, Url, service_at, time_of
from client.tables import batches_table, console, moment, print_json, print_resource, print_resources, show
from client.tables_of_decisions import approximation_table, decisions_table, forgets_table, metrics_table, parked_table

app = typer.Typer()

BatchNumber = Annotated[int, typer.Argument(metavar="BATCH", min=1, help="The batch's number.")]
BatchNumbers = Annotated[list[int], typer.Argument(metavar="BATCH...", min=1, help="The numbers of the batches.")]


@app.command()
def parked(model: ModelName, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """List the batches that wait for a decision, and why."""
    with service_at(url) as client:
        print_resources(client.parked(model), parked_table, as_json=as_json)


@app.command()
def park(
    model: ModelName, batch: BatchNumber, *, reason: Reason = None, url: Url = LOCAL, as_json: AsJson = False
) -> None:
    """Park a batch: nothing learns from it before it is released."""
    with service_at(url) as client:
        print_resource(client.park(model, batch, reason=reason), batches_table, as_json=as_json)


@app.command()
def discard(
    model: ModelName, batch: BatchNumber, *, reason: Reason = None, url: Url = LOCAL, as_json: AsJson = False
) -> None:
    """Discard a batch: nothing will learn from it. Its rows stay until you delete them."""
    with service_at(url) as client:
        print_resource(client.discard(model, batch, reason=reason), batches_table, as_json=as_json)


@app.command()
def release(
    model: ModelName, batch: BatchNumber, *, reason: Reason = None, url: Url = LOCAL, as_json: AsJson = False
) -> None:
    """Release a parked or discarded batch: it is learned from, however surprising it is."""
    with service_at(url) as client:
        update = client.release(model, batch, reason=reason)
        if as_json:
            print_json({"batch": batch, "update": None if update is None else update.raw})
        else:
            said = "is learned from with its chunk" if update is None else f"is learned from by update {update.update}"
            console().print(f"Batch {batch} of {model} {said}.")


@app.command()
def forget(
    model: ModelName,
    batches: BatchNumbers,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Return when head has moved.")] = False,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Divide the posterior instead: needs no rows; not exact, no deletion.")
    ] = False,
    reason: Reason = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Take batches back: head's line is learned anew without them; until then, clients see the old head."""
    with service_at(url) as client:
        found = client.forget(model, *batches, reason=reason, method="approximate" if approximate else None)
        if wait:
            found = client.wait_forget(model, found.forget, progress=True)
        print_resource(found, forgets_table, as_json=as_json)
        if found.approximation is not None and not as_json:
            show(approximation_table(found.approximation))
            for warning in found.warnings:
                console().print(warning, markup=False)


@app.command()
def forgets(
    model: ModelName,
    forget: Annotated[int | None, typer.Argument(metavar="[FORGET]", min=1, help="Only this one.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """List the forgets of a model, and how far each is."""
    with service_at(url) as client:
        if forget is None:
            print_resources(client.forgets(model), forgets_table, as_json=as_json)
        else:
            print_resource(client.read_forget(model, forget), forgets_table, as_json=as_json)


@app.command("cancel-forget")
def cancel_forget(
    model: ModelName,
    forget: Annotated[int, typer.Argument(metavar="FORGET", min=1, help="The forget's number.")],
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Cancel a forget: head stays; for all that comes, its batches stay forgotten."""
    with service_at(url) as client:
        print_resource(client.cancel_forget(model, forget), forgets_table, as_json=as_json)


@app.command()
def decisions(model: ModelName, batch: BatchNumber, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """List what was decided about a batch, by whom and why."""
    with service_at(url) as client:
        print_resources(client.decisions(model, batch), decisions_table, as_json=as_json)


@app.command()
def metrics(
    model: ModelName,
    *,
    window: Annotated[int, typer.Option(min=1, max=1000, help="Batches of the windowed series.")] = 10,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Show how each batch was predicted before anything learned from it, and what updates had to say."""
    with service_at(url) as client:
        found = client.metrics(model, window=window)
        if as_json:
            print_json(found.raw)
            return
        show(metrics_table(found))
        for notice in found.notices:
            console().print(f"update {notice.update}: {notice.message}", markup=False)


@app.command("was-live")
def was_live(
    model: ModelName,
    at: Annotated[
        datetime,
        typer.Argument(
            parser=time_of,
            metavar="TIME",
            help="As 2026-11-28T12:00:00Z, and as the history prints it; UTC if no zone is given.",
        ),
    ],
    *,
    alias: Annotated[str, typer.Option(help="The alias that is asked about.")] = "head",
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Say which version an alias pointed at then: what was live."""
    with service_at(url) as client:
        found = client.alias_at(model, alias, at)
        if as_json:
            print_json(found.raw)
        else:
            reason = found.reason or "no reason given"
            console().print(f"{alias} of {model} was version {found.version} at {moment(at)}: {reason}.", markup=False)
