"""Versions as files for other installations, and for plain torch."""

from __future__ import annotations

from enum import StrEnum
from importlib.metadata import version as release_of
from typing import Annotated

import torch
from fastapi import APIRouter, Query, Response

from bayes import Model, NoStateDict, Posterior, WeightsPrior
from bayes.about import About, read_about
from bayes.exports import needs_weights, write_export
from bayes.lineage import AbsorbedBatch, Ancestor, Lineage
from bayes.state_dicts import state_dict_bytes
from service.house import House
from service.openapi import binary
from service.problems import declared
from service.rejected import PlainWeightsImpossible
from service.requests import BYTES, JSON, ZIP, ModelName, PathNumber, TheHouse
from service.resources import moment
from store.errors import BlobCorrupt, BlobMissing, ModelNotFound, VersionNotFound
from store.exporting import Line, LineVersion
from store.import_books import brought

router = APIRouter(prefix="/v1/models/{model}/versions", tags=["versions"])


class Format(StrEnum):
    """What of a version is exported: all of it, its mean weights for plain torch, or what is told of it."""

    ZIP = "zip"
    STATE_DICT = "state_dict"
    JSON = "json"


MEDIA = {Format.ZIP: (ZIP, "zip"), Format.STATE_DICT: (BYTES, "pt"), Format.JSON: (JSON, "json")}
"""The media type of each, and how its file is called."""

FormatAsked = Annotated[
    Format,
    Query(
        alias="format",
        description="zip: for POST /v1/imports; state_dict: its mean weights; json: its description and lineage.",
    ),
]


@router.get(
    "/{version}/export",
    operation_id="export_version",
    response_class=Response,
    responses=declared(
        *(ModelNotFound, VersionNotFound, PlainWeightsImpossible, BlobMissing, BlobCorrupt),
        also={
            200: {
                "content": {
                    ZIP: {"schema": binary(ZIP)},
                    BYTES: {"schema": binary(BYTES)},
                    JSON: {"schema": {"type": "object"}},
                }
            }
        },
    ),
)
def export_version(model: ModelName, version: PathNumber, house: TheHouse, asked: FormatAsked = Format.ZIP) -> Response:
    """The version as one file, from which another installation, or `bayes` alone, goes on with the same numbers."""
    line = house.exporting.line(model, version)
    with house.computing:
        house.must_go_on()
        made = _made(house, line, asked)
    media, suffix = MEDIA[asked]
    headers = {"Content-Disposition": f'attachment; filename="{model}-{version}.{suffix}"'}
    return Response(made, media_type=media, headers=headers)


def about_of(house: House, line: Line) -> About:
    """What the `export.json` of the version says."""
    elsewhere = _elsewhere(house, line)
    row, model = line.version, line.model
    return About(
        model=model.name,
        version=row.number,
        digest=row.digest,
        root_digest=line.versions[0].digest,
        description=model.description,
        posted=model.posted,
        lineage=_lineage(line, elsewhere),
        report=elsewhere.report if elsewhere and row.number in brought(model.imported) else row.report,
        posterity=release_of("posterity"),
        torch=torch.__version__,
    )


def _made(house: House, line: Line, asked: Format) -> bytes:
    if asked is Format.JSON:
        return about_of(house, line).to_bytes()
    posterior = house.blobs.get(line.version.digest)
    if asked is Format.STATE_DICT:
        try:
            return state_dict_bytes(Posterior.from_bytes(posterior))
        except NoStateDict as error:
            raise PlainWeightsImpossible(model=line.model.name, reason=str(error)) from None
    described = Model.from_description(line.model.description)
    weights = None
    if needs_weights(described) and isinstance(described.prior, WeightsPrior):
        weights = house.blobs.get(described.prior.blob)
    root = house.blobs.get(line.versions[0].digest)
    return write_export(about_of(house, line), posterior=posterior, root=root, weights=weights)


def _elsewhere(house: House, line: Line) -> About | None:
    """What was told of the version that the model was imported as."""
    if line.model.imported is None:
        return None
    return read_about(house.blobs.get(line.model.imported["blobs"]["lineage"]))


def _lineage(line: Line, elsewhere: About | None) -> Lineage:
    """The line, with what lies behind the imported version in its place."""
    here = line.versions
    if elsewhere is None:
        return tuple(_ancestor(line.model.name, version) for version in here)
    came = brought(line.model.imported)
    known = elsewhere.lineage if any(version.number in came for version in here) else elsewhere.lineage[:1]
    learned = (version for version in here if version.number and version.number not in came)
    return known + tuple(_ancestor(line.model.name, version) for version in learned)


def _ancestor(model: str, version: LineVersion) -> Ancestor:
    return Ancestor(
        model=model,
        version=version.number,
        parent=version.parent,
        digest=version.digest,
        kl_nats=version.kl_nats,
        rows=version.rows,
        chunk=version.chunk,
        batches=tuple(AbsorbedBatch(batch.number, batch.rows, batch.digest) for batch in version.batches),
        created_at=moment(version.created_at).isoformat(),
        divided=version.divided,
    )
