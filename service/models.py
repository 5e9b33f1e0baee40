"""Models: created from a description, read with their counters."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from fastapi import APIRouter, Response

from bayes import GaussianPrior, Model, Pretrained, root
from service.callers import Caller, TheCaller
from service.description import ModelBody, read_description, refused_as_a_problem
from service.faults import Fault
from service.house import House
from service.keeping import discard, keep_and_name
from service.openapi import takes
from service.problems import declared
from service.rejected import (
    BlobUnknown,
    BodyTooLarge,
    DescriptionInvalid,
    JsonInvalid,
    JsonTooLarge,
    MediaTypeUnsupported,
    QueryInvalid,
)
from service.requests import JsonOnly, ModelName, PageAsked, RawBody, TheHouse
from service.resources import ImportedResource, ModelList, ModelResource, Pending, moment
from store.blobs import digest_of
from store.errors import BlobBuried, BlobCorrupt, BlobMissing, ModelExists, ModelNotFound
from store.kinds import HEAD
from store.values import DEFAULTS_SINCE, Json, ModelRow

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.post(
    "",
    operation_id="create_model",
    status_code=201,
    dependencies=[JsonOnly],
    openapi_extra=takes(ModelBody),
    responses=declared(
        *(JsonInvalid, JsonTooLarge, ModelExists, BodyTooLarge, MediaTypeUnsupported, DescriptionInvalid),
        *(BlobUnknown, BlobCorrupt, BlobBuried),
        also={200: {"model": ModelResource, "description": "The model existed with the same description."}},
    ),
)
def create_model(raw: RawBody, caller: TheCaller, house: TheHouse, response: Response) -> ModelResource:
    """Creates a model whose version 0, the root prior, answers at once; the same description again changes nothing."""
    model, description, posted = read_description(raw)
    name, actor = str(description["name"]), caller.name("service")
    caller.require(name)
    known = _must_not_be_another(house, name, description, posted)
    if known is not None and known.imported is not None:
        # Its root came as bytes; what its prior names need not be here.
        response.status_code, response.headers["Location"] = 200, f"/v1/models/{name}"
        return resource_of(house, known)

    def write(digests: list[str]) -> tuple[ModelRow, bool]:
        return house.ledger.create_model(name, description, digests[0], posted=posted, actor=actor)

    # From before what it is made of is read until it is kept: either may be large.
    with house.computing:
        parts = _of_prior(house, caller, model)
        made = _root(house, model, parts)
        try:
            row, created = keep_and_name(house.blobs, house.ledger, [made, *parts.values()], write)
        except ModelExists:
            discard(house.collecting, [digest_of(made)])
            raise
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/v1/models/{row.name}"
    return resource_of(house, row)


@router.get("", operation_id="list_models", responses=declared(QueryInvalid))
def list_models(page: PageAsked, caller: TheCaller, house: TheHouse) -> ModelList:
    """All models that the key is for, in the order of their names."""
    rows = house.history.models(after=page.after or "", limit=page.limit + 1, pattern=caller.models)
    shown, next_cursor = page.cut(rows, lambda row: row.name)
    return ModelList(models=[resource_of(house, row) for row in shown], next_cursor=next_cursor)


@router.get("/{model}", operation_id="get_model", responses=declared(ModelNotFound))
def get_model(model: ModelName, house: TheHouse) -> ModelResource:
    """A model's description, aliases and counters."""
    return resource_of(house, house.history.model(model))


def _must_not_be_another(house: House, name: str, description: Json, posted: Json) -> ModelRow | None:
    """The model, or None where the name is free; so no bytes are written for one that is refused.

    Raises:
        ModelExists: it belongs to a model with another description.
    """
    with suppress(ModelNotFound):
        known = house.history.model(name)
        if not known.is_described_by(description, posted):
            raise ModelExists(model=name)
        return known
    return None


def _of_prior(house: House, caller: Caller, model: Model) -> dict[str, bytes]:
    """The bytes that the prior names, by its fields.

    Raises:
        BlobUnknown: they are not here.
    """
    if isinstance(model.prior, GaussianPrior):
        return {}
    named = model.prior.digests.items()
    return {key: _named_by_prior(house, caller, f"prior.{key}", digest) for key, digest in named}


def _root(house: House, model: Model, parts: Mapping[str, bytes]) -> bytes:
    """The bytes of version 0, for which the caller has a place among those that compute.

    Raises:
        DescriptionInvalid: the bytes that the prior names do not fit the model.
        Unavailable: the service stops.
    """
    house.must_go_on()
    with refused_as_a_problem():
        pretrained = Pretrained(parts["blob"], parts.get("batch")) if parts else None
        return root(model, pretrained, check=house.must_go_on).to_bytes()


def _named_by_prior(house: House, caller: Caller, where: str, digest: str) -> bytes:
    try:
        if not caller.may_read(house, digest):
            raise BlobMissing(digest=digest)
        return house.blobs.get(digest)
    except BlobMissing:
        fault = Fault(where, f"names {digest}, which is not here")
        raise BlobUnknown(where=where, digest=digest, faults=[fault]) from None


def resource_of(house: House, row: ModelRow) -> ModelResource:
    """The model with its counters, as of now."""
    counters = house.history.counters(row.name)
    aliases = house.history.aliases(row.name)
    imported = None if row.imported is None else ImportedResource.model_validate(row.imported)
    return ModelResource.model_validate(
        DEFAULTS_SINCE
        | row.description
        | {
            "created_at": moment(row.created_at),
            "imported": imported,
            "head": aliases[HEAD],
            "aliases": aliases,
            "versions": counters.versions,
            "batches": counters.batches,
            "rows": counters.rows,
            "pending": Pending(batches=counters.pending_batches, rows=counters.pending_rows),
            "updates": counters.updates,
            "undecided": house.history.undecided(row.name),
        }
    )
