"""Which commands there are, in which groups the help shows them, and an example of each.

The examples are one story, in this order: docs/command-line.md tells it, and a test performs it.
"""

import typer

GROUPS: dict[str, dict[str, str]] = {
    "From rows to predictions": {
        "describe": "posterity describe flowers.csv --label species > flowers.json",
        "models create": "posterity models create flowers --from flowers.csv --label species",
        "models list": "posterity models list",
        "models show": "posterity models show flowers",
        "ingest": "posterity ingest flowers flowers.csv --label species --wait",
        "predict": "posterity predict flowers new.csv --output predicted.csv",
        "update": "posterity ingest flowers monday.csv --label species && posterity update flowers --wait",
        "settle": "posterity settle flowers",
    },
    "What became of the rows": {
        "batches": "posterity batches flowers",
        "updates": "posterity updates flowers 1",
        "versions": "posterity versions flowers --tree",
        "metrics": "posterity metrics flowers",
        "compare": "posterity compare flowers 0 1 new.csv",
        "calibration": "posterity calibration flowers --version 1 --batch 1",
        "events": "posterity events flowers --past",
    },
    "What is live": {
        "head": "posterity head flowers",
        "rollback": 'posterity rollback flowers --to 1 --reason "worse on the shop floor"',
        "history": "posterity history flowers",
        "was-live": "posterity was-live flowers 2099-01-01T00:00:00Z",
        "aliases list": "posterity aliases list flowers",
        "aliases set": "posterity aliases set flowers champion 1",
        "aliases remove": "posterity aliases remove flowers champion",
    },
    "Taking back": {
        "replay": "posterity replay flowers 2 --wait",
        "forget": "posterity forget flowers 2 --wait",
        "forgets": "posterity forgets flowers",
        "cancel-forget": "posterity cancel-forget flowers 1",
        "park": "posterity ingest flowers tuesday.csv --label species && posterity park flowers 3",
        "parked": "posterity parked flowers",
        "decisions": "posterity decisions flowers 3",
        "release": "posterity release flowers 3",
        "discard": 'posterity discard flowers 3 --reason "wrong labels"',
        "delete-batch": "posterity delete-batch flowers 1",
        "cancel": "posterity cancel flowers 2",
    },
    "Labels that arrive later": {
        "label": "posterity label flowers labels.csv",
        "kept": "posterity kept flowers PREDICTION",
    },
    "Elsewhere": {
        "export": "posterity export flowers --output flowers.zip",
        "import": "posterity import flowers.zip --name meadow",
        "blobs put": "posterity blobs put weights.safetensors",
        "blobs show": "posterity blobs show DIGEST",
        "webhooks add": "posterity webhooks add flowers https://example.org/told",
        "webhooks list": "posterity webhooks list flowers",
        "webhooks show": "posterity webhooks show flowers 1",
        "webhooks remove": "posterity webhooks remove flowers 1",
        "keys create": "export POSTERITY_KEY=$(posterity keys create operator --scope admin)",
        "keys list": "posterity keys list",
        "keys revoke": "posterity keys revoke operator",
    },
    "The service itself": {
        "serve": "posterity serve --port 8000",
        "worker": "posterity worker",
        "doctor": "posterity doctor",
        "migrate": "posterity migrate",
        "backup": "posterity backup FOLDER",
        "collect": "posterity collect --dry-run",
        "demo": "posterity demo",
    },
}
SHOWN_FIRST = (
    "posterity serve",
    "posterity models create flowers --from flowers.csv --label species",
    "posterity ingest flowers flowers.csv --label species --wait",
    "posterity predict flowers new.csv",
    'posterity rollback flowers --steps 1 --reason "worse on the shop floor"',
)
EPILOG = "\n\n".join(
    ["Examples:", *SHOWN_FIRST, "Exit codes: 0 done, 1 refused or failed, 2 typed wrongly, 3 a fault of ours."]
)


EXAMPLE = {name: line for commands in GROUPS.values() for name, line in commands.items()}
PANEL = {name.split()[0]: title for title, commands in GROUPS.items() for name in commands}
ORDER = tuple(dict.fromkeys(name.split()[0] for commands in GROUPS.values() for name in commands))


def group(app: typer.Typer) -> None:
    """Every command of the app is in its group, with its example."""
    app.info.epilog = EPILOG
    _group_inside(app, "")


def _group_inside(app: typer.Typer, outer: str) -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        name = f"{outer} {command.name or command.callback.__name__}".strip()
        command.epilog = f"Example: {EXAMPLE[name]}"
        command.rich_help_panel = None if outer else PANEL[name]
    for inner in app.registered_groups:
        assert inner.typer_instance is not None
        named = inner.name if isinstance(inner.name, str) else ""
        if named:
            inner.rich_help_panel = PANEL[named]
        _group_inside(inner.typer_instance, named)
