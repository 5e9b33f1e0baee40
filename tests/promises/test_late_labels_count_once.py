"""Labels that arrive later, in any order, twice, for what never was: each kept prediction becomes exactly one row."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from safetensors.numpy import load
from sqlalchemy import Engine

from client.client import Client
from store.engine import for_examining
from store.folder import Folder
from store.history import History
from store.invariants import violations
from store.kept_predictions import KeptPredictions, ToKeep
from store.values import BatchRow
from tests.promises.house import House

SEED = 6
CLIENTS = 8
KEPT, TWICE, CONTRADICTED, EXPIRED, UNKNOWN = 5_000, 700, 300, 100, 200
TINY: dict[str, Any] = {
    "name": "late",
    "net": {"kind": "mlp", "hidden": [3]},
    "input": {"shape": [2]},
    "output": {"kind": "categorical", "classes": 3},
    "recipe": {"epochs": 1},
    "chunk": {"rows": 1_000_000, "seconds": None},
}
PATH = "/v1/models/late"


def shared(urls: Sequence[str], path: str, bodies: Sequence[object], *, status: int) -> list[dict[str, Any]]:
    """The answers to all of these, which several clients ask at once, each a part of them."""

    def ask(client: int) -> list[dict[str, Any]]:
        """Of the services in turn, over a connection to each."""
        found = []
        with ExitStack() as stack:
            connections = [
                stack.enter_context(closing(HTTPConnection(urlsplit(url).netloc, timeout=60))) for url in urls
            ]
            for turn, body in enumerate(bodies[client::CLIENTS], client):
                connection = connections[turn % len(connections)]
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                assert answer.status == status, said
                found.append(json.loads(said))
        return found

    with ThreadPoolExecutor(CLIENTS) as clients:
        parts = list(clients.map(ask, range(CLIENTS)))
    return [parts[index % CLIENTS][index // CLIENTS] for index in range(len(bodies))]


def expired(engine: Engine) -> list[str]:
    """Predictions that were kept a while ago, for less than that."""
    entry = ToKeep("late", 0, "sha256:0", 1, bytes(8), b"{}", "client", seconds=60.0)
    kept = KeptPredictions(engine, clock=lambda _: time.time() - 100).keep([entry] * EXPIRED)
    return [id_ for id_, _ in kept]


def in_random_order(ids: Sequence[str], over: Sequence[str], choose: random.Random) -> list[list[dict[str, Any]]]:
    """Requests with the labels of all, some twice, some of them with another label, some for nothing that there is."""
    given = [(id_, number % 3) for number, id_ in enumerate(ids)]
    given += [(id_, number % 3) for number, id_ in enumerate(ids[:TWICE])]
    given += [(id_, (number + 1) % 3) for number, id_ in enumerate(ids[:CONTRADICTED])]
    given += [(id_, 0) for id_ in over]
    given += [(id_[:12] + id_[:11:-1], 0) for id_ in choose.sample(list(ids), UNKNOWN)]
    choose.shuffle(given)
    labels = [{"prediction": id_, "label": label} for id_, label in given]
    requests = []
    while labels:
        size = choose.randrange(1, 40)
        requests.append(labels[:size])
        labels = labels[size:]
    # As clients do that got no answer.
    again = choose.sample(requests, len(requests) // 10)
    return choose.sample(requests + again, len(requests) + len(again))


def rows_of(engine: Engine, blobs: Path) -> list[tuple[tuple[float, ...], int]]:
    """All the rows of the model, as the bytes of its batches say."""
    history, folder = History(engine), Folder(blobs)
    batches, found = list[BatchRow](), list[tuple[tuple[float, ...], int]]()
    while more := history.batches("late", after=len(batches), limit=1000):
        batches += more
    for batch in batches:
        tensors = load(folder.get(batch.digest))
        assert len(tensors["y"]) == batch.rows
        found += [(tuple(x), y) for x, y in zip(tensors["x"].tolist(), tensors["y"].tolist(), strict=True)]
    return found


def test_five_thousand_predictions_labeled_in_random_order_are_five_thousand_rows(
    installation: House, engine: Engine
) -> None:
    choose, count = random.Random(SEED), KEPT if engine.dialect.name == "sqlite" else KEPT // 5
    urls = [installation.serve(workers=workers)[1] for workers in (1, 0)]
    with Client(urls[0]) as client:
        client.create_model(TINY)
    bodies = [{"inputs": [[number, -number]], "keep": True} for number in range(count)]

    ids = [answer["prediction"] for answer in shared(urls, f"{PATH}/predictions", bodies, status=200)]
    over = expired(engine)
    requests = in_random_order(ids, over, choose)
    answers = shared(urls, f"{PATH}/labels", requests, status=202)

    said = {name: [id_ for answer in answers for id_ in answer[name]] for name in ("labeled", "expired", "unknown")}
    assert Counter(said["labeled"]) == dict.fromkeys(ids, 1)
    assert set(said["expired"]) == set(over)
    assert len(set(said["unknown"])) == UNKNOWN
    assert not any(answer["refused"] for answer in answers)
    rows = rows_of(engine, installation.data_dir / "blobs")
    assert Counter(x for x, _ in rows) == {(float(number), float(-number)): 1 for number in range(count)}
    for (number, _), label in rows:
        assert label in {number % 3, *([(number + 1) % 3] if number < CONTRADICTED else [])}
    with for_examining(engine).begin() as connection:
        assert violations(connection) == []
