"""Commands that send rows: `posterity ingest`, `posterity predict`."""

from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import LOCAL, AsJson, ModelName, Url, contents, service_at
from client.files import fitted, labels_of, read_rows
from client.tables import batches_table, console, prediction_table, print_json, print_resource

app = typer.Typer()

Rows = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="npz, npy, safetensors, JSON or CSV; - for stdin."),
]


@app.command()
def ingest(
    model: ModelName,
    file: Rows,
    *,
    key: Annotated[str | None, typer.Option(help="Idempotency key; a fresh one if not given.")] = None,
    close: Annotated[bool, typer.Option("--close", help="Close the pending rows into a chunk now.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the batch is absorbed.")] = False,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Post labeled rows as one batch."""
    with service_at(url) as client:
        rows = fitted(read_rows(contents(file), is_labeled=True), client.model(model))
        batch = client.ingest(model, rows.x, labels_of(rows), rows.weights, key=key)
        if close and client.batch(model, batch.batch).chunk is None:
            client.update(model)
        if wait:
            client.wait(model, batch=batch.batch)
        stored = client.batch(model, batch.batch) if close or wait else batch
        print_resource(stored, batches_table, as_json=as_json)


@app.command()
def predict(  # noqa: PLR0913 - each is an option of the command.
    model: ModelName,
    file: Rows,
    *,
    version: Annotated[int | None, typer.Option(help="A version's number; head if not given.")] = None,
    alias: Annotated[str | None, typer.Option(help="An alias instead of a number.")] = None,
    method: Annotated[str | None, typer.Option(help="ensemble (weight draws) or mean.")] = None,
    samples: Annotated[int | None, typer.Option(help="How many weight draws.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Predict rows with their uncertainty, by any version."""
    with service_at(url) as client:
        x = fitted(read_rows(contents(file), is_labeled=False), client.model(model)).x
        answer = client.predict(model, x, version=version, alias=alias, method=method, samples=samples, seed=seed)
        if as_json:
            print_json(answer.raw)
        else:
            console().print(prediction_table(answer))
