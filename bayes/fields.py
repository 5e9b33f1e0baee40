"""Strict reading of a JSON object: each key once, every fault named by its path."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from bayes.errors import InvalidDescription

Choice = TypeVar("Choice", bound=str)

JSON_KINDS: tuple[tuple[type, str], ...] = (
    (type(None), "null"),
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a string"),
    (Mapping, "an object"),
    (Sequence, "a list"),
)


class Fields:
    """The keys of one JSON object. Each is read once; `close` refuses those that nobody read."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise InvalidDescription(where, f"must be an object, not {kind_of(value)}")
        self.where = where
        self._left = dict(value)

    def at(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def has(self, key: str) -> bool:
        """The key is there, and nobody has read it yet."""
        return key in self._left

    def take(self, key: str, default: object = ...) -> object:
        if key not in self._left and default is ...:
            raise InvalidDescription(self.at(key), "is missing")
        return self._left.pop(key, default)

    def choice(self, key: str, choices: Sequence[Choice], default: Choice | None = None) -> Choice:
        value = self.take(key, ... if default is None else default)
        for option in choices:
            if value == option:
                return option
        raise InvalidDescription(self.at(key), f"must be one of {', '.join(choices)}, not {value!r}")

    def whole(self, key: str, *, least: int, most: int = 2**31 - 1, default: int | None = None) -> int:
        value = self.take(key, ... if default is None else default)
        return whole(value, self.at(key), least=least, most=most)

    def number(
        self, key: str, *, above: float = -math.inf, most: float = math.inf, default: float | None = None
    ) -> float:
        value = self.take(key, ... if default is None else default)
        return number(value, self.at(key), above=above, most=most)

    def close(self) -> None:
        """Nothing is left unread.

        Raises:
            InvalidDescription: a key has no meaning here.
        """
        for key in sorted(self._left, key=str):
            raise InvalidDescription(self.at(str(key)), "is not a known key")


def names(value: object, where: str) -> tuple[str, ...]:
    """The names in a list, no two the same.

    Raises:
        InvalidDescription: it holds something else.
    """
    unique: dict[str, None] = {}
    for index, name in enumerate(sequence(value, where)):
        if not isinstance(name, str) or not name:
            raise InvalidDescription(f"{where}.{index}", "must be a name")
        if name in unique:
            raise InvalidDescription(f"{where}.{index}", f"names {name!r} a second time")
        unique[name] = None
    return tuple(unique)


def whole(value: object, where: str, *, least: int, most: int = 2**31 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidDescription(where, f"must be a whole number, not {kind_of(value)}")
    if not least <= value <= most:
        found = value if value.bit_length() <= 64 else f"a number of {value.bit_length()} bits"
        raise InvalidDescription(where, f"must be between {least} and {most}, not {found}")
    return value


def number(
    value: object, where: str, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidDescription(where, f"must be a number, not {kind_of(value)}")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf if value > 0 else -math.inf
    if not (math.isfinite(value) and above < value and least <= value <= most):
        bounds = (("above", above), ("at least", least), ("at most", most))
        named = [f"{words} {bound:g}" for words, bound in bounds if math.isfinite(bound)]
        raise InvalidDescription(where, f"must be {' and '.join(['finite', *named])}, not {value}")
    return value


def sequence(value: object, where: str) -> Sequence[object]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidDescription(where, f"must be a list, not {kind_of(value)}")
    return value


def kind_of(value: object) -> str:
    """The JSON name of a value's type."""
    for kind, name in JSON_KINDS:
        if isinstance(value, kind):
            return name
    return type(value).__name__
