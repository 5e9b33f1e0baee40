"""`posterity events`: what happens to a model, line by line, until Ctrl-C."""

import json
from typing import Annotated

import typer

from client.commands.options import LOCAL, AsJson, ModelName, Url, service_at
from client.listening import Event
from client.tables import moment

app = typer.Typer()
INTERRUPTED = 130
NAMED = ("model", "kind", "number", "at")


@app.command()
def events(
    model: ModelName,
    *,
    after: Annotated[
        int | None, typer.Option(min=0, help="Go on after this event; 0: from the first. Absent: from now on.")
    ] = None,
    kinds: Annotated[str | None, typer.Option(help="Only these, with commas between them.")] = None,
    past: Annotated[bool, typer.Option("--past", help="Those up to now, and no longer.")] = False,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Show what happens to a model as it happens; it connects again by itself and misses nothing."""
    try:
        with service_at(url) as client:
            chosen = () if kinds is None else kinds.split(",")
            ask = client.event_history if past else client.events
            for event in ask(model, after=after, kinds=chosen):
                typer.echo(json.dumps(event.raw) if as_json else _line(event))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _line(event: Event) -> str:
    number = "" if event.number is None else event.number
    facts = " ".join(f"{name}={_word(fact)}" for name, fact in event.raw.items() if name not in NAMED)
    return f"{moment(event.at):27} {number:>6} {event.kind:10} {facts}".rstrip()


def _word(fact: object) -> str:
    return fact if isinstance(fact, str) and fact.isprintable() and " " not in fact else json.dumps(fact)
