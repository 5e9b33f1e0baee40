"""What is named on the command line, as rows: files, images, folders of images, CSVs that name images, stdin."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from client.arrays import ImageLike, as_pixels
from client.csv_tables import FILE_NAMES, Chosen, Table, columns_of, read_table
from client.errors import UnreadableFile, UnusableArray
from client.files import Rows, key_of, read_rows
from client.pictures import classes_of, files_in, has_picture_name, is_picture, opened, read

Size = tuple[int, int]
Shape = Sequence[int]


@dataclass(frozen=True)
class Source:
    """Rows, the names of the images that they are from, and the key of the file that they are from, where it is one."""

    rows: Rows
    names: tuple[str, ...] = ()
    key: str | None = None


@dataclass(frozen=True)
class Reading:
    """How what is named is read; `shape` is that of the model's input, and None where there is no model yet."""

    is_labeled: bool
    shape: Shape | None = None
    chosen: Chosen = field(default_factory=Chosen)
    size: Size | None = None
    of_class: str | None = None


def contents(file: Path) -> bytes:
    """The bytes of the file, or of stdin for `-`.

    Raises:
        UnreadableFile: there is no such file, or it may not be read.
    """
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UnreadableFile(
            f"{file}: {error.strerror}", "name a file that is there and may be read, or - for stdin"
        ) from error


def sources_of(paths: Sequence[Path], how: Reading) -> list[Source]:
    """The rows of what is named: of each file its own, of all images together one.

    Raises:
        UnreadableFile, UnusableArray: something cannot be read, or is no rows.
    """
    found: list[Source] = []
    images: list[Path] = []
    labels: list[str] = []
    for path in paths:
        if path.is_dir():
            inside = files_in(path)
            images += inside
            labels += classes_of(path, inside) if how.is_labeled and how.of_class is None else []
        elif has_picture_name(path):
            images.append(path)
        else:
            found.append(_of_file(path, contents(path), how))
    if images:
        pictures = [read(file, size=how.size) for file in images]
        found.append(_of_images(pictures, labels, [str(file) for file in images], how))
    return found


def size_of(word: str | None) -> Size | None:
    """Width and height of a word such as 28x28.

    Raises:
        UnusableArray: it is none.
    """
    if word is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", word.strip().lower())
    if found is None:
        raise UnusableArray(f"{word!r} is no size of an image", "give width and height in pixels, such as 28x28")
    return int(found[1]), int(found[2])


def _of_file(path: Path, content: bytes, how: Reading) -> Source:
    if is_picture(content):
        return _of_images([opened(content, str(path), size=how.size)], [], [str(path)], how)
    table = _table_of_images(content, how)
    if table is None:
        return Source(read_rows(content, is_labeled=how.is_labeled, chosen=how.chosen), key=key_of(content))
    place = next(place for place, name in enumerate(table.names) if name.lower() in FILE_NAMES)
    files = [path.parent / cell for cell in table.cells(place)]
    pictures = [read(file, size=how.size) for file in files]
    columns = columns_of(table, how.chosen, is_labeled=False)
    labels = [] if columns.label is None else table.cells(columns.label)
    return _of_images(pictures, labels, [str(file) for file in files], how)


def _table_of_images(content: bytes, how: Reading) -> Table | None:
    """The table, where the content is a CSV with a column of image files."""
    try:
        text = content.decode("utf-8-sig").strip()
        if "\0" in text or text[:1] in ("{", "["):
            return None
        table = read_table(text, how.chosen)
    # What else it may be is looked at next, and refused in words.
    except (ValueError, UnusableArray):
        return None
    places = [place for place, name in enumerate(table.names) if name.lower() in FILE_NAMES]
    return table if places and all(has_picture_name(Path(cell)) for cell in table.cells(places[0])) else None


def _of_images(pictures: Sequence[ImageLike], labels: Sequence[str], names: Sequence[str], how: Reading) -> Source:
    shape = _common_shape(pictures, names) if how.shape is None else how.shape
    said = [how.of_class] * len(pictures) if how.of_class is not None else list(labels)
    if how.is_labeled and len(said) != len(pictures):
        raise UnusableArray(
            "These images have no labels",
            "name a folder with one folder for each class, a CSV with the columns file and label, or say --class",
        )
    return Source(Rows(as_pixels(pictures, shape), np.array(said) if how.is_labeled else None), tuple(names))


def _common_shape(pictures: Sequence[ImageLike], names: Sequence[str]) -> Shape:
    """The shape that all these images have: grey if all are, else colour.

    Raises:
        UnusableArray: they have different sizes.
    """
    sizes = {picture.size: name for picture, name in zip(pictures, names, strict=True)}
    if len(sizes) > 1:
        (one, a), (other, b) = list(sizes.items())[:2]
        raise UnusableArray(
            f"The images have different sizes: {a} is {one[0]}x{one[1]} and {b} is {other[0]}x{other[1]}",
            "scale them to one with --resize, such as --resize 28x28",
        )
    width, height = next(iter(sizes))
    is_grey = all(picture.getbands()[0] in ("L", "1", "I") for picture in pictures)
    return [1 if is_grey else 3, height, width]
