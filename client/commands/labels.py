"""Commands about labels that arrive after the prediction: `posterity label`, `posterity kept`."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from client.client import Client
from client.commands.options import LOCAL, AsJson, ModelName, Url, contents, service_at
from client.errors import UnusableArray
from client.label_tables import kept_table, labels_table
from client.labels import Labeled
from client.tables import print_json, print_resource, show

app = typer.Typer()

POSTED_AT_ONCE = 5_000
"""Labels of one request; each request makes a batch."""
WHAT = ("labeled", "already", "conflicting", "expired", "unknown", "refused")
COLUMNS = ("prediction", "label", "weight")

Row = Mapping[str, object]


@app.command()
def label(
    model: ModelName,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="CSV or JSON of predictions and labels; - for stdin."),
    ] = None,
    *,
    prediction: Annotated[str | None, typer.Option(help="The id of one prediction, instead of a file.")] = None,
    label: Annotated[str | None, typer.Option(help="Its label: a class number or name, or a number.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Post labels for predictions that were kept; each makes its inputs a row, once, however often it is posted.

    CSV has a line per label: the prediction's id, the label and, if you like, a weight; a header names these columns
    `prediction`, `label` and `weight`, in any order, or is left out. JSON is a list of objects with these names.

    Ids that are unknown or expired are named, and do not keep the others from being labeled; where the single one of
    --prediction was not labeled, the command exits with 1.
    """
    if (file is None) == (prediction is None) or (prediction is None) != (label is None):
        raise typer.BadParameter("give either FILE, or --prediction and --label")
    with service_at(url) as client:
        output = client.model(model).output
        stated = [{"prediction": prediction, "label": label}] if file is None else _rows(contents(file))
        rows = iter([{**row, "label": _of_class(row["label"], output)} for row in stated])
        answers = list(_posted(client, model, rows))
        if as_json:
            said = {name: [one for answer in answers for one in answer.raw[name]] for name in WHAT}
            batches = [answer.batch for answer in answers if answer.batch is not None]
            print_json({"model": model, "batches": batches, "rows": sum(one.rows for one in answers), **said})
        else:
            show(labels_table(answers))
        if file is None and not any(answer.labeled or answer.already for answer in answers):
            raise typer.Exit(1)


@app.command()
def kept(
    model: ModelName,
    prediction: Annotated[str, typer.Argument(metavar="PREDICTION", help="The id of the prediction.")],
    *,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Show a prediction that was kept: which version answered it, until when it is kept, which labels came for it."""
    with service_at(url) as client:
        print_resource(client.kept_prediction(model, prediction), kept_table, as_json=as_json)


def _posted(client: Client, model: str, rows: Iterator[Row]) -> Iterator[Labeled]:
    while part := list(islice(rows, POSTED_AT_ONCE)):
        yield client.label(model, part)


def _rows(content: bytes) -> list[dict[str, Any]]:
    """The labels of a file.

    Raises:
        UnusableArray: it holds none.
    """
    try:
        text = content.decode("utf-8-sig").strip()
        rows = _of_json(text) if text[:1] in ("{", "[") else _of_csv(text)
    except ValueError as error:
        raise UnusableArray(f"This is no CSV or JSON of predictions and labels: {error}") from error
    if not rows:
        raise UnusableArray("The file has no labels.")
    return rows


def _of_json(text: str) -> list[dict[str, Any]]:
    body = json.loads(text)
    rows = body.get("labels") if isinstance(body, dict) else body
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {*COLUMNS[:2]} <= row.keys() for row in rows):
        raise ValueError("each label is an object with prediction and label")
    return rows


def _of_csv(text: str) -> list[dict[str, Any]]:
    table = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    names = list(COLUMNS)
    if table and "prediction" in table[0]:
        names = table.pop(0)
    rows = []
    for line, cells in enumerate(table, 1):
        row: dict[str, Any] = {name: cell for name, cell in zip(names, cells, strict=False) if name in COLUMNS}
        if not row.get("prediction") or not row.get("label"):
            raise ValueError(f"row {line} has no prediction and label")
        weight = row.pop("weight", "")
        rows.append(row if weight == "" else row | {"weight": float(weight)})
    return rows


def _of_class(label: object, output: Mapping[str, Any]) -> object:
    """The label as the service takes it: words of a file or a command are numbers where they are no names."""
    if not isinstance(label, str) or (isinstance(output.get("classes"), list) and label in output["classes"]):
        return label
    for number in (int, float):
        try:
            return number(label)
        except ValueError:
            continue
    return label
