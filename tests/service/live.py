"""A service on a real socket, in a thread, with a real database and a real folder; and ways to bring a model along."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

import bayes
from service.app import create_app
from service.house import House
from service.listening import config_of
from store.engine import connect
from store.folder import Folder
from store.leases import Leases
from store.migrate import upgrade
from store.settings import Settings
from worker.loop import Worker
from worker.reading import read_chunk

Json = dict[str, Any]

TINY: Json = {
    "net": {"kind": "mlp", "hidden": [3]},
    "input": {"shape": [2]},
    "output": {"kind": "categorical", "classes": 3},
    "recipe": {"epochs": 1},
    "chunk": {"rows": 1000, "seconds": None},
}
IMAGES = TINY | {"input": {"shape": [1, 2, 2], "dtype": "uint8"}}
NAMED = TINY | {"output": {"kind": "categorical", "classes": ["cat", "dog", "owl"]}}
REAL = TINY | {"output": {"kind": "gaussian", "dims": 2, "noise": 0.5}}

ROWS: Json = {"inputs": [[1, 2], [3, 4.5]], "labels": [0, 2]}
INPUTS: Json = {"inputs": [[1, 2], [3, 4.5]]}

_numbers = count(1)


@dataclass
class Live:
    """A running service, and a client of it."""

    house: House
    client: httpx.Client
    server: uvicorn.Server

    @property
    def folder(self) -> Folder:
        """Where its blobs are."""
        assert isinstance(self.house.blobs, Folder)
        return self.house.blobs

    def create(self, description: Json = TINY) -> str:
        """A new model of this description; the path of its calls."""
        name = f"model-{next(_numbers)}"
        answer = self.client.post("/v1/models", json={"name": name} | description)
        assert answer.status_code == 201, answer.text
        return f"/v1/models/{name}"

    def post_rows(self, model: str, rows: Json = ROWS, *, key: str | None = None) -> Json:
        key = key or f"key-{next(_numbers)}"
        answer = self.client.post(f"{model}/batches", json=rows, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def close(self, model: str) -> int:
        answer = self.client.post(f"{model}/updates")
        assert answer.status_code == 202, answer.text
        return int(answer.json()["update"])

    def learn(self, model: str, rows: Json = ROWS) -> int:
        """The rows are absorbed and published, as a worker does it; the version."""
        self.post_rows(model, rows)
        update = self.close(model)
        while (published := self.client.get(f"{model}/updates/{update}").json()["version"]) is None:
            self._absorb_oldest()
        return int(published)

    def publish(self, model: str, posterior: bayes.Posterior, **report: object) -> int:
        """The posterior is the model's next version, whatever it was learned from; nothing else may be queued."""
        name, ledger = model.removeprefix("/v1/models/"), self.house.ledger
        digest = self.house.blobs.put(posterior.to_bytes())
        ledger.accept(name, key=f"key-{next(_numbers)}", digest=digest, rows=1, label_counts={})
        ledger.close(name)
        leases = Leases(self.house.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)
        claim = leases.claim("test")
        assert claim is not None
        assert claim.model == name
        return leases.publish(claim, digest=digest, kl_nats=0.0, report=report).number

    def work(self) -> int:
        """Everything that can be claimed is claimed and taken by a real worker; how many claims that were."""
        engine = self.house.engine
        worker = Worker(
            owner="test",
            ledger=self.house.ledger,
            leases=Leases(engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0),
            retention=self.house.retention,
            history=self.house.history,
            blobs=self.house.blobs,
            device="cpu",
            stop=threading.Event(),
        )
        count = 0
        while (claim := worker.leases.claim("test")) is not None:
            worker.take(claim)
            count += 1
        return count

    def _absorb_oldest(self) -> None:
        leases = Leases(self.house.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)
        claim = leases.claim("test")
        assert claim is not None
        prior = bayes.Posterior.from_bytes(self.house.blobs.get(claim.prior_digest))
        chunk = read_chunk([self.house.blobs.get(digest) for digest in claim.batch_digests])
        recipe = bayes.Model.from_description(claim.description).recipe
        posterior, report = bayes.absorb(prior, chunk, recipe)
        digest = self.house.blobs.put(posterior.to_bytes())
        leases.publish(claim, digest=digest, kl_nats=report.elbo.kl_nats, report=report.to_dict())


@contextmanager
def running(data_dir: Path, **settings: Any) -> Iterator[Live]:  # noqa: ANN401 - any setting
    """A service with these settings on a free port; its database is migrated."""
    chosen = Settings(data_dir=data_dir, **settings)
    engine = connect(chosen.database)
    upgrade(engine)
    engine.dispose()
    with serving(create_app(chosen)) as live:
        yield live


@contextmanager
def serving(app: FastAPI) -> Iterator[Live]:
    """The app on a free port."""
    server = uvicorn.Server(config_of(app, app.state.house.settings.model_copy(update={"port": 0})))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
            yield Live(app.state.house, client, server)
    finally:
        server.should_exit = True
        thread.join()
