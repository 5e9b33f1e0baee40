"""What head has learned from, in one line that can be compared: of an installation and of its restored copy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, select

from store.kinds import HEAD
from store.learned import evidence_of
from store.queries import newest_move
from store.schema.learning import batches, versions
from store.tree import line_of
from store.values import ModelRow


@dataclass(frozen=True)
class EvidenceOfHead:
    model: str
    version: int
    chunks: int
    rows: int
    digest: str
    """sha256 over the digests of the line's posteriors and of the batches in its evidence, in order."""


def evidence_of_head(connection: Connection, model: ModelRow) -> EvidenceOfHead:
    """Two ledgers agree on it where head's posteriors and all that they were learned from are the same, to the byte."""
    head = newest_move(connection, model.id, HEAD)
    assert head is not None
    assert head.version is not None
    evidence = evidence_of(connection, model.id, head.version)
    posteriors = select(versions.c.number, versions.c.digest).where(versions.c.model_id == model.id)
    by_version = {row.number: row.digest for row in connection.execute(posteriors)}
    rows = select(batches.c.number, batches.c.digest).where(batches.c.model_id == model.id)
    by_batch = {row.number: row.digest for row in connection.execute(rows)}
    named = [by_version[version] for version in reversed(line_of(connection, model.id, head.version))]
    named += [by_batch[batch] for batch in evidence.batches]
    return EvidenceOfHead(
        model=model.name,
        version=head.version,
        chunks=len(evidence.chunk_runs),
        rows=evidence.rows,
        digest=f"sha256:{hashlib.sha256(' '.join(named).encode()).hexdigest()}",
    )
