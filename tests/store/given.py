"""Givens of the ledger's tests."""

from __future__ import annotations

from typing import Any

from store.blobs import digest_of
from store.leases import Leases
from store.ledger import Ledger
from store.values import Accepted, Claim, VersionRow

DESCRIPTION: dict[str, Any] = {"family": "ffg", "chunk": {"rows": 100, "seconds": None}}


def digest(text: str) -> str:
    return digest_of(text.encode())


ROOT = digest("root")


def a_model(ledger: Ledger, name: str = "digits", *, rows: int = 100, seconds: float | None = None) -> None:
    ledger.create_model(name, {"family": "ffg", "chunk": {"rows": rows, "seconds": seconds}}, ROOT)


def accept(
    ledger: Ledger, key: str, *, model: str = "digits", rows: int = 1, labels: dict[str, int] | None = None
) -> Accepted:
    return ledger.accept(model, key=key, digest=digest(key), rows=rows, label_counts=labels or {})


def a_queued_update(ledger: Ledger, key: str = "a", *, labels: dict[str, int] | None = None) -> int:
    accept(ledger, key, labels=labels)
    return ledger.close("digits").number


def claimed(leases: Leases, owner: str = "worker-1") -> Claim:
    claim = leases.claim(owner)
    assert claim is not None
    return claim


def publish(leases: Leases, claim: Claim) -> VersionRow:
    return leases.publish(
        claim, digest=digest(f"{claim.model} {claim.prior} {claim.chunk.number}"), kl_nats=1.5, report={"steps": 3}
    )


def a_published_version(ledger: Ledger, leases: Leases, key: str) -> VersionRow:
    a_queued_update(ledger, key)
    return publish(leases, claimed(leases))


def a_chunk(ledger: Ledger, keys: str) -> int:
    """Batches of these keys, of 2 rows each, are a chunk; the update that waits for it."""
    for key in keys:
        accept(ledger, key, rows=2)
    return ledger.close("digits").number


def learn(ledger: Ledger, leases: Leases, *chunks: str) -> None:
    """Each chunk of such keys is learned from, one after the other."""
    for keys in chunks:
        a_chunk(ledger, keys)
        publish(leases, claimed(leases))
