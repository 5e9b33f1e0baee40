"""`posterity webhooks`: addresses that the service tells what happens to a model."""

from collections.abc import Iterable
from typing import Annotated

import typer

from client.columns import Fitted, extra, prose, table, times
from client.commands.options import LOCAL, AsJson, ModelName, Url, say, service_at
from client.hooks import Webhook
from client.tables import moment, print_json, print_resource, print_resources

app = typer.Typer(no_args_is_help=True, help="List the webhooks of a model; add, show or remove one.")

Number = Annotated[int, typer.Argument(metavar="WEBHOOK", min=1, help="The webhook's number.")]


@app.command("list")
def list_webhooks(model: ModelName, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """List the webhooks of a model, and how far each is."""
    with service_at(url) as client:
        print_resources(client.webhooks(model), webhooks_table, as_json=as_json)


@app.command("add")
def add_webhook(
    model: ModelName,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The URL that is told.")],
    *,
    kinds: Annotated[str | None, typer.Option(help="Only events of these kinds, with commas between them.")] = None,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Tell an address what happens to a model from now on; prints the secret that signs it, this once."""
    with service_at(url) as client:
        made = client.create_webhook(model, address, kinds=None if kinds is None else kinds.split(","))
        if as_json:
            print_json(made.raw)
            return
        say(f"Webhook {made.webhook} of {model} signs what it tells with this secret, which is shown this once:")
        typer.echo(made.secret)


@app.command("show")
def show_webhook(model: ModelName, webhook: Number, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """Show how far a webhook is, and how often and why its receiver failed."""
    with service_at(url) as client:
        print_resource(client.webhook(model, webhook), webhooks_table, as_json=as_json)


@app.command("remove")
def remove_webhook(model: ModelName, webhook: Number, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """Tell an address nothing any more."""
    with service_at(url) as client:
        client.remove_webhook(model, webhook)
        if as_json:
            print_json({"model": model, "webhook": webhook, "removed": True})


def webhooks_table(webhooks: Iterable[Webhook]) -> Fitted:
    rows = (
        (
            one.webhook, one.url, "all" if one.kinds is None else ", ".join(one.kinds), one.delivered, one.pending,
            one.failures, one.last_error, one.created_by, moment(one.created_at),
        )
        for one in webhooks
    )  # fmt: skip
    titles = ("webhook", "address", prose("kinds"), "delivered", "pending", "failures", prose("last error"))
    return table((*titles, extra("by"), times("made")), rows)
