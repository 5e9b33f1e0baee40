"""`python -m service.reference`: the pages that are made from the service are as it is, in docs/ (`make docs`).

They are docs/openapi.json, the document that a service with default settings serves at /openapi.json; docs/errors.md,
every problem with its status and text, what to do next and which calls answer it; and the table of docs/settings.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service import rejected
from service.advice import ADVICE, BEFORE_ANY_CALL, OF_WORKERS
from service.app import create_app
from service.problem_forms import MEDIA_TYPE, TYPE_PREFIX
from store import errors
from store.__main__ import settings_table
from store.errors import Problem
from store.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
RENEW = "Run `make docs` (python -m service.reference), read the difference, and commit it."
CALLS_SHOWN = 12
AGAIN = {408: "yes", 429: "yes, after `Retry-After`", 503: "yes, after `Retry-After`"}
ERRORS_HEAD = f"""\
# Errors

<!-- Written by `python -m service.reference` from the classes of the problems; a test compares them. -->

Every refusal is `application/problem+json` (RFC 9457). Programs branch on `code`, which does not change; `type` is
`{TYPE_PREFIX}<code>`, a name and not an address. The text below is the `detail`, with what it is about in braces; where
several things are wrong, `errors` lists them with their places. [What the fields are](api.md#problems).

*Again* says whether the same request can succeed without a change, later. A request that only reads, or carries an
`Idempotency-Key`, may be repeated in any case: a batch is counted once.

"""


def openapi() -> str:
    """The document of a service with default settings, as it is committed."""
    document = create_app(Settings.model_construct()).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def error_catalogue() -> str:
    """Every problem, by its code; first as a table, then each by itself."""
    calls = calls_by_code(create_app(Settings.model_construct()).openapi())
    kinds = all_problems()
    table = ["| code | status | meaning |", "| --- | --- | --- |"]
    table += [f"| [`{kind.code}`](#{kind.code}) | {kind.status} | {kind.title} |" for kind in kinds]
    parts = [_entry(kind, calls.get(kind.code, []), everywhere=len(calls["internal"])) for kind in kinds]
    return ERRORS_HEAD + "\n".join(table) + "\n" + "".join(parts)


def settings_page() -> str:
    """The page of the settings as it is, with the table of the settings there are."""
    page = (DOCS / "settings.md").read_text()
    return page[: page.index("| variable |")] + settings_table() + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "openapi.json": openapi,
    "errors.md": error_catalogue,
    "settings.md": settings_page,
}


def all_problems() -> list[type[Problem]]:
    """Every kind of problem that the store or the service can refuse with, by code."""
    found = [*vars(errors).values(), *vars(rejected).values()]
    kinds = {kind for kind in found if isinstance(kind, type) and issubclass(kind, Problem)}
    return sorted(kinds - {Problem, rejected.Rejected}, key=lambda kind: kind.code)


def calls_by_code(document: dict[str, Any]) -> dict[str, list[str]]:
    """Which calls declare each code, in the order of the document."""
    calls: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for response in operation["responses"].values():
                for code in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}):
                    calls.setdefault(code, []).append(f"`{method.upper()} {path}`")
    return calls


def _entry(kind: type[Problem], calls: list[str], *, everywhere: int) -> str:
    lines = [
        f"\n## `{kind.code}`\n",
        f"{kind.status} · {kind.title} · again: {AGAIN.get(kind.status, 'no')}\n",
        f"> {_escaped(kind.message)}\n",
        f"**Next:** {ADVICE[kind.code]}\n",
        f"**Answered by:** {_answered_by(kind.code, calls, everywhere)}.\n",
    ]
    return "\n".join(lines)


def _answered_by(code: str, calls: list[str], everywhere: int) -> str:
    if code in OF_WORKERS:
        return OF_WORKERS[code]
    if code in BEFORE_ANY_CALL:
        return "any request, before it comes to a call"
    if len(calls) == everywhere:
        return "every call"
    if len(calls) > CALLS_SHOWN:
        return f"{len(calls)} of {everywhere} calls; /openapi.json says which"
    return ", ".join(calls)


def _escaped(message: str) -> str:
    """The text of a problem, of which nothing is taken for Markdown or HTML."""
    return re.sub(r"([<*_`])", r"\\\1", message)


def main() -> None:
    """Every generated page is written."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
