"""Versions: immutable posteriors, where they come from, and their bytes."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.etags import IfNoneMatch, is_fresh
from service.openapi import binary
from service.problems import declared
from service.rejected import QueryInvalid
from service.requests import SAFETENSORS, ModelName, NumberedPageAsked, PathNumber, TheHouse
from service.resources import (
    EvidenceResource,
    VersionList,
    VersionResource,
    moment,
)
from store.errors import BlobCorrupt, BlobMissing, ModelNotFound, VersionNotFound
from store.version_facts import VersionFacts

DEPTH_LISTED_MAX = 200
"""In lists, versions say what they have learned from while it is no more chunks than this."""

router = APIRouter(prefix="/v1/models/{model}/versions", tags=["versions"])


@router.get("", operation_id="list_versions", responses=declared(ModelNotFound, QueryInvalid))
def list_versions(model: ModelName, page: NumberedPageAsked, house: TheHouse) -> VersionList:
    """All versions of a model, on every line, oldest first; version 0 is the root prior."""
    found = house.history.versions_facts(
        model, after=page.after_number(-1), limit=page.limit + 1, depth_max=DEPTH_LISTED_MAX
    )
    shown, next_cursor = page.cut(found, lambda facts: facts.version.number)
    return VersionList(versions=[_resource(facts) for facts in shown], next_cursor=next_cursor)


@router.get("/{version}", operation_id="get_version", responses=declared(ModelNotFound, VersionNotFound))
def get_version(model: ModelName, version: PathNumber, house: TheHouse) -> VersionResource:
    """A version's parent, evidence, KL from its parent, scores before it was learned, and report."""
    return _resource(house.history.version_facts(model, version))


@router.get(
    "/{version}/posterior",
    operation_id="download_posterior",
    response_class=Response,
    responses=declared(
        *(ModelNotFound, VersionNotFound, BlobMissing, BlobCorrupt),
        also={
            200: {"content": {SAFETENSORS: {"schema": binary(SAFETENSORS)}}},
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


def _resource(facts: VersionFacts) -> VersionResource:
    model, row, evidence = facts.model, facts.version, facts.evidence
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
                elsewhere=facts.elsewhere,
                divided=list(facts.divided),
            ),
            "kl_nats": row.kl_nats,
            "prequential": row.report.get("prequential"),
            "seconds": row.report.get("seconds"),
            "recipe": model.description["recipe"],
            "report": row.report,
            "aliases": list(facts.aliases),
            "created_at": moment(row.created_at),
            "depth": row.depth,
            "branch": row.branch,
            "fork": row.fork,
            "publication": row.publication,
        }
    )
