"""Commands that send rows: `posterity ingest`, `posterity predict`."""

from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import LOCAL, AsJson, ModelName, Url, contents, say, service_at
from client.files import fitted, key_of, labels_of, read_rows
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
    key: Annotated[
        str | None,
        typer.Option(
            help="Idempotency key. If not given, that of the file's bytes: running it again counts nothing twice. "
            "Another key posts the same rows once more."
        ),
    ] = None,
    close: Annotated[bool, typer.Option("--close", help="Close the pending rows into a chunk now.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the batch is absorbed.")] = False,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Post labeled rows as one batch.

    npz, safetensors and JSON hold arrays called x (or inputs), y (or labels) and, if you like, weights.

    CSV holds one row per line: the features of the input, in its order, and a label, a class number or name. The label
    is the column called label (or labels, y), or the last one if none is. A column called weight (or weights) says how
    much each row counts. A header may be left out; a first line 0,1,2,… is one, as pandas writes it.
    """
    with service_at(url) as client:
        content = contents(file)
        rows = fitted(read_rows(content, is_labeled=True), client.model(model))
        batch = client.ingest(model, rows.x, labels_of(rows), rows.weights, key=key or key_of(content))
        if batch.is_replay:
            said = f"posterity: these rows were posted before, as batch {batch.batch}: nothing is counted twice"
            say(f"{said}. To post them once more, give another --key.")
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
    method: Annotated[
        str | None,
        typer.Option(
            help="moments (of every activation, in one pass), ensemble (of weight draws) or mean (the mean weights "
            "alone); if not given, ensemble with --samples or --seed, else moments."
        ),
    ] = None,
    samples: Annotated[int | None, typer.Option(help="How many weight draws; 16 if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws; 0 if not given.")] = None,
    interval: Annotated[
        float | None, typer.Option(help="Probability of the intervals of numbers; 0.9 if not given.")
    ] = None,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep", help="Keep the inputs for `posterity label`; if not given, as the model says."
        ),
    ] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Predict rows with their uncertainty, by any version: head, unless --version or --alias names another.

    npz, safetensors and JSON hold an array called x (or inputs); npy, or a JSON list, is that array itself.

    CSV holds one row per line: the features of the input, in its order, and no label. Columns called label (labels, y)
    or weight (weights) are left aside. A header may be left out; a first line 0,1,2,… is one, as pandas writes it.
    """
    if version is not None and alias is not None:
        raise typer.BadParameter("give either --version or --alias")
    with service_at(url) as client:
        x = fitted(read_rows(contents(file), is_labeled=False), client.model(model)).x
        answer = client.predict(
            model,
            x,
            version=version,
            alias=alias,
            method=method,
            samples=samples,
            seed=seed,
            interval=interval,
            keep=keep,
        )
        if as_json:
            print_json(answer.raw)
        else:
            console().print(prediction_table(answer))
