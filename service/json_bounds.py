"""What JSON may be before it is read: few values and few members."""

from __future__ import annotations

import re

from service.rejected import JsonTooLarge

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


def _has_more_members(raw: bytes, members_max: int) -> bool:
    members = 0
    for strings, found in enumerate(STRING.finditer(raw)):
        members += found[1] is not None
        # So many strings are too many values, or no JSON.
        if members > members_max or strings > VALUES_MAX + members_max:
            return True
    return False
