"""Versions of other installations: verified as a whole, then a model of this one."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from bayes import Export, UnreadableExport, kl_divergence
from bayes.exports import read_export
from bayes.lineage import divided_out, rows_of
from service.callers import TheCaller
from service.description import read_description
from service.faults import MODEL_NAME
from service.keeping import discard, keep_and_name
from service.models import resource_of
from service.openapi import takes_archive
from service.problems import declared
from service.rejected import (
    BodyTooLarge,
    DescriptionInvalid,
    ExportInvalid,
    JsonTooLarge,
    MediaTypeUnsupported,
    Rejected,
)
from service.requests import BYTES, ZIP, RawBody, TheHouse, media_type
from service.resources import ModelResource
from store.blobs import digest_of
from store.errors import BlobBuried, ModelExists, ModelNotFound
from store.importing import Imported, must_be_this
from store.values import Json, ModelRow

router = APIRouter(prefix="/v1/imports", tags=["models"])

SAME = ("net", "input", "output", "family")
"""What a description says by itself, whatever a release makes of the rest."""


async def _archive_only(request: Request) -> None:
    media_type(request, ZIP, BYTES)


@router.post(
    "",
    operation_id="import_version",
    status_code=201,
    dependencies=[Depends(_archive_only)],
    openapi_extra=takes_archive("What GET /v1/models/{model}/versions/{version}/export answered."),
    responses=declared(
        *(ExportInvalid, DescriptionInvalid, ModelExists, BodyTooLarge, MediaTypeUnsupported, BlobBuried),
        also={200: {"model": ModelResource, "description": "The version was imported under this name before."}},
    ),
)
def import_version(
    raw: RawBody,
    caller: TheCaller,
    house: TheHouse,
    *,
    response: Response,
    name: Annotated[
        str | None, Query(pattern=MODEL_NAME, description="What the model is called here; absent: as there.")
    ] = None,
) -> ModelResource:
    """Creates a model that goes on from a version of another installation; the same again changes nothing.

    Its version 0 is the root there, and its version 1, where head points, the exported version.
    """
    if name is not None:
        caller.require(name)
    with house.computing:
        house.must_go_on()
        export = _read(raw)
        description, posted = _descriptions(export, name or export.about.model)
        imported = _imported(export)
    own = str(description["name"])
    caller.require(own)
    with suppress(ModelNotFound):
        must_be_this(house.history.model(own), description, imported)

    def write(_digests: list[str]) -> tuple[ModelRow, bool]:
        actor = caller.name("service")
        return house.importing.create_model(own, description, imported, posted=posted, actor=actor)

    try:
        row, created = keep_and_name(house.blobs, house.ledger, _parts(export), write)
    except ModelExists:
        discard(house.collecting, imported.digests)
        raise
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/v1/models/{row.name}"
    return resource_of(house, row)


def _read(raw: bytes) -> Export:
    try:
        return read_export(raw)
    except UnreadableExport as error:
        raise ExportInvalid(reason=str(error)) from None


def _parts(export: Export) -> list[bytes]:
    """All that is stored of it."""
    weights = [] if export.weights is None else [export.weights]
    return [export.posterior_bytes, export.root_bytes, export.about_bytes, *weights]


def _imported(export: Export) -> Imported:
    about = export.about
    blobs = {"lineage": digest_of(export.about_bytes)}
    if export.weights is not None:
        blobs["weights"] = digest_of(export.weights)
    return Imported(
        model=about.model,
        version=about.version,
        digest=about.digest,
        root_digest=about.root_digest,
        rows=rows_of(about.lineage),
        chunks=len(about.lineage) - 1,
        kl_nats=_kl_from_root(export),
        blobs=blobs,
        posterity=about.posterity,
        divided=divided_out(about.lineage),
    )


def _descriptions(export: Export, name: str) -> tuple[Json, Json | None]:
    """The description under this name, resolved, and as it was posted where that is known.

    What releases before this one could not say of what is done beside learning, this one's defaults say.

    Raises:
        DescriptionInvalid: this release makes no model from it.
        ExportInvalid: it makes another one.
    """
    told = {**export.about.description, "name": name}
    try:
        _, description, _ = _resolved(told)
    except JsonTooLarge as error:
        raise ExportInvalid(reason=f"its description is too large. {str(error).rstrip('.')}") from None
    if keys := sorted(key for key in told if told[key] != description.get(key)):
        raise ExportInvalid(reason=f"its description says of {', '.join(keys)} what this release does not resolve to")
    posted = None if export.about.posted is None else {**export.about.posted, "name": name}
    return description, posted if posted is not None and _is_of(posted, description) else None


def _is_of(posted: Json, description: Json) -> bool:
    """True where somebody could have posted this for a model of this description, by this release or another."""
    try:
        _, resolved, stated = _resolved(posted)
    except Rejected:
        return False
    return stated == posted and all(resolved[key] == description[key] for key in SAME)


def _resolved(description: Json) -> tuple[Any, Json, Json]:
    return read_description(json.dumps(description).encode())


def _kl_from_root(export: Export) -> float:
    if export.about.is_root:
        return 0.0
    kl_nats = math.fsum(kl_divergence(export.posterior, export.root).values())
    if not math.isfinite(kl_nats):
        raise ExportInvalid(reason="the posterior is infinitely far from its root")
    return kl_nats
