"""`python -m store keys create | list | revoke`: keys made on the machine that has the database, so also the first."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from store.engine import close, connect
from store.errors import Problem
from store.keys import KeyRow, Keys
from store.kinds import ALL_MODELS, Scope
from store.migrate import require_current, upgrade
from store.settings import REQUESTS_MAX, Settings

LOCAL = "local"
"""Who made it: whoever may read the database's address."""
DAY_SECONDS = 86_400.0
DAYS_MAX = 36_500
PAGE = 1000


def main(words: Sequence[str], settings: Settings) -> int:
    """The exit code: 0 when it is done, 1 when it was refused; a new key is all that stdout gets."""
    asked = _parser().parse_args(words)
    engine = connect(settings.database)
    try:
        if settings.is_embedded:
            upgrade(engine)  # The first key may be made before the service has ever run.
        else:
            require_current(engine)
        _answer(asked, Keys(engine))
    except Problem as problem:
        sys.stderr.write(f"posterity: {problem}\n")
        return 1
    finally:
        close(engine)
    return 0


def _answer(asked: argparse.Namespace, keys: Keys) -> None:
    match asked.command:
        case "create":
            made = keys.create(
                asked.name,
                scopes=frozenset(asked.scope or ()),
                models=asked.models,
                requests_per_minute=asked.requests_per_minute,
                expires_at=None if asked.days is None else time.time() + asked.days * DAY_SECONDS,
                created_by=LOCAL,
            )
            sys.stderr.write(f"{described(made.row)}\nThis is the key. It is shown this once, and kept nowhere:\n")
            sys.stdout.write(f"{made.key}\n")
        case "list":
            after = ""
            while page := keys.list(after=after, limit=PAGE):
                sys.stdout.writelines(f"{described(row)}\n" for row in page)
                after = page[-1].name
        case "revoke":
            sys.stdout.write(f"{described(keys.revoke(asked.name))}\n")


def described(row: KeyRow) -> str:
    """All that is known of a key, in a line."""
    said = [f"{row.name}: {', '.join(sorted(row.scopes))}; models {row.models}"]
    if row.requests_per_minute is not None:
        said.append(f"{row.requests_per_minute} requests per minute")
    said.append(f"made by {row.created_by} {_moment(row.created_at)}")
    said += [f"{word} {_moment(at)}" for word, at in (("until", row.expires_at), ("revoked", row.revoked_at)) if at]
    return "; ".join(said)


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m store keys", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key; it is printed once")
    create.add_argument("name")
    create.add_argument("--scope", action="append", type=Scope, choices=list(Scope), help="once for each scope")
    create.add_argument("--models", default=ALL_MODELS, help="pattern of the models it is for (default: *, all)")
    create.add_argument("--requests-per-minute", type=_requests, help="more are refused (default: the setting)")
    create.add_argument("--days", type=_days, help="how long it counts (default: until it is revoked)")
    commands.add_parser("list", help="list every key that was made")
    commands.add_parser("revoke", help="a key does not count any more").add_argument("name")
    return parser


def _requests(word: str) -> int:
    number = int(word)
    if not 1 <= number <= REQUESTS_MAX:
        raise argparse.ArgumentTypeError(f"must be from 1 to {REQUESTS_MAX}")
    return number


def _days(word: str) -> int:
    days = int(word)
    if not 1 <= days <= DAYS_MAX:
        raise argparse.ArgumentTypeError(f"must be from 1 to {DAYS_MAX}")
    return days
