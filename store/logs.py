"""Lines of the log, of services and workers alike: for people, or as JSON. What a client sends does not get into them.

The text of an exception may be what a client sent, so of an exception is told which it is and where it was raised, not
what it says. A line is one line: whatever could end it, or move a terminal's cursor, is written as an escape. Libraries
are heard from "info" upward only, as their lines of debugging may hold anything.
"""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog

from store.settings import Settings

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the present code works for."""

OURS = "posterity"
QUIET = ("alembic",)
FIRST = ("timestamp", "level", "logger", "event")
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
BARE = re.compile(r"[\w.:/+@{}\[\]*,~-]+")

Fields = MutableMapping[str, Any]


def configure(settings: Settings) -> None:
    """Every logger of this process writes to stderr, as the settings say; one that has been told otherwise does not."""
    if logging.root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings))
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler])
    logging.getLogger(OURS).setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(settings: Settings) -> logging.Formatter:
    """Makes the lines of records, be they our own or a library's."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            _described,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _json if settings.log_format == "json" else _plain,
        ],
    )


def traced(raised: BaseException) -> list[str]:
    """Which exception it was, where it was raised, and which others led to it; never what they say.

    What the system says of files and connections is told, as it is one of a few sentences.
    """
    lines: list[str] = []
    error: BaseException | None = raised
    while error is not None and len(lines) < 200:
        kind = type(error)
        system = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        lines.append(f"{kind.__module__}.{kind.__qualname__}{system}")
        lines += [
            f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
        ]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return lines


def _described(_logger: object, _name: str, fields: Fields) -> Fields:
    record: logging.LogRecord = fields["_record"]
    fields["timestamp"] = _moment(record)
    fields["level"] = record.levelname.lower()
    fields["logger"] = record.name
    if (request_id := REQUEST_ID.get()) is not None:
        fields["request_id"] = request_id
    fields.pop("color_message", None)  # uvicorn says its sentence twice.
    raised = fields.pop("exc_info", None)
    if raised and raised[1] is not None:
        fields["exception"] = traced(raised[1])
    return fields


def _moment(record: logging.LogRecord) -> str:
    whole = _seconds(int(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"


def _seconds(created: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))


def _json(_logger: object, _name: str, fields: Fields) -> str:
    return json.dumps(_ordered(fields), default=str)


def _plain(_logger: object, _name: str, fields: Fields) -> str:
    ordered = _ordered(fields)
    exception = ordered.pop("exception", [])
    start = "{timestamp} {level} {logger}: {event}".format_map(ordered)
    rest = (f"{name}={_bare(value)}" for name, value in ordered.items() if name not in FIRST)
    return "\n    ".join(UNSAFE.sub(_escape, line) for line in (" ".join([start, *rest]), *exception))


def _ordered(fields: Fields) -> dict[str, Any]:
    """The fields that say something, the ones that every line has first."""
    rest = {name: value for name, value in fields.items() if name not in FIRST and value is not None}
    return {name: fields[name] for name in FIRST} | rest


def _bare(value: object) -> str:
    text = str(value)
    return text if BARE.fullmatch(text) else json.dumps(text)


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}"
