"""Requests and answers as pure values: what is sent, and what an answer means. No network here."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote

import httpx

from client.errors import (
    Fault,
    KeyNotAllowed,
    KeyRefused,
    RateLimited,
    ServiceProblem,
    UnexpectedAnswer,
    UnusableApiKey,
    UnusableKey,
    UnusableUrl,
)
from client.values import Json

JSON = "application/json"
LOCAL = "http://127.0.0.1:8000"
SAFETENSORS = "application/x-safetensors"
USER_AGENT = {"User-Agent": "posterity-client"}


Watch = Callable[[int, int | None], None]
PIECE_BYTES = 1 << 18
OF_STATUS = {401: KeyRefused, 403: KeyNotAllowed, 429: RateLimited}


@dataclass(frozen=True)
class Request:
    """One HTTP request; `is_repeatable` says that sending it twice does what sending it once does.

    `after_seconds` is how long to wait before it is sent: polling is a request that waits. `watch` is told how many
    bytes of the body were sent, of how many; of an answer that `is_long`, how many have come.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_repeatable: bool = False
    after_seconds: float = 0.0
    watch: Watch | None = None
    is_long: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def httpx_arguments(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "url": self.path,
            "params": self.query,
            "headers": self.headers,
            "content": self.body or None,
        }

    def pieces(self, watch: Watch) -> Iterator[bytes]:
        """The body, piece by piece; each is told of when the next is asked for, which is when it was sent."""
        for start in range(0, len(self.body), PIECE_BYTES):
            watch(start, len(self.body))
            yield self.body[start : start + PIECE_BYTES]
        watch(len(self.body), len(self.body))

    def watched(self, content: object) -> dict[str, Any]:
        """The arguments with this content in pieces; its length is stated, so that nothing is sent in chunks."""
        headers = {**self.headers, "Content-Length": str(len(self.body))}
        return {**self.httpx_arguments, "headers": headers, "content": content}


def get(*path: object, query: Mapping[str, object] | None = None, after_seconds: float = 0.0) -> Request:
    return Request("GET", url_path(*path), query=stated(query or {}), is_repeatable=True, after_seconds=after_seconds)


def post(*path: object, body: Json, is_repeatable: bool = False) -> Request:
    content = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    return Request("POST", url_path(*path), headers={"Content-Type": JSON}, body=content, is_repeatable=is_repeatable)


def url_of_environment() -> str:
    """Where the service is when nobody says: at POSTERITY_URL, or where `posterity serve` listens by itself."""
    return os.environ.get("POSTERITY_URL", "").strip() or LOCAL


def usable_url(url: str) -> str:
    """The URL of a service, without a slash at its end.

    Raises:
        UnusableUrl: it has no http or https in front, or no host.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UnusableUrl(url) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UnusableUrl(url)
    return url.rstrip("/")


def headers_with(key: str | None) -> dict[str, str]:
    """The headers of every request of a client that shows this key.

    Raises:
        UnusableApiKey: a header cannot carry it.
    """
    if key is None:
        return dict(USER_AGENT)
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise UnusableApiKey
    return {**USER_AGENT, "Authorization": f"Bearer {key}"}


def url_path(*parts: object) -> str:
    """`/v1/...` with every part escaped, so that no name can reach another path."""
    return "/v1/" + "/".join(quote(str(part), safe="") for part in parts)


def quoted(key: str) -> str:
    """The key as a string of RFC 8941, section 3.3.3.

    Raises:
        UnusableKey: a header cannot carry it.
    """
    if not (key.isascii() and key.isprintable()):
        raise UnusableKey(f"The idempotency key {key!r} has characters other than printable ASCII.")
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def stated(query: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value is not None}


class Arriving:
    """An answer that comes in pieces."""

    def __init__(self, response: httpx.Response, watch: Watch) -> None:
        self._response, self._watch, self._pieces, self._size = response, watch, list[bytes](), 0
        stated = response.headers.get("Content-Length", "")
        self._all = int(stated) if stated.isdigit() else None

    def take(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        self._watch(self._size, self._all)

    def whole(self) -> httpx.Response:
        """The answer as if it had come at once."""
        coded = ("content-encoding", "content-length", "transfer-encoding")
        headers = [(name, value) for name, value in self._response.headers.multi_items() if name.lower() not in coded]
        return httpx.Response(
            self._response.status_code,
            headers=headers,
            content=b"".join(self._pieces),
            request=self._response.request,
        )


def checked(response: httpx.Response, *, now: datetime | None = None) -> httpx.Response:
    """The response itself when it is a success.

    Raises:
        ServiceProblem: the status is 400 or more.
    """
    if response.status_code < 400:
        return response
    body = _json_or_empty(response)
    reason = response.text.strip()[:200] or response.reason_phrase
    raise OF_STATUS.get(response.status_code, ServiceProblem)(
        str(body.get("code", f"http-{response.status_code}")),
        response.status_code,
        str(body.get("detail") or body.get("title") or reason),
        tuple(_faults(body.get("errors") or ())),
        title=str(body.get("title") or ""),
        retry_after_seconds=_retry_after(response.headers.get("Retry-After"), now or datetime.now(UTC)),
    )


def object_of(response: httpx.Response, request: Request) -> Json:
    """The JSON object of a success.

    Raises:
        UnexpectedAnswer: the body is something else.
    """
    body = _json_or_empty(response)
    if not body:
        raise UnexpectedAnswer(str(request), f"no JSON object but {response.text[:80]!r}")
    return body


def _json_or_empty(response: httpx.Response) -> Json:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _faults(errors: Sequence[Mapping[str, object]]) -> list[Fault]:
    return [Fault(str(error.get("where", "")), str(error.get("message", ""))) for error in errors]


def _retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds to wait, from either form of Retry-After (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment - now).total_seconds())
