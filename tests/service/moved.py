"""Versions on their way from one installation to another."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np

from store.leases import Leases
from tests.service.live import TINY, Json, Live
from worker.absorb import absorb

ZIP = {"Content-Type": "application/zip"}


def rows(turn: int, count: int = 12) -> Json:
    """Labeled rows, others in each turn, that are the same wherever they are posted."""
    stream = np.random.default_rng(turn)
    inputs = stream.normal(size=(count, 2)).astype(np.float32)
    return {"inputs": inputs.tolist(), "labels": stream.integers(0, 3, count).tolist()}


def learn(live: Live, model: str, turn: int) -> Json:
    """The rows of this turn are a version of the model, as a worker makes it; that version."""
    live.post_rows(model, rows(turn))
    update = live.close(model)
    leases = Leases(live.house.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)
    claim = leases.claim("test")
    assert claim is not None
    assert (claim.update, claim.model) == (update, model.rpartition("/")[2])
    made = absorb(claim, live.house.blobs, device="cpu", missing_labels=[], progress=lambda _: None, check=lambda: None)
    published = leases.publish(claim, digest=made.digest, kl_nats=made.kl_nats, report=made.report)
    return dict(live.client.get(f"{model}/versions/{published.number}").json())


def taught(live: Live, turns: int = 2, **changes: Any) -> str:  # noqa: ANN401 - any part of a description
    """A model of two inputs that has learned in so many turns; its path."""
    model = live.create(TINY | changes)
    for turn in range(turns):
        learn(live, model, turn)
    return model


def exported(live: Live, model: str, version: int, **query: str) -> bytes:
    answer = live.client.get(f"{model}/versions/{version}/export", params=query)
    assert answer.status_code == 200, answer.text
    return answer.content


def send(live: Live, archive: bytes, **query: str) -> httpx.Response:
    return live.client.post("/v1/imports", content=archive, params=query, headers=ZIP)


def imported(live: Live, archive: bytes, **query: str) -> str:
    """The path of the model that the archive has become."""
    answer = send(live, archive, **query)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def said(live: Live, model: str, **query: object) -> bytes:
    """What the model predicts, as bytes, from the first output on; which model and version it was lies before."""
    asked = {name: str(value) for name, value in query.items()}
    answer = live.client.post(f"{model}/predictions", json={"inputs": rows(99)["inputs"]}, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.content[answer.content.index(b'"outputs"') :]
