"""Nested lists of numbers as arrays: at once where they are what a model takes, else node by node, to say why not."""

from __future__ import annotations

import math
from functools import cache, partial
from itertools import chain
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, create_model

from bayes.inputs import Dtype
from service.schemas import AXES_MAX, BatchBody, ComparisonBody, Encoded, PredictionBody

OfRows = TypeVar("OfRows", BatchBody, PredictionBody, ComparisonBody)

JSON_NAMES = {bool: "booleans", str: "strings", type(None): "null", dict: "objects", int: "numbers", float: "numbers"}


class NoArrayError(Exception):
    """The lists are not of one length at every depth, or nested too deep, so they are no array."""


class NotNumbersError(Exception):
    """The lists hold something else than numbers."""


@cache
def expecting(body: type[OfRows], axes: int, dtype: Dtype) -> type[OfRows]:
    """The same body, whose lists of inputs are read as an array of so many axes; it refuses those that are not.

    Lists of numbers are checked while pydantic reads them, in half of the time that a look at every object takes.
    """
    lists: Any = int if dtype == "uint8" else float
    for _ in range(axes):
        lists = Annotated[list[lists], Field(fail_fast=True)]
    arrays = Annotated[lists, AfterValidator(partial(_expected, axes=axes, dtype=dtype))]
    inputs = Annotated[arrays | Encoded, Field(union_mode="left_to_right")]
    return create_model(body.__name__, __base__=body, inputs=(inputs, ...))


def array_of_lists(nested: list[Any], *, of_booleans: bool = False) -> NDArray[Any]:
    """int64 where all numbers are whole and fit, else float64, where a number beyond float64 is infinite.

    Of booleans it is uint8, 0 or 1.

    Looks at every node once, level by level, so that no shape of the lists makes it slow.

    Raises:
        NoArrayError, NotNumbersError: the lists are no array of numbers.
    """
    shape, level = [len(nested)], nested
    while (kinds := set(map(type, level))) == {list}:
        lengths = sorted(set(map(len, level)))
        if len(lengths) > 1:
            raise NoArrayError(f"lists of {lengths[0]} and of {lengths[-1]} entries at depth {len(shape)}")
        if len(shape) == AXES_MAX:
            raise NoArrayError(f"lists nested more than {AXES_MAX} deep")
        shape.append(lengths[0])
        level = list(chain.from_iterable(level))
    if list in kinds:
        raise NoArrayError(f"lists beside other values at depth {len(shape) - 1}")
    if others := kinds - ({bool} if of_booleans else {int, float}):
        raise NotNumbersError(" and ".join(sorted({JSON_NAMES[kind] for kind in others})))
    if of_booleans:
        return np.array(level, np.uint8).reshape(shape)
    return _numbers(level, is_whole=kinds == {int}).reshape(shape)


def _expected(nested: list[Any], *, axes: int, dtype: Dtype) -> NDArray[Any]:
    """uint8 or float64; a ValueError for lists of several lengths, and for numbers that are no uint8."""
    shape, level = [len(nested)], nested
    for _ in range(axes - 1):
        [length] = set(map(len, level))
        shape.append(length)
        level = list(chain.from_iterable(level))
    array = np.frombuffer(bytearray(level), np.uint8) if dtype == "uint8" else np.array(level, np.float64)
    return array.reshape(shape)


def _numbers(values: list[int | float], *, is_whole: bool) -> NDArray[Any]:
    if is_whole:
        try:
            return np.array(values, np.int64)
        except OverflowError:
            pass
    try:
        return np.array(values, np.float64)
    except OverflowError:
        return np.array([_saturated(value) for value in values])


def _saturated(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
