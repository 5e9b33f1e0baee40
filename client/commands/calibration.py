"""The command that asks how far a version's stated probabilities can be believed: `posterity calibration`."""

from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import LOCAL, AsJson, ModelName, Url, contents, service_at
from client.files import labels_of, rows_for
from client.tables import print_json, show
from client.tables_of_calibration import calibration_of

app = typer.Typer()


@app.command()
def calibration(
    model: ModelName,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Rows with labels, as of `posterity ingest`; - for stdin.")
    ] = None,
    *,
    version: Annotated[int | None, typer.Option(min=0, help="A version's number; head if not given.")] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="A batch whose rows are predicted; may be given more than once.")
    ] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Show how well a version's confidence agrees with labels: a reliability diagram, or the coverage of its intervals.

    Of the batches that it predicted as head, before anything learned from them; with --batch, of the rows of these
    batches, predicted now, which flatters a version that has learned from them; with a file, of its rows and labels.
    """
    if file is not None and batch:
        raise typer.BadParameter("give either a file or --batch")
    with service_at(url) as client:
        rows = None
        if file is not None:
            rows = rows_for(client.model(model), contents(file), is_labeled=True)
        found = client.calibration(
            model,
            None if rows is None else rows.x,
            None if rows is None else labels_of(rows),
            version=version,
            batch=batch or None,
        )
        if as_json:
            print_json(found.raw)
        else:
            for part in calibration_of(found):
                show(part)
