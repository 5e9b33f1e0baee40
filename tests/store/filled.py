"""A ledger in which every table has rows, made by the calls that make them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, insert, select

from store.aliases import Aliases
from store.collecting import Collecting
from store.folder import Folder
from store.forgetting import Forgetting
from store.keys import Keys
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.retention import Retention
from store.schema import labels, models, predictions, webhooks
from store.values import Scope, Scored
from tests.store.given import DESCRIPTION, claimed

RECIPE = {"epochs": 3, "steps_least": 40, "shift_pixels": 1, "seed": 5}


class Filling:
    """The calls, and bytes in a folder for whatever is named."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.blobs = engine, Folder(folder)
        self.ledger, self.aliases = Ledger(engine), Aliases(engine)
        self.leases = Leases(engine, lease_seconds=15.0, attempts_max=1, retry_seconds=0.0)

    def create(self, name: str, publish: str = "always") -> None:
        described = DESCRIPTION | {"recipe": RECIPE, "retention": {"kind": "keep"}, "publish": publish}
        self.ledger.create_model(name, described, self.blobs.put(name.encode()), posted={"name": name, "net": None})

    def post(self, key: str, *, model: str, rows: int = 1) -> int:
        digest = self.blobs.put(f"{model} {key}".encode())
        return self.ledger.accept(model, key=key, digest=digest, rows=rows, label_counts={"7": rows}).batch.number

    def absorb(self, *, held: str | None = None) -> int:
        """What waits is learned from, by a new version."""
        claim = claimed(self.leases)
        report = {"elbo": {"kl_nats": 0.5}, "warnings": ["Ü"]}
        posterior = self.blobs.put(f"posterior {claim.model} {claim.update}".encode())
        scores = [Scored(batch, {"nll": 0.5}, {"z": 1.0}) for batch in claim.batches]
        return self.leases.publish(claim, digest=posterior, kl_nats=0.5, report=report, scores=scores, held=held).number

    def learn(self, key: str, *, model: str, rows: int = 1, held: str | None = None) -> int:
        self.post(key, model=model, rows=rows)
        self.ledger.close(model)
        return self.absorb(held=held)


def fill(engine: Engine, folder: Path, *, is_of_before: bool = False) -> None:
    """Every table has rows; `is_of_before`: only what a ledger held when a version learned from whole chunks."""
    filling = Filling(engine, folder)
    ledger, leases, blobs = filling.ledger, filling.leases, filling.blobs
    for name in ("digits", "letters"):
        filling.create(name)
        filling.learn("key 1", model=name)
    _go_back(filling)
    if not is_of_before:
        _leave_out(filling)
        _fill_what_no_call_writes(engine)
    filling.post("failing", model="letters")
    ledger.close("letters")
    leases.fail(claimed(leases), code="diverged", message="It did.", is_final=True)
    filling.post("queued", model="letters")
    ledger.close("letters")
    filling.post("pending", model="letters")
    Retention(engine, Collecting(engine, blobs)).delete("digits", 1, actor="anna", reason="asked by its owner")
    keys = Keys(engine)
    for name, scope in (("anna", Scope.ADMIN), ("gone", Scope.PREDICT)):
        keys.create(name, scopes={scope}, models="*", created_by="local")
    keys.revoke("gone")


def _go_back(filling: Filling) -> None:
    aliases = filling.aliases
    filling.learn("key 2", model="digits", rows=2)
    aliases.move("digits", "champion", 2, actor="anna", reason="the best so far")
    aliases.rollback("digits", steps=1, actor="anna", reason="worse on Ümläute")
    filling.learn("key 3", model="digits", rows=3)
    aliases.remove("digits", "champion", actor="bert")


def _leave_out(filling: Filling) -> None:
    """A part of a chunk, the rest of it later, a version that was held back, and a line without one of its batches."""
    parking, forgetting = Parking(filling.engine), Forgetting(filling.engine)
    filling.create("mails", publish="gated")
    bad, odd = filling.post("bad", model="mails"), filling.post("odd", model="mails")
    filling.post("good", model="mails")
    parking.park("mails", [odd], actor="worker", reason="surprising")
    filling.ledger.close("mails")
    filling.absorb()
    parking.release("mails", [odd], actor="anna", reason="a new season")
    filling.absorb()
    filling.learn("worse", model="mails", held="worse on held-out rows")
    asked = forgetting.forget("mails", [bad], actor="anna", reason="asked by its owner")
    for _ in asked.updates:
        filling.absorb()


def _fill_what_no_call_writes(engine: Engine) -> None:
    """Tables whose calls are still to come."""
    here = {"created_by": "anna", "created_at": 1.0, "failures": 0, "delivered": 0}
    kept = {"version": 1, "digest": "sha256:", "rows": 1, "inputs": b"x", "answer": b"y"}
    asked = {"predicted_by": "anna", "predicted_at": 1.0, "kept_until": 2.0}
    with engine.begin() as connection:
        model = connection.execute(select(models.c.id).where(models.c.name == "mails")).scalar_one()
        hook = {"model_id": model, "number": 1, "url": "https://example.org", "secret": "s"}
        connection.execute(insert(webhooks).values(**hook, **here))
        connection.execute(insert(predictions).values(id="one", model_id=model, **kept, **asked))
        row = {"prediction": "gone", "row": 0, "model_id": model, "label": 7, "batch": 1, "batch_row": 0}
        connection.execute(insert(labels).values(**row, labeled_at=1.0))
