"""`python -m store migrate | doctor | settings`: brings tables up to date, checks books and bytes, lists settings."""

from __future__ import annotations

import sys
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from store.blobs import open_blobs
from store.doctor import examine
from store.engine import connect
from store.errors import DatabaseNotCurrent
from store.migrate import upgrade
from store.settings import PREFIX, Settings

USAGE = "usage: python -m store migrate | doctor | settings"


def main(arguments: list[str]) -> int:
    settings = Settings()
    match arguments:
        case ["migrate"]:
            upgrade(connect(settings.database))
            _say("The database is up to date.")
            return 0
        case ["doctor"]:
            return _doctor(settings)
        case ["settings"]:
            _say(settings_table())
            return 0
        case _:
            _say(USAGE)
            return 2


def settings_table() -> str:
    """Every setting with its default and what it means, as a Markdown table."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _default(value: object) -> str:
    return "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _doctor(settings: Settings) -> int:
    file = make_url(settings.database).database
    if settings.is_embedded and not Path(file or "").is_file():
        _say(f"There is no ledger at {file}: nothing was served from here yet, or POSTERITY_DATA_DIR names another.")
        return 1
    findings = examine(connect(settings.database), open_blobs(settings))
    for finding in findings.wrong:
        _say(f"wrong: {finding}")
    _say(
        f"{findings.models} models, {findings.versions} versions, {findings.batches} batches examined: "
        f"{'all is well' if not findings.wrong else f'{len(findings.wrong)} things are wrong'}."
    )
    return 1 if findings.wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (DatabaseNotCurrent, OperationalError, OSError) as error:
        sys.exit(f"posterity: {error}")
