"""A ledger in which every table has rows, made by the calls that make them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from store.aliases import Aliases
from store.collecting import Collecting
from store.folder import Folder
from store.keys import Keys
from store.leases import Leases
from store.ledger import Ledger
from store.retention import Retention
from store.values import Scope
from tests.store.given import DESCRIPTION, claimed

RECIPE = {"epochs": 3, "steps_least": 40, "shift_pixels": 1, "seed": 5}


def fill(engine: Engine, folder: Path) -> None:
    ledger, blobs = Ledger(engine), Folder(folder)
    leases = Leases(engine, lease_seconds=15.0, attempts_max=1, retry_seconds=0.0)
    aliases, retention = Aliases(engine), Retention(engine, Collecting(engine, blobs))

    def learn(turn: int, *, model: str = "digits") -> None:
        rows = blobs.put(f"{model} {turn}".encode())
        ledger.accept(model, key=f"key {turn}", digest=rows, rows=turn, label_counts={"7": turn})
        ledger.close(model)
        report = {"elbo": {"kl_nats": 0.5 * turn}, "warnings": ["Ü"]}
        posterior = blobs.put(f"posterior {model} {turn}".encode())
        leases.publish(claimed(leases), digest=posterior, kl_nats=0.5 * turn, report=report)

    for name in ("digits", "letters"):
        described = DESCRIPTION | {"recipe": RECIPE, "retention": {"kind": "keep"}}
        ledger.create_model(name, described, blobs.put(name.encode()), posted={"name": name, "net": None})
        learn(1, model=name)
    learn(2)
    aliases.move("digits", "champion", 2, actor="anna", reason="the best so far")
    aliases.rollback("digits", steps=1, actor="anna", reason="worse on Ümläute")
    learn(3)
    aliases.remove("digits", "champion", actor="bert")
    retention.delete("digits", 1, actor="anna", reason="asked by its owner")
    ledger.accept("letters", key="failing", digest=blobs.put(b"failing"), rows=1, label_counts={})
    ledger.close("letters")
    leases.fail(claimed(leases), code="diverged", message="It did.", is_final=True)
    ledger.accept("letters", key="queued", digest=blobs.put(b"queued"), rows=1, label_counts={})
    ledger.close("letters")
    ledger.accept("letters", key="pending", digest=blobs.put(b"pending"), rows=1, label_counts={})
    keys = Keys(engine)
    for name, scope in (("anna", Scope.ADMIN), ("gone", Scope.PREDICT)):
        keys.create(name, scopes={scope}, models="*", created_by="local")
    keys.revoke("gone")
