"""Versions: immutable posteriors, where they come from, and their bytes."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.etags import IfNoneMatch, is_fresh
from service.house import House
from service.problems import declared
from service.rejected import QueryInvalid
from service.requests import SAFETENSORS, ModelName, PageAsked, PathNumber, TheHouse
from service.resources import (
    EvidenceResource,
    VersionList,
    VersionResource,
    moment,
)
from store.errors import BlobCorrupt, BlobMissing, ModelNotFound, VersionNotFound
from store.import_books import brought
from store.values import ModelRow, VersionRow

DEPTH_LISTED_MAX = 200
"""In lists, versions say what they have learned from while it is no more chunks than this."""

router = APIRouter(prefix="/v1/models/{model}/versions", tags=["versions"])


@router.get("", operation_id="list_versions", responses=declared(ModelNotFound, QueryInvalid))
def list_versions(model: ModelName, page: PageAsked, house: TheHouse) -> VersionList:
    """All versions of a model, on every line, oldest first; version 0 is the root prior."""
    rows = house.history.versions(model, after=page.after_number(-1), limit=page.limit + 1)
    shown, next_cursor = page.cut(rows, lambda row: row.number)
    return VersionList(versions=_resources(house, model, shown, is_whole=False), next_cursor=next_cursor)


@router.get("/{version}", operation_id="get_version", responses=declared(ModelNotFound, VersionNotFound))
def get_version(model: ModelName, version: PathNumber, house: TheHouse) -> VersionResource:
    """A version's parent, evidence, KL from its parent, scores before it was learned, and report."""
    return _resources(house, model, [house.history.version(model, version)], is_whole=True)[0]


@router.get(
    "/{version}/posterior",
    operation_id="download_posterior",
    response_class=Response,
    responses=declared(
        *(ModelNotFound, VersionNotFound, BlobMissing, BlobCorrupt),
        also={
            200: {"content": {SAFETENSORS: {"schema": {"type": "string", "contentMediaType": SAFETENSORS}}}},
            304: {"description": "You have these bytes."},
        },
    ),
)
def download_posterior(
    model: ModelName, version: PathNumber, house: TheHouse, if_none_match: IfNoneMatch = None
) -> Response:
    """The posterior as safetensors; the ETag is the sha256 of exactly these bytes."""
    digest = house.history.resolve(model, version=version).digest
    headers = {"ETag": f'"{digest}"', "Cache-Control": "private, max-age=31536000, immutable"}
    if is_fresh(headers["ETag"], if_none_match):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{model}-{version}.safetensors"'
    return Response(house.blobs.get(digest), media_type=SAFETENSORS, headers=headers)


def _elsewhere(house: House, model: ModelRow, row: VersionRow) -> int:
    """How many rows of its line were learned from before the model was imported."""
    if not (came := brought(model.imported)) or model.imported is None:
        return 0
    return int(model.imported["rows"]) if house.history.on_line(model.name, row.number, came) else 0


def _resources(house: House, model: str, rows: list[VersionRow], *, is_whole: bool) -> list[VersionResource]:
    of, aliases = house.history.model(model), house.history.aliases(model)
    divisions = house.dividing.divisions(model)
    return [_resource(house, of, row, aliases=aliases, divisions=divisions, is_whole=is_whole) for row in rows]


def _divided(house: House, model: str, version: int, divisions: dict[int, list[int]]) -> list[int]:
    """The batches that were divided out on the line of the version."""
    line = house.history.on_line(model, version, divisions) if divisions else frozenset()
    return sorted(batch for division in line for batch in divisions[division])


def _resource(
    house: House,
    model: ModelRow,
    row: VersionRow,
    *,
    aliases: dict[str, int],
    divisions: dict[int, list[int]],
    is_whole: bool,
) -> VersionResource:
    is_listed = is_whole or row.depth <= DEPTH_LISTED_MAX
    evidence = house.history.evidence(model.name, row.number) if is_listed else None
    return VersionResource.model_validate(
        {
            "model": model.name,
            "version": row.number,
            "parent": row.parent,
            "chunk": row.chunk,
            "update": row.update,
            "digest": row.digest,
            "rows": row.rows,
            "evidence": EvidenceResource(
                rows=row.rows_learned,
                chunks=None if evidence is None else evidence.chunks,
                batches=None if evidence is None else evidence.batches,
                elsewhere=_elsewhere(house, model, row),
                divided=_divided(house, model.name, row.number, divisions),
            ),
            "kl_nats": row.kl_nats,
            "prequential": row.report.get("prequential"),
            "seconds": row.report.get("seconds"),
            "recipe": model.description["recipe"],
            "report": row.report,
            "aliases": [alias for alias, version in aliases.items() if version == row.number],
            "created_at": moment(row.created_at),
            "depth": row.depth,
            "branch": row.branch,
            "fork": row.fork,
            "publication": row.publication,
        }
    )
