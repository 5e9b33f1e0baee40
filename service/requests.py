"""What endpoints ask of a request: its raw body, the names in its path, its key, its page."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Path, Query, Request
from fastapi import params as fields
from fastapi.dependencies.utils import get_flat_params
from fastapi.requests import HTTPConnection
from fastapi.routing import APIRoute

from service.house import House
from service.rejected import (
    BodyTooLarge,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    MediaTypeUnsupported,
    QueryInvalid,
)
from service.schemas import NUMBER_MAX

JSON = "application/json"
SAFETENSORS = "application/x-safetensors"
BYTES = "application/octet-stream"
ZIP = "application/zip"

KEY_HEADER = "Idempotency-Key"
KEY_LENGTH_MAX = 255
KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
KEY_PATTERN = (
    r"^([!#-~]([ -~]*[!-~])?"
    r'|"([!#-\[\]-~]|\\["\\])(([ !#-\[\]-~]|\\["\\])*([!#-\[\]-~]|\\["\\]))?")$'
)
"""The same for the OpenAPI document: bare, or quoted."""
CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]*)", re.IGNORECASE)

Item = TypeVar("Item")


async def _house(connection: HTTPConnection) -> House:
    house = connection.app.state.house
    assert isinstance(house, House)
    return house


TheHouse = Annotated[House, Depends(_house)]

# Names with control characters cannot exist, and PostgreSQL refuses to be asked for them.
ModelName = Annotated[str, Path(alias="model", pattern=r"^[^\x00-\x1f\x7f]{1,128}$", examples=["pairs"])]
AliasName = Annotated[str, Path(alias="alias", pattern=r"^[^\x00-\x1f\x7f]{1,64}$", examples=["head"])]
AliasToMake = Annotated[str, Path(alias="alias", pattern=r"^[^\x00-\x1f\x7f]+$", examples=["review"])]
"""One that is too long is refused as no name, and not as if nothing were there."""
PathNumber = Annotated[int, Path(ge=0, le=NUMBER_MAX)]


async def only_known_parameters(request: Request) -> None:
    """Every query parameter is one that the call takes, and is given once.

    Raises:
        QueryInvalid: one would be passed over without a word.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = sorted(
        field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, fields.Query)
    )
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            takes = f"takes {', '.join(known)}" if known else "takes no query parameters"
            raise QueryInvalid(reason=f"{name[:100]!r} is no query parameter of this call, which {takes}")
        if given.count(name) > 1:
            raise QueryInvalid(reason=f"{name}: given {given.count(name)} times")


async def _raw_body(request: Request, house: TheHouse) -> bytes:
    """The whole body; a body over the limit is refused before it is read to its end.

    Raises:
        BodyTooLarge: its Content-Length says so, or what has arrived already is more.
    """
    bytes_max = house.settings.body_bytes_max
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise BodyTooLarge(bytes_max=bytes_max)
    parts, received = [], 0
    async for part in request.stream():
        received += len(part)
        if received > bytes_max:
            raise BodyTooLarge(bytes_max=bytes_max)
        parts.append(part)
    return b"".join(parts)


def media_type(request: Request, *accepted: str) -> str:
    """The media type of the body, one of these.

    Raises:
        MediaTypeUnsupported: it is another, or the request does not say; or the body is compressed.
    """
    must_be_plain(request, *accepted)
    found = request.headers.get("content-type", "nothing")
    plain = found.partition(";")[0].strip().lower()
    charset = CHARSET.search(found)
    if plain not in accepted or (plain == JSON and charset and charset[1].lower() != "utf-8"):
        raise MediaTypeUnsupported(accepted=" or ".join(accepted), found=f"Content-Type: {found[:100]}")
    return plain


def must_be_plain(request: Request, *accepted: str) -> None:
    """Nothing happens where the body is not compressed.

    Raises:
        MediaTypeUnsupported: it is.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        found = f"Content-Encoding: {coding[:100]}"
        raise MediaTypeUnsupported(accepted=f"{' or '.join(accepted)}, not compressed", found=found)


RawBody = Annotated[bytes, Depends(_raw_body)]


async def _json_only(request: Request) -> None:
    media_type(request, JSON)


async def _json_if_any(request: Request, raw: RawBody) -> None:
    if raw:
        media_type(request, JSON)


async def _bytes_only(request: Request) -> None:
    media_type(request, SAFETENSORS, BYTES)


JsonOnly = Depends(_json_only)
JsonIfAny = Depends(_json_if_any)
"""For a call whose body may be left out."""
BytesOnly = Depends(_bytes_only)


KeyHeader = Annotated[
    str | None,
    Header(
        alias=KEY_HEADER,
        description='A name of your choice for these rows, at most 255 characters, bare or quoted ("…").',
        examples=["2026-11-23T10:00/17"],
        json_schema_extra={"pattern": KEY_PATTERN, "maxLength": KEY_LENGTH_MAX},
    ),
]


async def _idempotency_key(header: KeyHeader = None) -> str:
    return key_of(header)


async def _idempotency_key_if_any(header: KeyHeader = None) -> str | None:
    return None if header is None else key_of(header)


def key_of(header: str | None) -> str:
    """The key, without the quotes of RFC 8941 where it came with them.

    Raises:
        IdempotencyKeyMissing, IdempotencyKeyInvalid: there is none, or it is none.
    """
    if header is None or not header.strip():
        raise IdempotencyKeyMissing
    key = header.strip()
    if key.startswith('"'):
        quoted = QUOTED.fullmatch(key)
        key = re.sub(r'\\(["\\])', r"\1", quoted[1]) if quoted else ""
    if not KEY.fullmatch(key) or len(key) > KEY_LENGTH_MAX:
        raise IdempotencyKeyInvalid(length_max=KEY_LENGTH_MAX)
    return key


IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
IdempotencyKeyIfAny = Annotated[str | None, Depends(_idempotency_key_if_any)]


@dataclass(frozen=True)
class Page:
    """Where a list goes on, and how much of it to answer with."""

    after: str | None
    limit: int

    def after_number(self, start: int) -> int:
        """The number to go on after.

        Raises:
            QueryInvalid: the cursor belongs to another list.
        """
        if self.after is None:
            return start
        if not re.fullmatch(r"\d{1,9}", self.after):  # at most CURSOR_MAX
            raise _bad_cursor()
        return int(self.after)

    def cut(self, found: list[Item], key: Callable[[Item], object]) -> tuple[list[Item], str | None]:
        """The page, out of one item more than it holds, and the cursor of the next page."""
        page = found[: self.limit]
        return page, _cursor(str(key(page[-1]))) if len(found) > self.limit else None


async def _page(
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.", max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Most items on a page.")] = 50,
) -> Page:
    if cursor is None:
        return Page(None, limit)
    try:
        after = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None
    if not after.isprintable():
        raise _bad_cursor()
    return Page(after, limit)


PageAsked = Annotated[Page, Depends(_page)]
CURSOR_MAX = 10**9 - 1
After = Annotated[
    int | None,
    Query(ge=0, le=CURSOR_MAX, description="The first page begins after the item of this number, or in this place."),
]


async def _numbered_page(page: PageAsked, after: After = None) -> Page:
    if after is None:
        return page
    if page.after is not None:
        raise QueryInvalid(reason="after: says where the first page begins; the next ones have a cursor")
    return Page(str(after), page.limit)


NumberedPageAsked = Annotated[Page, Depends(_numbered_page)]
"""Of a list whose items are numbered: its first page can begin anywhere, so the newest are one request away."""


def _cursor(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode()).decode()


def _bad_cursor() -> QueryInvalid:
    return QueryInvalid(reason="cursor: must be the next_cursor of the page before")
