"""A model's description from rows: what there is to be seen in them, and warnings about what looks wrong."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from client.csv_tables import LABEL_NAMES, Chosen, Columns, Table, columns_of, is_finite
from client.errors import UnusableArray
from client.files import Rows
from client.values import Json

Kind = Literal["classes", "numbers"]
CLASSES_MAX, CLASS_NUMBER_MAX = 50, 99
"""Whole numbers are classes where they are that few, and that small."""
ROWS_OF_CHUNK_MAX = 5_000
IDS_LEAST = 10
WORDS_SHOWN = 3


@dataclass(frozen=True)
class Described:
    """A description that the service takes, and what to know about it."""

    description: Json
    remarks: tuple[str, ...]
    columns: tuple[str, ...]
    """The names of the inputs, in the order in which the model takes them."""


def describe(rows: Rows, name: str, *, chosen: Chosen, kind: Kind | None = None) -> Described:
    """A model for these labeled rows: scaled by their means and deviations, with the classes that their labels are.

    Raises:
        UnusableArray: a column holds words or misses values, or the labels tell nothing.
    """
    if rows.y is None:
        raise UnusableArray("There are no labels to describe a model by", "name the column that is the label (--label)")
    remarks: list[str] = []
    names = _names(rows.table, chosen) if rows.table is not None else ()
    x = rows.x if rows.x.ndim > 1 else rows.x[:, np.newaxis]
    if rows.table is not None:
        _refuse_ids(x, names, chosen)
        remarks += _taken_as_label(rows.table, chosen)
    output = _output(np.asarray(rows.y), kind, remarks)
    count = len(x)
    description: Json = {
        "name": name,
        "net": _net(x.shape[1:]),
        "input": _input(x, names, remarks) | _kept_names(rows.table, names),
        "output": output,
        "chunk": {"rows": min(count, ROWS_OF_CHUNK_MAX), "seconds": 60},
    }
    if count > ROWS_OF_CHUNK_MAX:
        remarks.append(f"{count:,} rows: post them with --rows-per-batch {ROWS_OF_CHUNK_MAX}, a chunk each")
    if count < 20:
        remarks.append(f"{count} rows are few; what is learned from them will be as doubtful as the predictions say")
    return Described(description, tuple(remarks), names)


def name_of(path: Path) -> str:
    """A model's name that is like the file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:128] or "model"


def _names(table: Table, chosen: Chosen) -> tuple[str, ...]:
    columns: Columns = columns_of(table, chosen, is_labeled=True)
    return tuple(table.names[place] if table.names else f"column {place + 1}" for place in columns.inputs)


def _taken_as_label(table: Table, chosen: Chosen) -> list[str]:
    """Which column was taken as the label, where nothing but its place says so."""
    place = columns_of(table, chosen, is_labeled=True).label
    name = table.names[place] if table.names and place is not None else ""
    if place is None or chosen.label is not None or name.lower() in LABEL_NAMES:
        return []
    called = repr(name) if name else f"number {place + 1}"
    return [f"the last column, {called}, was taken as the label; --label names another"]


def _kept_names(table: Table | None, names: Sequence[str]) -> Json:
    """The header's names, where they tell the columns apart, to be kept with the model."""
    is_header = table is not None and bool(table.names)
    are_names = all(re.fullmatch(r"[^\x00-\x1f\x7f-\x9f]{1,200}", name) for name in names)
    return {"names": list(names)} if is_header and are_names and len(set(names)) == len(names) else {}


def _refuse_ids(x: NDArray[Any], names: Sequence[str], chosen: Chosen) -> None:
    """A column that counts the rows tells nothing of rows to come; it may be asked for by name.

    Raises:
        UnusableArray: there is one.
    """
    for column, name in zip(x.T, names, strict=True):
        if len(column) < IDS_LEAST or name in chosen.columns:
            continue
        is_count = bool((np.diff(np.sort(column)) == 1).all())
        is_id = re.search(r"(^|[_ ])(id|uuid|index|nr|no)$", name.lower()) is not None
        if is_count or (is_id and len(np.unique(column)) == len(column)):
            raise UnusableArray(
                f"Column {name!r} numbers the rows: it has another value in each, and tells nothing of rows to come",
                f"leave it out (--drop {_quoted(name)}), here and with each file; or name all --columns to keep it",
            )


def _input(x: NDArray[Any], names: Sequence[str], remarks: list[str]) -> Json:
    shape = list(x.shape[1:])
    if x.dtype == np.uint8:
        return {"shape": shape, "dtype": "uint8", "std": float(max(1, x.max()))}
    if not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))[0, 0])
        raise UnusableArray(f"Row {row} of the inputs misses a number, or has an infinite one", "fill or drop it")
    axes = (0, *range(2, x.ndim))
    mean, std = x.mean(axis=axes, dtype=np.float64), x.std(axis=axes, dtype=np.float64)
    flat = ~(std > 1e-6 * np.maximum(1e-3, np.abs(mean)))
    for place in np.flatnonzero(flat).tolist():
        called = repr(names[place]) if names else str(place + 1)
        remarks.append(
            f"column {called} is {mean[place]:g} in every row, and tells nothing: --drop it, or keep it for later"
        )
    scale = np.where(flat, 1.0, std)
    return {"shape": shape, "mean": [_rounded(one) for one in mean], "std": [_rounded(one) for one in scale]}


def _output(y: NDArray[Any], kind: Kind | None, remarks: list[str]) -> Json:
    """What the labels are: names of classes, class numbers, or numbers."""
    if y.ndim == 2 and y.shape[1] > 1:
        return {"kind": "gaussian", "dims": int(y.shape[1])}
    words = [str(one) for one in y.reshape(-1).tolist()]
    if any(word.strip().lower() in ("", "nan", "none", "null", "na") for word in words):
        missing = sum(word.strip().lower() in ("", "nan", "none", "null", "na") for word in words)
        raise UnusableArray(f"{missing} of {len(words)} rows have no label", "drop these rows, or label them")
    are_numbers = all(map(is_finite, words))
    if kind == "numbers" and not are_numbers:
        word = next(word for word in words if not is_finite(word))
        raise UnusableArray(f"The labels are to be numbers, and {word!r} is none", "leave --as out: these are classes")
    if are_numbers:
        values = np.array(words, dtype=np.float64)
        whole = bool((np.floor(values) == values).all())
        few = len(np.unique(values)) <= CLASSES_MAX and values.min() >= 0 and values.max() <= CLASS_NUMBER_MAX
        if kind == "numbers" or (kind is None and not (whole and few)):
            return {"kind": "gaussian"}
        if whole and values.min() >= 0:
            return _numbered(values, remarks)
    return _named(words)


def _numbered(values: NDArray[np.float64], remarks: list[str]) -> Json:
    found = {int(one) for one in np.unique(values)}
    if len(found) < 2:
        raise UnusableArray(
            f"Every label is {found.pop()}", "post rows of two classes at least, or name another --label"
        )
    count = max(found) + 1
    unseen = sorted(set(range(count)) - found)
    if unseen:
        remarks.append(f"classes are numbered from 0, and these were not seen: {', '.join(map(str, unseen[:10]))}")
    remarks.append("the labels are whole numbers, taken as classes; say --as numbers if they measure something")
    return {"kind": "categorical", "classes": count}


def _named(words: Sequence[str]) -> Json:
    classes = sorted(set(words))
    if len(classes) < 2:
        raise UnusableArray(
            f"Every label is {classes[0]!r}", "post rows of two classes at least, or name another --label"
        )
    if len(classes) > max(2, len(words) // 2) and len(words) >= IDS_LEAST:
        shown = ", ".join(classes[:WORDS_SHOWN])
        raise UnusableArray(
            f"The label has {len(classes)} values in {len(words)} rows ({shown}, …), so it names rows and no classes",
            "name the column that is the label (--label)",
        )
    return {"kind": "categorical", "classes": classes}


def _net(shape: Sequence[int]) -> Json:
    if len(shape) == 3 and min(shape[1:]) >= 16:
        return {"kind": "lenet5"}
    return {"kind": "mlp", "hidden": [64 if int(np.prod(shape)) > 16 else 32]}


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f"'{name}'"
