"""CSV as people have it: with commas, semicolons or tabs, quotes, a byte order mark, a header or none."""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.errors import UnusableArray

LABEL_NAMES = ("label", "labels", "y", "class", "target")
WEIGHT_NAMES = ("weights", "weight")
COLUMN_NAMES = (*LABEL_NAMES, *WEIGHT_NAMES)
FILE_NAMES = ("file", "path", "image", "filename")
DELIMITERS = (";", "\t", "|", ",")
DECIMAL_COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+")
THOUSANDS_COMMA = re.compile(r"[-+]?\d{1,3}(,\d{3}){2,}|[-+]?\d{1,3}(,\d{3})+\.\d+")
PERCENT = re.compile(r"[-+]?\d[\d.,]*\s*%")
TRUTH = {"true": "1", "false": "0"}
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})


@dataclass(frozen=True)
class Chosen:
    """Which columns are meant, by their names; where nothing is said, by what they are called and where they stand."""

    label: str | None = None
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    """What the model calls its inputs; empty where it has no names for them."""

    def __bool__(self) -> bool:
        return bool(self.label or self.columns or self.drop)


@dataclass(frozen=True)
class Table:
    """Lines of cells; `names` are empty where there is no header. `lines` are the numbers of the rows in the file."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...] = field(repr=False)

    def called(self, place: int) -> str:
        return f"Column {self.names[place]!r}" if self.names and self.names[place] else f"Column {place + 1}"

    def cells(self, place: int) -> list[str]:
        return [row[place] for row in self.rows]


@dataclass(frozen=True)
class Columns:
    """The places of the inputs, in the order in which they are taken, and those of label and weight."""

    inputs: tuple[int, ...]
    label: int | None
    weight: int | None


def read_table(text: str, chosen: Chosen = Chosen()) -> Table:
    """The cells of the text, without blanks around them.

    Raises:
        UnusableArray: there are no rows, or lines of different lengths.
    """
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    found = [(reader.line_num, tuple(cell.strip() for cell in row)) for row in reader if row]
    if not found:
        raise UnusableArray("The file is empty", "name a file with a line for each row")
    width = len(found[0][1])
    for line, row in found:
        if len(row) != width:
            raise UnusableArray(
                f"Every line of the CSV must have {width} columns, as the first; line {line} has {len(row)}",
                "put cells that have a comma in them into quotes, and look for a cut line",
            )
    names = found[0][1]
    lowered = [name.lower() for name in names]
    named = {name.lower() for name in (chosen.label, *chosen.columns, *chosen.drop) if name}
    below = [row for _, row in found[1:]]
    if named & set(lowered) or _is_header(lowered, below):
        del found[0]
    else:
        names = ()
    if not found:
        raise UnusableArray(
            "The file has no rows: its only line is no row of numbers, or a header",
            "put a line for each row below the header",
        )
    return Table(names, tuple(row for _, row in found), tuple(line for line, _ in found))


def columns_of(table: Table, chosen: Chosen, *, is_labeled: bool) -> Columns:
    """Which columns of the table are inputs, label and weight.

    Where the model has names for its inputs and the table for its columns, inputs are found by them, and what else is
    there is left aside. A first column without a name, as pandas writes an index, is none of them.

    Raises:
        UnusableArray: a column is named that is not there, or it cannot be told which one is the label.
    """
    if table.names and chosen.known and not chosen.columns:
        return _known_columns(table, chosen, is_labeled=is_labeled)
    lowered = [name.lower() for name in table.names]
    places = range(len(table.rows[0]))
    label = None if chosen.label is None else _place(table, chosen.label)
    if label is None:
        label = _called_label(lowered, places)
    weight = next((place for place in places if table.names and lowered[place] in WEIGHT_NAMES), None)
    aside = {_place(table, name) for name in chosen.drop} | {label, weight}
    if table.names and not table.names[0] and all(table.names[1:]):
        aside.add(0)
    inputs = [place for place in places if place not in aside]
    if label is None and is_labeled and inputs and not chosen.columns:
        label = inputs.pop()
    if chosen.columns:
        inputs = [_place(table, name) for name in chosen.columns]
    return Columns(tuple(inputs), label, weight)


def _known_columns(table: Table, chosen: Chosen, *, is_labeled: bool) -> Columns:
    lowered = [name.lower() for name in table.names]
    missing = [name for name in chosen.known if name not in table.names and name.lower() not in lowered]
    if missing:
        raise UnusableArray(
            f"The file has no column called {', '.join(map(repr, missing[:8]))}, which the model takes; "
            f"its columns are {', '.join(table.names[:8])}",
            "name the columns as the model does (`posterity models show`), or say which they are (--columns a,b,c)",
        )
    inputs = tuple(_place(table, name) for name in chosen.known)
    left = [place for place, name in enumerate(lowered) if place not in inputs and name]
    weight = next((place for place in left if lowered[place] in WEIGHT_NAMES), None)
    dropped = {_place(table, name) for name in chosen.drop}
    left = [place for place in left if place != weight and place not in dropped]
    label = None if chosen.label is None else _place(table, chosen.label)
    if label is None:
        label = _called_label(lowered, left)
    if label is None and is_labeled and left:
        if len(left) > 1:
            others = ", ".join(table.names[place] for place in left[:8])
            raise UnusableArray(
                f"Which column is the label? Beside the inputs there are {others}",
                "name the column that is the label (--label)",
            )
        label = left[0]
    return Columns(inputs, label, weight)


def _called_label(lowered: Sequence[str], places: Sequence[int]) -> int | None:
    """The column that is called as labels are, the name that says it best first."""
    named = {lowered[place]: place for place in reversed(places) if place < len(lowered)}
    return next((named[name] for name in LABEL_NAMES if name in named), None)


def numbers_of(table: Table, place: int) -> NDArray[np.float64]:
    """The column as numbers; one of nothing but true and false, in whatever case, is 1 and 0.

    Raises:
        UnusableArray: a cell is none; the column and the line are named.
    """
    cells = table.cells(place)
    if {cell.lower() for cell in cells} - MISSING <= TRUTH.keys():
        cells = [TRUTH.get(cell.lower(), cell) for cell in cells]
    try:
        numbers: NDArray[np.float64] = np.array(cells).astype(np.float64)
        if np.isfinite(numbers).all():
            return numbers
    except ValueError:
        pass
    at = next(number for number, cell in enumerate(cells) if not is_finite(cell))
    where = f"{table.called(place)} has {cells[at]!r} in line {table.lines[at]}, which is no number"
    if cells[at].lower() in MISSING:
        count = sum(cell.lower() in MISSING for cell in cells)
        raise UnusableArray(
            f"{table.called(place)} misses its value in {count} of {len(cells)} rows, first in line {table.lines[at]}",
            "fill or drop these rows, or leave the column out of the model and of each file (--drop)",
        )
    raise UnusableArray(where, _advice(cells[at], cells))


def _advice(cell: str, cells: Sequence[str]) -> str:
    """What makes a number of the cell; a comma that may be either is read as it must be elsewhere in its column."""
    if THOUSANDS_COMMA.fullmatch(cell) or (
        DECIMAL_COMMA.fullmatch(cell) and any(map(THOUSANDS_COMMA.fullmatch, cells))
    ):
        return "write numbers without commas between the thousands (pandas.read_csv(…, thousands=',') reads these)"
    if DECIMAL_COMMA.fullmatch(cell):
        return "write decimals with a point (pandas.read_csv(…, sep=';', decimal=',') reads these)"
    if PERCENT.fullmatch(cell):
        return "leave the sign % out, here and in each file (df[column].str.rstrip('%') in pandas does)"
    return "turn words into columns of 0 and 1 (`pandas.get_dummies`), name the label (--label), or --drop the column"


def csv_arrays(text: str, chosen: Chosen, *, is_labeled: bool) -> tuple[dict[str, Any], Table]:
    """The inputs x, and label and weight where there are any, with the table they are of."""
    table = read_table(text, chosen)
    columns = columns_of(table, chosen, is_labeled=is_labeled)
    if not columns.inputs:
        raise UnusableArray("The file has no inputs beside label and weight", "add the columns to predict from")
    x = np.stack([numbers_of(table, place) for place in columns.inputs], axis=1)
    arrays: dict[str, Any] = {"x": x}
    if columns.label is not None:
        arrays["label"] = np.array(table.cells(columns.label))
    if columns.weight is not None:
        arrays["weight"] = numbers_of(table, columns.weight)
    return arrays, table


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_value(text: str) -> bool:
    return is_number(text) or text.lower() in TRUTH


def is_finite(text: str) -> bool:
    return is_number(text) and math.isfinite(float(text))


def _place(table: Table, name: str) -> int:
    for names, wanted in ((table.names, name), (tuple(one.lower() for one in table.names), name.lower())):
        if wanted in names:
            return names.index(wanted)
    if not table.names:
        raise UnusableArray(
            f"The file has no header, and so no column called {name!r}", "put a header on its first line"
        )
    near = get_close_matches(name, table.names, n=1)
    hint = f"is {near[0]!r} meant?" if near else f"its columns are {', '.join(table.names[:8])}"
    raise UnusableArray(f"The file has no column called {name!r}; {hint}", "name a column as the header does")


def _delimiter(text: str) -> str:
    """What the first line is parted by: the most columns count, and a comma the least, as numbers may have one."""
    line = text.split("\n", 1)[0].strip("\r")
    widths = {mark: len(next(csv.reader([line], delimiter=mark), [])) for mark in DELIMITERS}
    return (
        max(DELIMITERS, key=lambda mark: (widths[mark], -DELIMITERS.index(mark))) if max(widths.values()) > 1 else ","
    )


def _is_header(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the first line names the columns: in words, or 0, 1, 2, … as pandas does where they have no names.

    A class may be called y, and a row may begin 0, 1, 2: behind numbers, a word is a name only above numbers.
    """

    def names_numbers(place: int) -> bool:
        return bool(below) and not _is_value(first[place]) and all(_is_value(row[place]) for row in below)

    features = [name for name in first if name not in COLUMN_NAMES]
    numbered = [str(place) for place in range(len(features))]
    ends_in_a_name = features[:-1] == numbered[:-1] and first[-1:] == features[-1:] and names_numbers(len(first) - 1)
    named = [place for place, name in enumerate(first) if name in COLUMN_NAMES]
    is_decimal = DECIMAL_COMMA.fullmatch(first[0]) is not None
    is_named = not _is_value(first[0]) and not is_decimal
    return is_named or features == numbered or ends_in_a_name or any(map(names_numbers, named))
