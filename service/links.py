"""Where answers lead: the links of the OpenAPI document, from what a call answers to the calls that take it.

`$response.body#/batch` is the field `batch` of the answer, `$request.path.model` what the call itself was asked with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ASKED = {"model": "$request.path.model"}
NAMED = {"model": "$response.body#/name"}
ANSWERED = {"model": "$response.body#/model"}
HEAD = {"alias": "head"}
ALIAS = ANSWERED | {"alias": "$response.body#/alias"}
VERSION = ANSWERED | {"version": "$response.body#/version"}
WEBHOOK = ANSWERED | {"webhook": "$response.body#/webhook"}
BATCH = ANSWERED | {"batch": "$response.body#/batch"}
FORGET = ANSWERED | {"forget": "$response.body#/forget"}
DECISIONS = ("park_batch", "discard_batch")
UPDATE = ("get_update", "cancel_update")
FIRST_UPDATE = ASKED | {"update": "$response.body#/updates/0/update"}

OF_MODELS = (
    *("get_model", "post_batch", "list_batches", "close_chunk", "list_updates", "replay_chunks"),
    *("predict", "predict_small", "post_labels", "list_versions", "list_aliases", "roll_back"),
    *(
        "list_events",
        "create_webhook",
        "list_webhooks",
        "list_parked",
        "forget_batches",
        "list_forgets",
        "get_metrics",
        "list_branches",
    ),
)
"""Calls that need no more than the name of a model, and perhaps a body; not the one whose answer has no end."""

OF_VERSIONS = ("get_version", "predict_with_version", "download_posterior", "export_version")
CALIBRATION = ("get_calibration", "calibrate")
OF_ALIASES = ("get_alias", "get_alias_history")


@dataclass(frozen=True)
class Leads:
    """From the answers of one call, with these statuses, to others, which take these values of them."""

    call: str
    statuses: tuple[int, ...]
    to: tuple[str, ...]
    taking: dict[str, str]


LEADS = (
    Leads("create_model", (200, 201), OF_MODELS, NAMED),
    Leads("create_model", (200, 201), OF_VERSIONS, NAMED | {"version": "$response.body#/head"}),
    Leads("create_model", (200, 201), OF_ALIASES, NAMED | HEAD),
    Leads("list_models", (200,), ("get_model",), {"model": "$response.body#/models/0/name"}),
    Leads("get_model", (200,), ("list_batches", "list_updates", "list_versions", "list_aliases"), NAMED),
    Leads("put_blob", (200, 201), ("get_blob",), {"blob": "$response.body#/blob"}),
    Leads("post_batch", (202,), ("get_batch",), ANSWERED | {"batch": "$response.body#/batch"}),
    Leads("post_batch", (202,), ("close_chunk",), ANSWERED),
    Leads("list_batches", (200,), ("get_batch",), ASKED | {"batch": "$response.body#/batches/0/batch"}),
    Leads("close_chunk", (202,), UPDATE, ANSWERED | {"update": "$response.body#/update"}),
    Leads("list_updates", (200,), UPDATE, FIRST_UPDATE),
    Leads("replay_chunks", (202,), UPDATE, FIRST_UPDATE),
    Leads("get_batch", (200,), ("delete_batch", "list_decisions", *DECISIONS), BATCH),
    Leads("post_batch", (202,), DECISIONS, BATCH),
    Leads("park_batch", (200,), ("release_batch", "discard_batch", "list_decisions"), BATCH),
    Leads("list_parked", (200,), ("release_batch",), ASKED | {"batch": "$response.body#/parked/0/batch"}),
    Leads("forget_batches", (202,), ("get_forget", "cancel_forget"), FORGET),
    Leads("list_forgets", (200,), ("get_forget",), ASKED | {"forget": "$response.body#/forgets/0/forget"}),
    Leads("create_key", (201,), ("revoke_key",), {"name": "$response.body#/name"}),
    Leads("create_webhook", (201,), ("get_webhook", "remove_webhook"), WEBHOOK),
    Leads("cancel_update", (200,), ("replay_chunks",), ANSWERED),
    Leads("get_update", (200,), OF_VERSIONS, VERSION),
    Leads("predict", (200,), ("get_version",), VERSION),
    # Only answers that are kept have an id.
    Leads("predict", (200,), ("get_prediction",), ANSWERED | {"prediction": "$response.body#/prediction"}),
    Leads("get_prediction", (200,), ("get_version",), VERSION),
    Leads("list_versions", (200,), OF_VERSIONS, ASKED | {"version": "$response.body#/versions/0/version"}),
    Leads("get_version", (200,), ("predict_with_version", "download_posterior", *CALIBRATION), VERSION),
    Leads(
        "get_version",
        (200,),
        ("compare_versions", "compare_predictions"),
        VERSION | {"other": "$response.body#/version"},
    ),
    Leads("list_aliases", (200,), OF_ALIASES, ASKED | {"alias": "$response.body#/aliases/0/alias"}),
    Leads("move_alias", (200,), (*OF_ALIASES, "remove_alias"), ALIAS),
    Leads("get_alias", (200,), ("move_alias", "remove_alias"), ALIAS | {"If-Match": "$response.header.ETag"}),
    Leads("get_alias", (200,), ("predict",), ALIAS),
    Leads("roll_back", (200,), OF_ALIASES, ANSWERED | HEAD),
)


def link(made: dict[str, Any]) -> None:
    """The answers of the document have their links."""
    calls = {call["operationId"]: call for path in made["paths"].values() for call in path.values()}
    for leads in LEADS:
        for status in leads.statuses:
            links = calls[leads.call]["responses"][str(status)].setdefault("links", {})
            for to in leads.to:
                links[to] = {"operationId": to, "parameters": _qualified(leads.taking, calls[to])}


def _qualified(taking: dict[str, str], call: dict[str, Any]) -> dict[str, str]:
    """The parameters with the places that the call takes them in: `path.model`, `header.If-Match`."""
    places = {parameter["name"]: parameter["in"] for parameter in call["parameters"]}
    return {f"{places[name]}.{name}": value for name, value in taking.items()}
