"""Predictions as a table for people, and as a CSV beside the rows that were predicted."""

import csv
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from client.columns import Fitted, Title, extra, table
from client.errors import UnwritableFile
from client.files import Rows
from client.prediction import Prediction
from client.tables import number

FEATURES_SHOWN = 3
ROWS_SHOWN = 1_000
"""Of so many rows a terminal still shows something that a person reads."""
PLAIN_LEAST, PLAIN_MOST = 1e-3, 1e12
DIGITS = 5
DOUBTS = ("entropy", "aleatoric", "mutual_information")


def prediction_table(
    prediction: Prediction, rows: Rows | None = None, names: Sequence[str] = (), *, rows_max: int | None = None
) -> Fitted:
    """One row per input: its first features, and the class with its probability and doubt, or the numbers.

    Entropy and its parts are in nats. There are not more than `rows_max` rows.
    """
    instead = f" instead of {prediction.instead_of}" if prediction.instead_of else ""
    made_by = f"{prediction.model} version {prediction.version}, {prediction.method}{instead}"
    is_classes = "probabilities" in prediction.arrays
    titles, lines = _of_classes(prediction) if is_classes else _of_numbers(prediction)
    told, cells = _told(rows, names)
    ids = [] if prediction.prediction is None else prediction.row_ids
    level = "" if prediction.interval is None else f"; from lower to upper with probability {prediction.interval:g}"
    caption = f"{made_by}; entropy and its two parts in nats" if is_classes else f"{made_by}{level}"
    if told and rows is not None and rows.table is not None and len(told) < len(rows.table.names):
        caption += f"; only the first {len(told)} of {len(rows.table.names)} columns are shown"
    return table(
        ("row", *told, *titles, *(["to label as"] if ids else [])),
        (
            (place, *(cells[place] if cells else ()), *line, *ids[place : place + 1])
            for place, line in enumerate(islice(lines, rows_max))
        ),
        caption=caption,
    )


def write_csv(file: Path, prediction: Prediction, rows: Rows, names: Sequence[str]) -> None:
    """The rows as they were, and behind them what is predicted of each, are in the file, or on stdout for `-`.

    Raises:
        UnwritableFile: they cannot be written there.
    """
    if str(file) == "-":
        _write(sys.stdout, prediction, rows, names)
        return
    try:
        with file.open("w", newline="", encoding="utf-8") as stream:
            _write(stream, prediction, rows, names)
    except OSError as error:
        raise UnwritableFile(f"{file}: {error.strerror}", "name a file in a folder that you may write to") from error


def _write(stream: TextIO, prediction: Prediction, rows: Rows, names: Sequence[str]) -> None:
    out = csv.writer(stream, lineterminator="\n")
    if rows.table is not None:
        width = len(rows.table.rows[0])
        titles: list[str] = list(rows.table.names) or [f"x{place}" for place in range(width)]
        before: Sequence[Sequence[object]] = rows.table.rows
    elif names:
        titles, before = ["file"], [[name] for name in names]
    else:
        titles, before = ["row"], [[place] for place in range(len(prediction))]
    outputs = prediction.raw["outputs"]
    # Lists of one number, as a model of one dimension answers, are that number.
    columns = [name for name in outputs[0] if name not in ("label", "name", "probabilities")]
    is_classes = "probabilities" in outputs[0]
    taken = {title.lower() for title in titles}
    new = ["predicted", "probability", *columns] if is_classes else columns
    out.writerow([*titles, *(f"predicted_{name}" if name.lower() in taken else name for name in new)])
    said = prediction.names if is_classes else []
    for place, (cells, answer) in enumerate(zip(before, outputs, strict=True)):
        first = [said[place], max(answer["probabilities"])] if is_classes else []
        out.writerow([*cells, *first, *(_plain(answer[name]) for name in columns)])


def _plain(value: object) -> object:
    if isinstance(value, list):
        return value[0] if len(value) == 1 else " ".join(str(one) for one in value)
    return value


def _of_classes(prediction: Prediction) -> tuple[list[str | Title], Iterator[Sequence[object]]]:
    doubts = [name for name in DOUBTS if name in prediction.arrays]
    numbers = zip(prediction.probabilities.max(axis=1), *(prediction.arrays[name] for name in doubts), strict=True)
    lines = (
        (name, *(number(value, 4) for value in values)) for name, values in zip(prediction.names, numbers, strict=True)
    )
    titles = [extra(name.replace("_", " ")) if name != "entropy" else name for name in doubts]
    return ["label", "probability", *titles], lines


def _of_numbers(prediction: Prediction) -> tuple[list[str | Title], Iterator[Sequence[object]]]:
    first = [name for name in ("mean", "lower", "upper") if name in prediction.arrays]
    names = [*first, *(name for name in prediction.arrays if name not in first)]
    lines = zip(*(_in_one_notation(prediction.arrays[name]) for name in names), strict=True)
    return [name.replace("_", " ") if name in first else extra(name.replace("_", " ")) for name in names], lines


def _in_one_notation(column: NDArray[np.float64]) -> list[str]:
    """The numbers of each row, all with as many decimals, so that the largest has five digits, or as powers."""
    finite = np.abs(column[np.isfinite(column)])
    largest = float(finite.max(initial=0.0))
    is_plain = largest == 0 or PLAIN_LEAST <= largest < PLAIN_MOST
    places = max(0, DIGITS - 1 - (math.floor(math.log10(largest)) if largest else 0))
    form = f",.{places}f" if is_plain else f".{DIGITS - 1}e"
    return [" ".join(f"{value:{form}}" for value in np.atleast_1d(values)) for values in column]


def _told(rows: Rows | None, names: Sequence[str]) -> tuple[list[str | Title], list[tuple[str, ...]]]:
    """What says which row is which: the image's file, or the first columns of a table with a header."""
    if names:
        return ["file"], [(name,) for name in names]
    if rows is None or rows.table is None or not rows.table.names:
        return [], []
    places = [place for place, name in enumerate(rows.table.names) if name][:FEATURES_SHOWN]
    return [extra(rows.table.names[place]) for place in places], [
        tuple(row[place] for place in places) for row in rows.table.rows
    ]
