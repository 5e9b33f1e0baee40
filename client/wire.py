"""Requests and answers as pure values: what is sent, and what an answer means. No network here."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import save

from client.errors import (
    Fault,
    KeyNotAllowed,
    KeyRefused,
    RateLimited,
    ServiceProblem,
    UnexpectedAnswer,
    UnusableApiKey,
    UnusableArray,
    UnusableKey,
    UnusableUrl,
)
from client.values import Json

JSON = "application/json"
SAFETENSORS = "application/x-safetensors"
USER_AGENT = {"User-Agent": "posterity-client"}


OF_STATUS = {401: KeyRefused, 403: KeyNotAllowed, 429: RateLimited}


@dataclass(frozen=True)
class Request:
    """One HTTP request; `is_repeatable` says that sending it twice does what sending it once does.

    `after_seconds` is how long to wait before it is sent: polling is a request that waits.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_repeatable: bool = False
    after_seconds: float = 0.0

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


def get(*path: object, query: Mapping[str, object] | None = None, after_seconds: float = 0.0) -> Request:
    return Request("GET", url_path(*path), query=stated(query or {}), is_repeatable=True, after_seconds=after_seconds)


def post(*path: object, body: Json, is_repeatable: bool = False) -> Request:
    content = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    return Request("POST", url_path(*path), headers={"Content-Type": JSON}, body=content, is_repeatable=is_repeatable)


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


def safetensors_body(arrays: Mapping[str, NDArray[Any] | None]) -> bytes:
    """The arrays as one safetensors file; equal arrays make equal bytes, so that a key fits its body."""
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None})


def inputs_array(x: ArrayLike) -> NDArray[Any]:
    """Inputs [rows, *shape] as they travel: as uint8 where all are whole numbers from 0 to 255, else floats as float32.

    So pixels kept as floats suit a uint8 model. The model's own input type is applied, and checked, by the service.

    Raises:
        UnusableArray: these are no numbers.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "buif":
        raise UnusableArray(f"The inputs are {array.dtype}, and not numbers.")
    if _are_bytes(array):
        return array.astype(np.uint8)
    return _narrowed(array) if array.dtype.kind == "f" else array


def labels_array(y: ArrayLike) -> NDArray[Any]:
    """Labels as they travel: whole numbers as int64 (classes, [rows]), floats as float32 ([rows, dims]).

    Raises:
        UnusableArray: these are no numbers.
    """
    array = np.asarray(y)
    if array.dtype.kind == "f":
        return _narrowed(array)
    if array.dtype.kind not in "bui":
        raise UnusableArray(f"The labels are {array.dtype}, and not numbers.")
    return array.astype(np.int64)


def _are_bytes(array: NDArray[Any]) -> bool:
    """Whether uint8 holds every number of the array exactly; -0.0, which it would lose the sign of, it does not."""
    if array.dtype.kind in "bu" and array.dtype.itemsize == 1:
        return True
    is_inside = not array.size or bool(array.min() >= 0 and array.max() <= 255)
    return is_inside and (array.dtype.kind != "f" or not bool((np.signbit(array) | (np.floor(array) != array)).any()))


def _narrowed(array: NDArray[Any]) -> NDArray[np.float32]:
    """As float32; what is too large for it becomes infinite, which the service refuses by row."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


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
