"""A ledger in which every table has rows, made by the calls that make them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from store.accepting import Posted
from store.aliases import Aliases
from store.collecting import Collecting
from store.folder import Folder
from store.forgetting import Forgetting
from store.kept_predictions import KeptPredictions, ToKeep
from store.keys import Keys
from store.kinds import EventKind, Scope
from store.labeling import LabeledBatch, Labeling
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.retention import Retention
from store.values import Scored
from store.webhooks import Webhooks
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
        _take_labels(filling)
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


def _take_labels(filling: Filling) -> None:
    """A listener, and a prediction that was kept until its label came."""
    listening = Webhooks(filling.engine)
    listening.create("mails", "https://example.org", kinds=[EventKind.PUBLISHED], created_by="anna")
    answered = ToKeep("mails", 1, "sha256:", 1, b"x", b"y", "anna", 3600.0)
    ((prediction, _),) = KeptPredictions(filling.engine).keep([answered])
    posted = Posted(key="late", digest=filling.blobs.put(b"late"), rows=1, label_counts={"7": 1})
    Labeling(filling.ledger).record("mails", [LabeledBatch(posted, [(prediction, 0)], [7])])
