"""Commands that send rows: `posterity ingest`, `posterity predict`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from client.client import Client
from client.commands.options import (
    LOCAL,
    AsJson,
    Columns,
    Drop,
    Label,
    ModelName,
    Resize,
    Url,
    chosen,
    say,
    service_at,
)
from client.errors import UnusableArray
from client.files import Rows, fitted, labels_of
from client.sources import Reading, Source, size_of, sources_of
from client.tables import batches_table, print_json, print_resources, show
from client.tables_of_predictions import ROWS_SHOWN, prediction_table, write_csv
from client.values import Batch, Model

app = typer.Typer()

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", help="npz, npy, safetensors, JSON or CSV; images, or folders of them; - for stdin."
    ),
]
Version = Annotated[int | None, typer.Option(help="A version's number; head if not given.")]
Method = Annotated[
    str | None,
    typer.Option(
        help="moments (of every activation, in one pass), ensemble (of weight draws) or mean (the mean weights "
        "alone); if not given, ensemble with --samples or --seed, else moments."
    ),
]


@app.command()
def ingest(  # noqa: PLR0913 - each is an option of the command.
    model: ModelName,
    file: Files,
    *,
    label: Label = None,
    columns: Columns = None,
    drop: Drop = None,
    resize: Resize = None,
    of_class: Annotated[str | None, typer.Option("--class", help="The class of all these images.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Idempotency key. If not given, that of the file's bytes: running it again counts nothing twice. "
            "Another key posts the same rows once more."
        ),
    ] = None,
    rows_per_batch: Annotated[
        int | None, typer.Option(min=1, help="Post so many rows at once; as many as the service takes if not given.")
    ] = None,
    close: Annotated[bool, typer.Option("--close", help="Close the pending rows into a chunk now.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the rows are absorbed.")] = False,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Post labeled rows: a file as one batch, or as several where it has more rows than the service takes at once.

    npz, safetensors and JSON hold arrays called x (or inputs), y (or labels) and, if you like, weights.

    CSV holds one row per line: the features of the input, in its order, and a label, a class number or name. The label
    is the column called label (or labels, y, class, target), or the last one if none is. A column called weight (or
    weights) says how much each row counts. A header may be left out; a first line 0,1,2,… is one, as pandas writes it.
    Commas, semicolons and tabs are told apart. Where the model has names for its inputs they are found by these; else
    --label, --columns and --drop choose columns by the names of the header.

    A folder holds one folder of images for each class, called after it; a CSV with the columns file and label names
    images beside it.
    """
    with service_at(url) as client:
        described = client.model(model)
        how = Reading(
            is_labeled=True,
            shape=described.input["shape"],
            chosen=chosen(label, columns, drop, model=described),
            size=size_of(resize),
            of_class=of_class,
        )
        found = sources_of(file, how)
        if key is not None and len(found) > 1:
            raise typer.BadParameter("one --key names the rows of one file; post the files one by one")
        posted = (_posted(client, described, source, key=key, size=rows_per_batch) for source in found)
        batches = [one for each in posted for one in each]
        if close and any(client.batch(model, one.batch).chunk is None for one in batches):
            client.update(model)
        if wait:
            for one in batches:
                client.wait(model, batch=one.batch, progress=True, left_pending=None if as_json else _say_pending)
        stored = [client.batch(model, one.batch) for one in batches] if close or wait else batches
        if as_json and len(stored) == 1:
            print_json(stored[0].raw)
        else:
            print_resources(stored, batches_table, as_json=as_json)


@app.command()
def predict(  # noqa: PLR0913 - each is an option of the command.
    model: ModelName,
    file: Files,
    *,
    label: Label = None,
    columns: Columns = None,
    drop: Drop = None,
    resize: Resize = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the rows and their predictions to this CSV; - for stdout."),
    ] = None,
    version: Version = None,
    alias: Annotated[str | None, typer.Option(help="An alias instead of a number.")] = None,
    method: Method = None,
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

    CSV holds one row per line: the features of the input, in its order, or under the names that the model has for them.
    A column called label (labels, y, class, target) or weight (weights) is left aside, and so is --label. A header may
    be left out; a first line 0,1,2,… is one, as pandas writes it. --columns and --drop choose columns by their names.

    Images may be named one by one, or as folders that hold them.
    """
    if version is not None and alias is not None:
        raise typer.BadParameter("give either --version or --alias")
    with service_at(url) as client:
        described = client.model(model)
        how = Reading(
            is_labeled=False,
            shape=described.input["shape"],
            chosen=chosen(label, columns, drop, model=described),
            size=size_of(resize),
        )
        found = sources_of(file, how)
        if len(found) > 1:
            raise UnusableArray("These are several files of rows", "predict them one by one")
        rows = fitted(found[0].rows, described)
        answer = client.predict_all(
            model,
            rows.x,
            version=version,
            alias=alias,
            method=method,
            samples=samples,
            seed=seed,
            interval=interval,
            keep=keep,
        )
        if output is not None:
            write_csv(output, answer, rows, found[0].names)
        if as_json:
            print_json(answer.raw)
        elif output is None:
            shown = ROWS_SHOWN if sys.stdout.isatty() else None
            show(prediction_table(answer, rows, found[0].names, rows_max=shown))
            if shown is not None and len(answer) > shown:
                say(f"posterity: {shown:,} of {len(answer):,} rows are shown; --output FILE writes all of them")
        elif str(output) != "-":
            say(f"{output}: {len(answer):,} rows, predicted by version {answer.version}")


def _say_pending(model: Model) -> None:
    """That the wait may be long, how long, and how to end it."""
    pending, rows, seconds = model.pending.rows, int(model.chunk["rows"]), float(model.chunk["seconds"])
    closes = f"it closes by itself with the last of them, or {seconds:g} seconds after its first batch"
    say(f"posterity: {pending:,} of the {rows:,} rows of a chunk are pending: {closes}; --close closes it now")


def _posted(client: Client, model: Model, source: Source, *, key: str | None, size: int | None) -> list[Batch]:
    """The rows are accepted; of those that were before, it is said."""
    rows: Rows = fitted(source.rows, model)
    batches = client.ingest_all(
        model.name,
        rows.x,
        labels_of(rows),
        rows.weights,
        key=key or source.key,
        rows_per_batch=size,
        progress=True,
    )
    before = [str(batch.batch) for batch in batches if batch.is_replay]
    if before:
        which = "these rows" if len(before) == len(batches) else f"{len(before):,} of {len(batches):,} parts"
        numbers = f"batch {before[0]}" if len(before) == 1 else f"batches {before[0]} to {before[-1]}"
        said = f"posterity: {which} were posted before, as {numbers}: nothing is counted twice"
        say(f"{said}. To post them once more, give another --key.")
    return list(batches)
