"""Lines of the log, of services and workers alike: for people, or as JSON. What a client sends does not get into them.

The text of an exception may be what a client sent, so of an exception is told which it is and where it was raised, not
what it says. A line is one line: whatever could end it, or move a terminal's cursor, is written as an escape. What
looks like a key is masked, wherever in a line it stands: a path may have one, by mistake. Libraries are heard from
"info" upward only, as their lines of debugging may hold anything.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from store import tracing
from store.keys import LIKE_A_KEY
from store.settings import Settings

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the present code works for."""

OURS = "posterity"
QUIET = ("alembic", "httpx")
FIRST = {"timestamp", "level", "logger", "event", "exception"}
OF_RECORDS = vars(logging.LogRecord("", 0, "", 0, "", (), None)).keys() | {"taskName", "message", "color_message"}
"""What every record has, and uvicorn's sentence once more, in colours."""
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
SECRET = re.compile(rf"{LIKE_A_KEY.pattern}|whsec_[A-Za-z0-9+/=_-]{{16,}}", re.ASCII)
"""A key, or what signs the messages to a webhook."""
BARE = re.compile(r"[\w.:/+@{}\[\]*,~-]+")

ENCODER = json.JSONEncoder(default=str)

Fields = dict[str, Any]


def configure(settings: Settings) -> None:
    """Every logger of this process writes to stderr, as the settings say; one that has been told otherwise does not.

    What nobody catches, in whichever thread, is a line of the log as well.
    """
    if logging.root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings))
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler])
    logging.getLogger(OURS).setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _ended
    threading.excepthook = _thread_ended


def _ended(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    logging.getLogger(OURS).critical("the process ends by an error that nobody caught", exc_info=error)


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        name = "?" if ended.thread is None else ended.thread.name
        logging.getLogger(OURS).critical(
            "the thread %s ends by an error that nobody caught", name, exc_info=ended.exc_value
        )


def formatter(settings: Settings) -> logging.Formatter:
    """Makes the lines of records, be they our own or a library's."""
    return Lines(_json if settings.log_format == "json" else _plain)


class Lines(logging.Formatter):
    """A record as fields, among them what came as `extra`, and these as a line."""

    def __init__(self, render: Callable[[Fields], str]) -> None:
        super().__init__()
        self._render = render
        self._second = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        fields: Fields = {
            "timestamp": f"{self._moment(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in OF_RECORDS and value is not None:
                fields[name] = value
        if (request_id := REQUEST_ID.get()) is not None:
            fields["request_id"] = request_id
        fields |= tracing.ids()
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = traced(record.exc_info[1])
        return masked(self._render(fields))

    def _moment(self, second: int) -> str:
        known, said = self._second
        if known != second:
            said = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second, said
        return said


def masked(text: str) -> str:
    """The text without what looks like a key."""
    return SECRET.sub(_masked, text)


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


def _masked(found: re.Match[str]) -> str:
    return f"{found[0].partition('_')[0]}_***"


def _json(fields: Fields) -> str:
    return ENCODER.encode(fields)


def _plain(fields: Fields) -> str:
    rest = (f"{name}={_bare(value)}" for name, value in fields.items() if name not in FIRST)
    first = " ".join(["{timestamp} {level} {logger}: {event}".format_map(fields), *rest])
    return "\n    ".join(UNSAFE.sub(_escape, line) for line in (first, *fields.get("exception", ())))


def _bare(value: object) -> str:
    text = str(value)
    return text if BARE.fullmatch(text) else json.dumps(text)


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}"
