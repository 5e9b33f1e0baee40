"""`posterity keys`: who may do what."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from client.commands.options import LOCAL, AsJson, Url, service_at
from client.commands.processes import become
from client.tables import keys_table, print_json, print_resource, print_resources

A_KEY = re.compile(r"posterity_[A-Za-z0-9_-]{43}", re.ASCII)

app = typer.Typer(invoke_without_command=True, help="List the keys of the service; make or revoke one.")

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="The key's name; it is what histories show.")]
OnThisMachine = Annotated[
    bool, typer.Option("--local", help="Ask no service but the database that this machine's settings name.")
]


@app.callback()
def keys(context: typer.Context, url: Url = LOCAL, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_keys(url=url, as_json=as_json)


@app.command("create")
def create_key(
    name: KeyName,
    *,
    scope: Annotated[list[str], typer.Option(help="predict, ingest or admin; once for each.")],
    models: Annotated[str, typer.Option(help="Pattern of the models it is for, such as 'team-*'.")] = "*",
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="The service's setting if not given.")] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="How long it counts; until it is revoked if not given.")
    ] = None,
    local: OnThisMachine = False,
    url: Url = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    The first key is made with --local where the service runs: a service that other machines reach does not start
    without one. From then on every request needs a key; commands show the one in POSTERITY_KEY, or in the file that
    POSTERITY_KEY_FILE names.
    """
    if local:
        given = {"--models": models, "--requests-per-minute": requests_per_minute, "--days": days}
        options = [f"--scope={one}" for one in scope]
        options += [f"{option}={value}" for option, value in given.items() if value is not None]
        become("store", "keys", "create", *options, "--", name)
    until = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with service_at(url) as client:
        made = client.create_key(name, scope, models=models, requests_per_minute=requests_per_minute, expires_at=until)
        if as_json:
            print_json(made.raw)
        else:
            typer.echo(f"Key {made.name} is shown this once, and kept nowhere:", err=True)
            typer.echo(made.key)


@app.command("list")
def list_keys(*, local: OnThisMachine = False, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """List every key that was made, also the revoked ones."""
    if local:
        become("store", "keys", "list")
    with service_at(url) as client:
        print_resources(client.keys(), keys_table, as_json=as_json)


@app.command("revoke")
def revoke_key(name: KeyName, *, local: OnThisMachine = False, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """Make a key open nothing any more; its name stays taken."""
    if local:
        become("store", "keys", "revoke", "--", name)
    if A_KEY.fullmatch(name.strip()):
        raise typer.BadParameter(
            "This is a key and not the name of one, and was sent nowhere. 'posterity keys list' shows the names; "
            "with --local, on the machine that has the database, this command says which is this key's."
        )
    with service_at(url) as client:
        print_resource(client.revoke_key(name), keys_table, as_json=as_json)
