"""What is wrong with a request, and where, told in the words of its body and at a bounded length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FAULTS_MAX = 20
"""So many faults of one request are told by themselves, and how many others there are."""

WHERE_MAX, MESSAGE_MAX, DETAIL_MAX = 200, 500, 5_000
"""Characters: what is told of a request may quote it, and is not as long as it."""

# What pydantic adds to the place of a fault to say which member of a union it tried.
UNIONS = {"net", "output", "prior", "retention"}
KINDS = {"mlp", "lenet5", "3conv3fc", "layers", "torchvision", "categorical", "gaussian", "weights", "laplace"} | {
    *("dense", "conv", "maxpool", "relu", "softplus", "flatten"),
    *("keep", "delete-after-absorb", "delete-after-days"),
}
MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
A_NAME = "a name is 1 to 128 letters, digits, '.', '_' and '-', the first a letter or digit"
IN_WORDS = {f"String should match pattern '{MODEL_NAME}'": A_NAME}
"""What to say instead of a pattern."""
OPTION = re.compile(r"int|float|Encoded|Recipe|(list|literal)\[.*\]")


def shortened(text: str, characters_max: int) -> str:
    """The text, or its beginning and a sign that more followed."""
    return text if len(text) <= characters_max else f"{text[: characters_max - 1]}…"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and where: `net.layers.2`, `labels[7]`, `query.limit`; both are shortened."""

    where: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", shortened(self.where, WHERE_MAX))
        object.__setattr__(self, "message", shortened(self.message, MESSAGE_MAX))


def faults_of(errors: Sequence[Any]) -> list[Fault]:
    """The first errors of pydantic as faults, with places in the words of the body: `net.layers.0.units`."""
    return [
        Fault(_where(error["loc"]), IN_WORDS.get(str(error["msg"]), str(error["msg"]))) for error in errors[:FAULTS_MAX]
    ]


def in_words(faults: Sequence[Fault], *, found: int | None = None) -> str:
    """The first fault as a sentence, without its full stop; and how many others were found."""
    first, others = faults[0], (len(faults) if found is None else found) - 1
    return f"{first.where}: {first.message.rstrip('.')}{f' (and {others:,} more)' if others else ''}"


def _where(loc: tuple[int | str, ...]) -> str:
    parts = [
        str(part)
        for before, part in zip(("", *loc), loc, strict=False)
        if not (str(part) in KINDS and (before in UNIONS or isinstance(before, int)))
        and not OPTION.fullmatch(str(part))
    ]
    return ".".join(parts) or "body"
