"""What the URLs of the ledger and of the blobs name, and which of them can be used."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

BUCKET = re.compile(r"s3://[\w.-]+(/[\w-][\w.-]*)*/?", re.ASCII)
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def check_ledger(url: str) -> None:
    """The URL names a database that a ledger runs on.

    Raises:
        ValueError: it does not.
    """
    if _backend(url) not in {"sqlite", "postgresql"}:
        raise ValueError("the ledger runs on sqlite:///… and on postgresql+psycopg://…")
    if not _names_its_file(url):
        raise ValueError(
            "an embedded ledger is a file that its processes share: sqlite:///folder/ledger.sqlite, not in memory "
            "and no file: URI"
        )


def check_blobs(url: str) -> None:
    """The URL names a store of blobs, and so do the variables that say where its endpoint is.

    Raises:
        ValueError: they do not.
    """
    if folder_of(url) is not None:
        return
    if BUCKET.fullmatch(url) is None:
        raise ValueError("blobs are kept at s3://bucket/prefix, without credentials in it, or file:///folder")
    for name in ENDPOINT_VARIABLES:
        if not os.environ.get(name, "https://").startswith(("http://", "https://")):
            raise ValueError(f"{name} must begin with https:// (or http://)")


def check_collector(url: str) -> None:
    """The URL names a place that traces can be sent to.

    Raises:
        ValueError: it does not.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("traces go to http://collector:4318 or https://collector, without a query")


def is_plain_endpoint() -> bool:
    """True where the endpoint of the store is said to be http://: nobody else is served without encryption."""
    return any(os.environ.get(name, "").startswith("http://") for name in ENDPOINT_VARIABLES)


def folder_of(url: str) -> Path | None:
    """The folder that a file:// URL names; None: it is none, or names no absolute path of this machine."""
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    is_here = parts.scheme == "file" and parts.netloc in {"", "localhost"} and not parts.query and not parts.fragment
    return path if is_here and path.is_absolute() else None


def _backend(url: str) -> str | None:
    try:
        return make_url(url).get_backend_name()
    except ArgumentError:
        return None


def _names_its_file(url: str) -> bool:
    """False for a SQLite database that has no file, or has it under another name than the URL's path."""
    parsed = make_url(url)
    file = parsed.database or ":memory:"
    return parsed.get_backend_name() != "sqlite" or not file.startswith((":memory:", "file:"))
