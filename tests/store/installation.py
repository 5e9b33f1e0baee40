"""An embedded installation that learns without a worker, and what the doctor says of a copy of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from store.collecting import Collecting
from store.doctor import Findings, examine
from store.engine import connect
from store.folder import Folder
from store.leases import Leases
from store.ledger import Ledger
from store.migrate import upgrade
from store.retention import Retention
from tests.store.given import DESCRIPTION, claimed


class Installation:
    """A data folder with one model, which learns in the way of a worker."""

    def __init__(self, folder: Path) -> None:
        self.engine = connect(f"sqlite:///{folder / 'ledger.sqlite'}")
        upgrade(self.engine)
        self.blobs = Folder(folder / "blobs")
        self.ledger = Ledger(self.engine)
        self.leases = Leases(self.engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0)
        self.retention = Retention(self.engine, Collecting(self.engine, self.blobs))
        kept = {"retention": {"kind": "delete-after-absorb"}}
        star = self.blobs.put(b"star")
        prior = {"prior": {"kind": "weights", "blob": star}}
        self.ledger.create_model("digits", DESCRIPTION, self.blobs.put(b"root"))
        self.ledger.create_model("passing", DESCRIPTION | kept | prior, self.blobs.put(b"root"))

    def learn(self, turn: int, model: str = "digits") -> None:
        rows = self.blobs.put(f"rows {model} {turn}".encode())
        self.ledger.accept(model, key=str(turn), digest=rows, rows=1, label_counts={})
        self.ledger.close(model)
        posterior = self.blobs.put(f"posterior {model} {turn}".encode())
        self.leases.publish(claimed(self.leases), digest=posterior, kl_nats=1.0, report={})


def examined(folder: Path) -> Findings:
    """What the doctor says of a copy, moved elsewhere as a restore would."""
    restored = folder.with_name(f"{folder.name}-restored")
    shutil.copytree(folder, restored)
    engine = connect(f"sqlite:///{restored / 'ledger.sqlite'}")
    try:
        return examine(engine, Folder(restored / "blobs"))
    finally:
        engine.dispose()
