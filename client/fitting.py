"""Rows and labels as a model wants them: images in its shape, names of classes as their numbers.

The model is only asked for where that matters; arrays of numbers travel as they are.
"""

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from client.arrays import Given, as_pixels, images_in, in_order, is_table, plain
from client.errors import UnusableArray
from client.tensors import inputs_array, labels_array
from client.values import Model, parse
from client.wire import Request, get, object_of

T = TypeVar("T")
Asking = Generator[Request, httpx.Response, T]
SHOWN = 5


def inputs_for(model: str, x: Given) -> Asking[NDArray[Any]]:
    """Inputs [rows, *shape], ready to travel.

    For images the model is asked which shape it takes, and for tables which columns, in which order.

    Raises:
        UnusableArray: they are no numbers, images of another size, or a table without a column that the model takes.
    """
    if is_table(x):
        names = (yield from _described(model)).input_names
        return inputs_array(in_order(x, names) if names else x)
    images = images_in(x)
    if not images:
        return inputs_array(x)
    return as_pixels(images, (yield from _described(model)).input["shape"])


def labels_for(model: str, y: Given) -> Asking[NDArray[Any]]:
    """Labels, ready to travel; names of classes become numbers, by the names that the model has.

    Raises:
        UnusableArray: they are no labels, or the model has no class of a name.
    """
    array = plain(y, what="labels")
    if array.dtype.kind not in "OUST":
        return labels_array(array)
    return numbered(array, (yield from _described(model)).output)


def numbered(names: NDArray[Any], output: "dict[str, Any]") -> NDArray[np.int64]:
    """The class numbers of these names.

    Raises:
        UnusableArray: the model has no names, or none of these; or a label is missing.
    """
    classes = output.get("classes")
    given = names.reshape(-1).tolist()
    if any(one is None or one != one for one in given):  # noqa: PLR0124 - NaN is what differs from itself.
        raise UnusableArray("Some labels are missing", "drop the rows without a label")
    if not isinstance(classes, list):
        kind = "numbers from 0" if output.get("kind") == "categorical" else "numbers"
        first = next((one for one in given if isinstance(one, str)), given[0] if given else None)
        raise UnusableArray(
            f"The labels are words, such as {first!r}, and the model's are {kind}",
            f"give {kind}, or describe a model with the names of its classes",
        )
    numbers = {name: number for number, name in enumerate(classes)}
    unknown = sorted({str(one) for one in given} - set(numbers))
    if unknown:
        raise UnusableArray(
            f"The model knows no class called {unknown[0]!r}; it knows {_some(classes)}",
            "correct the label, or describe a new model with this class",
        )
    return np.array([numbers[str(one)] for one in given], dtype=np.int64)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _described(model: str) -> Asking[Model]:
    request = get("models", model)
    return parse(Model, object_of((yield request), request), asked=str(request))
