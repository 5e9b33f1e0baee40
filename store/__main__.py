"""`python -m store COMMAND`: brings tables up to date, checks, copies and clears books and bytes, lists settings."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from store.backup import BackupOvertaken, back_up
from store.backup_folder import BackupRefused
from store.blobs import open_blobs
from store.checkup import check_up
from store.collecting import Collecting
from store.configured import SettingsUnusable, configured
from store.doctor import Findings, examine
from store.engine import connect, sign_of
from store.errors import Problem
from store.keys_command import main as keys_command
from store.migrate import require_current, upgrade
from store.settings import PREFIX, Settings

HOUR_SECONDS = 3600.0
YOUNG_HOURS = 24.0
"""What nothing names and is younger may be on its way: weights that a model is about to name, a batch half posted."""


def main(arguments: list[str]) -> int:
    commands: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
        "migrate": _migrate,
        "doctor": _doctor,
        "checkup": _checkup,
        "collect": _collect,
        "backup": _backup,
        "settings": _settings,
    }
    if arguments[:1] == ["keys"]:
        return keys_command(arguments[1:], configured())
    asked = _parser().parse_args(arguments)
    return commands[asked.command](configured(), asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m store", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the database to this release's tables")
    commands.add_parser("doctor", help="examine the ledger and every blob that it names")
    commands.add_parser("checkup", help="how folders, database, blobs, clock and workers are; a JSON object each")
    collect = commands.add_parser("collect", help="remove the bytes that nothing names")
    collect.add_argument("--older-than-hours", type=_hours, default=YOUNG_HOURS, help="spare what is younger (24)")
    collect.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    backup = commands.add_parser("backup", help="copy the SQLite ledger and all that it names into a folder")
    backup.add_argument("folder", type=Path)
    commands.add_parser("keys", help="make, list and revoke keys on the machine that has the database")
    commands.add_parser("settings", help="list every setting")
    return parser


def _hours(word: str) -> float:
    hours = float(word)
    if not 0 <= hours * HOUR_SECONDS < math.inf:
        raise argparse.ArgumentTypeError("must be a number of hours, 0 or more")
    return hours


def settings_table() -> str:
    """Every setting with its default and what it means, as a Markdown table."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _default(value: object) -> str:
    return "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _migrate(settings: Settings, _asked: argparse.Namespace) -> int:
    upgrade(connect(settings.database))
    _say("The database is up to date.")
    return 0


def _settings(_read: Settings, _asked: argparse.Namespace) -> int:
    _say(settings_table())
    return 0


def _doctor(settings: Settings, _asked: argparse.Namespace) -> int:
    if missing := _missing_ledger(settings):
        return missing
    findings = examine(connect(settings.database, is_read_only=True), open_blobs(settings))
    for line in _findings(findings):
        _say(line)
    return 1 if findings.wrong else 0


def _checkup(settings: Settings, _asked: argparse.Namespace) -> int:
    checks = list(check_up(settings))
    for one in checks:
        _say(json.dumps(one.as_json()))
    return 1 if any(one.state == "fail" for one in checks) else 0


def _findings(findings: Findings) -> list[str]:
    evidence = [
        f"{one.model}: head is version {one.version}, learned from {one.rows:,} rows in {one.chunks} chunks; "
        f"evidence {one.digest}"
        for one in findings.evidence
    ]
    verdict = "all is well" if not findings.wrong else f"{len(findings.wrong)} things are wrong"
    counts = f"{findings.models} models, {findings.versions} versions, {findings.batches} batches examined: {verdict}."
    return [*evidence, *(f"wrong: {finding}" for finding in findings.wrong), counts]


def _collect(settings: Settings, asked: argparse.Namespace) -> int:
    if missing := _missing_ledger(settings):
        return missing
    engine = connect(settings.database)
    require_current(engine)
    collecting = Collecting(engine, open_blobs(settings))
    found = collecting.collect(
        older_than_seconds=asked.older_than_hours * HOUR_SECONDS, is_rehearsal=bool(asked.dry_run)
    )
    if not asked.dry_run:
        collecting.sweep()
    for digest in found.removed:
        _say(f"{'would remove' if asked.dry_run else 'removed'} {digest}")
    _say(
        f"{found.blobs:,} blobs of {found.bytes:,} bytes: {len(found.removed):,} of {found.bytes_removed:,} bytes "
        f"{'would be' if asked.dry_run else 'were'} removed, {found.young:,} that nothing names are too young."
    )
    return 0


def _backup(settings: Settings, asked: argparse.Namespace) -> int:
    if missing := _missing_ledger(settings):
        return missing
    if not settings.is_embedded:
        _say("PostgreSQL is copied by its own pg_dump, and the blobs beside it: docs/operations.md says how.")
        return 2
    engine = connect(settings.database)
    require_current(engine)
    done = back_up(engine, open_blobs(settings), asked.folder)
    for sentence in done.lacking:
        _say(f"lacking: {sentence}")
    lacking, named = len(done.lacking), f"the {done.blobs:,} blobs that it names"
    held = f"{done.blobs - lacking:,} of {named}" if lacking else named
    _say(f"{asked.folder} holds the ledger and {held}, {done.copied:,} of them new.")
    if lacking:
        _say("`posterity doctor` says whose those are that are lacking.")
    return 1 if lacking else 0


def _missing_ledger(settings: Settings) -> int:
    file = make_url(settings.database).database
    if settings.is_embedded and not Path(file or "").is_file():
        _say(f"There is no ledger at {file}: nothing was served from here yet, or POSTERITY_DATA_DIR names another.")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except DBAPIError as error:
        # Without the statement, and the link to a manual that nobody here needs.
        sys.exit(f"posterity: the database cannot be used: {sign_of(error)}")
    except (Problem, OSError, BackupOvertaken, BackupRefused, SettingsUnusable) as error:
        sys.exit(f"posterity: {error}")
