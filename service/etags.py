"""What endpoints ask of the ETags in a request: that an alias has not moved, or that an answer is still good."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header

from service.rejected import QueryInvalid
from store.aliases import Expected

ETAG_OF_MOVE = re.compile(r'"(\d{1,9})"')

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description='The ETag that the alias had when you read it; "0": it must never have existed; *: it must exist.',
        examples=['"3"'],
        json_schema_extra={"pattern": r'^(\*|"[0-9]{1,9}")$'},
    ),
]


async def _expected(if_match: IfMatch = None) -> Expected:
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return "any"
    if not (etag := ETAG_OF_MOVE.fullmatch(if_match.strip())):
        raise QueryInvalid(reason='If-Match: must be * or the ETag that GET of the alias answered, such as "3"')
    return int(etag[1])


ExpectedSeq = Annotated[Expected, Depends(_expected)]


async def _expected_or_new(
    expected: ExpectedSeq,
    if_none_match: Annotated[
        str | None,
        Header(
            alias="If-None-Match",
            description="*: the alias must not exist; never together with If-Match.",
            json_schema_extra={"pattern": r"^\*$"},
        ),
    ] = None,
) -> Expected:
    if if_none_match is None:
        return expected
    if if_none_match.strip() != "*" or expected is not None:
        raise QueryInvalid(reason="If-None-Match: must be *, without If-Match")
    return "none"


ExpectedSeqOrNew = Annotated[Expected, Depends(_expected_or_new)]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="The ETag of the answer you have; 304 if it is still good.")
]


def is_fresh(etag: str, if_none_match: str | None) -> bool:
    """True when the caller has the answer with this ETag (RFC 9110, weak comparison)."""
    if if_none_match is None:
        return False
    held = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in held or "*" in held
