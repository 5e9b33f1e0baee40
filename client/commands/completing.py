"""Names that the shell completes: asked of the service, if it answers within half a second; else none, silently."""

import os
import threading
from collections.abc import Callable

import typer

from client.client import Client
from client.errors import ClientProblem

LOCAL = "http://127.0.0.1:8000"
SECONDS_MAX = 0.5


def model_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The models whose names begin so."""
    return _beginning(incomplete, ctx, lambda client: [one.name for one in client.models()])


def alias_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The aliases, of the model that was typed before, whose names begin so."""
    model = ctx.params.get("model")
    if not isinstance(model, str):
        return []
    return _beginning(incomplete, ctx, lambda client: [one.alias for one in client.aliases(model)])


def _beginning(start: str, ctx: typer.Context, ask: Callable[[Client], list[str]]) -> list[str]:
    url = str(ctx.params.get("url") or os.environ.get("POSTERITY_URL") or LOCAL)
    found: list[str] = []

    def look() -> None:
        key = os.environ.get("POSTERITY_KEY", "").strip() or None
        try:
            with Client(url, key=key, attempts_max=1, timeout_seconds=SECONDS_MAX) as client:
                found.extend(ask(client))
        except ClientProblem:
            return

    # The seconds of a client are for each step of a request; these are for all of them.
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(SECONDS_MAX)
    return [] if looking.is_alive() else [name for name in found if name.startswith(start)]
