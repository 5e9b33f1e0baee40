"""What JSON may be before it is read: few values, few members, and no name twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache

from pydantic import BaseModel

from service.faults import WHERE_MAX, shortened
from service.rejected import JsonInvalid, JsonTooLarge

VALUES_MAX, OF_LIST = 2_000_000, 8
"""A value costs more memory than its digits, and nothing else runs in the process while JSON is read.

A list costs several times as much as a number. Base64 is one value, however long.
"""

MEMBERS_MAX = 200
"""Members of all objects together: sixteen raw tensors have 80. Each that is unknown is a fault, and costs as one."""

STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"\s*+(:)?)?', re.DOTALL)
"""A string, also one that is cut off, and the colon behind it that makes it the name of a member."""


def must_be_bounded(raw: bytes, *, members_max: int = MEMBERS_MAX) -> None:
    """Nothing happens where the JSON can be read, or refused, in little time and memory.

    What is in strings counts as a value as well, and not as a member.

    Raises:
        JsonTooLarge: it cannot.
    """
    if len(raw) > VALUES_MAX // OF_LIST:
        values = raw.count(b",") + OF_LIST * (raw.count(b"[") + raw.count(b"{"))
        if values > VALUES_MAX:
            raise JsonTooLarge(reason=JsonTooLarge.VALUES.format(values_max=VALUES_MAX, of_list=OF_LIST))
    # A look at every string takes longer, and is seldom needed.
    if raw.count(b":") > members_max and _has_more_members(raw, members_max):
        raise JsonTooLarge(reason=JsonTooLarge.MEMBERS.format(members_max=members_max))


def must_name_each_once(raw: bytes, *, check: Callable[[set[str]], None] = lambda _: None) -> None:
    """Nothing happens where no object of the valid JSON has two members of one name, and `check` takes their names.

    Raises:
        JsonInvalid: one has; readers of JSON do not agree which of them counts.
    """

    def once(pairs: list[tuple[str, object]]) -> None:
        check(_once(pairs))

    json.loads(raw, object_pairs_hook=once)


def must_name_fields_once(schema: type[BaseModel], raw: bytes) -> None:
    """The same for a body that is valid by this schema; lists of numbers are passed over.

    Where nothing is escaped and no object lies within, a quote, the name and a quote that a colon follows are a member.

    Raises:
        JsonInvalid: one is there twice.
    """
    if b"\\" in raw or raw.count(b"{") > 1:
        must_name_each_once(raw)
        return
    named: list[bytes] = _names(schema).findall(raw)
    if len(set(named)) < len(named):
        raise _twice(next(name for name in named if named.count(name) > 1).decode())


def _has_more_members(raw: bytes, members_max: int) -> bool:
    members = 0
    for strings, found in enumerate(STRING.finditer(raw)):
        members += found[1] is not None
        # So many strings are too many values, or no JSON.
        if members > members_max or strings > VALUES_MAX + members_max:
            return True
    return False


def _once(pairs: list[tuple[str, object]]) -> set[str]:
    named: set[str] = set()
    for name, _ in pairs:
        if name in named:
            raise _twice(name)
        named.add(name)
    return named


def _twice(name: str) -> JsonInvalid:
    return JsonInvalid(reason=f"{shortened(name, WHERE_MAX)!r} is in one object twice")


@cache
def _names(schema: type[BaseModel]) -> re.Pattern[bytes]:
    names = "|".join(map(re.escape, schema.model_fields))
    return re.compile(rb'"(%b)"\s*+:' % names.encode())
