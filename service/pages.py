"""What browsers are told about answers: take nothing for what it is not, keep no data, and trust a page with little."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

Header = tuple[bytes, bytes]

ALWAYS: Header = (b"x-content-type-options", b"nosniff")
NOT_KEPT: Header = (b"cache-control", b"no-store")
OF_HTML: tuple[Header, ...] = (
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
POLICY = b"content-security-policy"
STRICT = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; {rest}"
REST = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
"""A page that says nothing of its own may load what the service serves, and be in no frame."""


def told(method: str, said: Iterable[Header]) -> list[Header]:
    """The headers that are missing in an answer to such a request."""
    missing = [ALWAYS]
    if method == "POST":
        return missing
    names = dict(said)
    if method == "GET" and not names.keys() & {b"etag", b"cache-control"}:
        missing.append(NOT_KEPT)
    if names.get(b"content-type", b"").startswith(b"text/html"):
        missing += OF_HTML
        if POLICY not in names:
            missing.append((POLICY, STRICT.format(rest=REST).encode()))
    return missing


WITH_STYLES = STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").format(rest=REST)
"""For Swagger UI, which sets styles as it goes."""


def policy_with(script: str) -> str:
    """The policy of a page of our own that has this one script in it; it may show pictures that it has made itself."""
    return (
        f"default-src 'none'; style-src 'self'; script-src 'self' 'sha256-{_digest(script)}'; "
        f"img-src 'self' data: blob:; connect-src 'self'; {REST}"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
