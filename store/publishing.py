"""A version is born: it gets its place in the tree, head moves to it or not, and what came before it is kept.

Steps inside the caller's transaction, which holds the model's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from store.events import tell
from store.kinds import CHALLENGER, HEAD, EventKind, MoveKind, Publication
from store.schema.learning import scores, versions
from store.tree import place_of_child
from store.values import Claim, Json, ModelRow, Scored
from store.writes import insert_move, insert_once


@dataclass(frozen=True)
class Result:
    """What a worker has made of its claim."""

    digest: str
    kl_nats: float
    report: Json
    scores: Sequence[Scored] = ()
    held: str | None = None
    """Why head is not to move to it; None: it is."""


def insert_version(
    connection: Connection, model: ModelRow, claim: Claim, result: Result, *, head_seq: int, now: float
) -> int:
    """The next version exists, and head points at it, or the challenger does; its number.

    A step of a forget moves neither. `head_seq` is head's newest move until now.
    """
    newest = select(func.max(versions.c.number)).where(versions.c.model_id == claim.model_id)
    number = int(connection.execute(newest).scalar_one()) + 1
    publication = publication_of(model, claim, result)
    place = place_of_child(connection, claim.model_id, claim.prior, rows=claim.rows)
    lineage = {"parent": claim.prior, "chunk": claim.chunk.number, "update": claim.update, "head_seq": head_seq}
    facts = {"digest": result.digest, "kl_nats": result.kl_nats, "report": result.report, "created_at": now}
    own = {"model_id": claim.model_id, "number": number, "publication": publication}
    connection.execute(insert(versions).values(**own, **lineage, **facts, **place))
    _keep_scores(connection, claim, result.scores, now=now)
    told: Json = {name: lineage[name] for name in ("parent", "chunk", "update")} | {"rows": claim.rows}
    told |= {"version": number, "digest": result.digest, "publication": str(publication)}
    warnings = list(result.report.get("warnings", []))
    tell(connection, claim.model_id, EventKind.PUBLISHED, told | {"warnings": warnings}, at=now)
    _point(connection, claim, number, publication=publication, held=result.held or "", now=now)
    return number


def publication_of(model: ModelRow, claim: Claim, result: Result) -> Publication:
    """What becomes of head."""
    if claim.forget is not None:
        return Publication.ASIDE
    if model.description.get("publish") == Publication.MANUAL:
        return Publication.MANUAL
    return Publication.HEAD if result.held is None else Publication.GATED


def _point(
    connection: Connection, claim: Claim, number: int, *, publication: Publication, held: str, now: float
) -> None:
    move: Json = {"version": number, "moved_by": "worker", "moved_at": now}
    match publication:
        case Publication.HEAD:
            reason = f"update {claim.update} absorbed chunk {claim.chunk.number}"
            move |= {"alias": HEAD, "kind": MoveKind.PUBLISH, "reason": reason}
        case Publication.GATED | Publication.MANUAL:
            reason = held or f"head of this model is moved by hand; it stays at version {claim.prior}"
            move |= {"alias": CHALLENGER, "kind": MoveKind.HOLD, "reason": reason}
        case _:
            return
    insert_move(connection, claim.model_id, move)
    if publication != Publication.HEAD:
        told = {"version": number, "why": str(publication), "reason": move["reason"], "head": claim.prior}
        tell(connection, claim.model_id, EventKind.HELD, told, at=now)


def _keep_scores(connection: Connection, claim: Claim, scored: Sequence[Scored], *, now: float) -> None:
    # The same version may score a batch again, after a rollback; the numbers are the same.
    for one in scored:
        facts = {"batch": one.batch, "scores": one.scores, "surprise": one.surprise, "scored_at": now}
        insert_once(
            connection, scores, {"model_id": claim.model_id, "version": claim.prior, "update": claim.update} | facts
        )
