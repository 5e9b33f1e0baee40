"""A key for the models of a pattern does not learn what other models hold from the answers about its own bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tests.service.keyed import make_key, shown
from tests.service.live import ROWS, TINY, Live, running

BYTES = {"Content-Type": "application/octet-stream"}
ALONE = ROWS | {"inputs": [[9, 9], [8, 8]]}


@pytest.fixture
def own(tmp_path: Path, database_url: str) -> Iterator[Live]:
    """A service with a model of the key's, and one of others, which have learned the same rows."""
    with running(tmp_path, database_url=database_url) as live:
        for name in ("mine-1", "other"):
            live.client.post("/v1/models", json=TINY | {"name": name}).raise_for_status()
            live.learn(f"/v1/models/{name}")
        yield live


def by(live: Live, name: str, models: str) -> AbstractContextManager[Live]:
    """The service, asked with a new key for these models."""
    headers = make_key(live, name, "admin", models=models)
    live.house.known_keys.ring.forget()
    return shown(live, headers)


def posted(live: Live, content: bytes) -> int:
    return live.client.post("/v1/blobs", content=content, headers=BYTES).status_code


def removed(live: Live, model: str, batch: int) -> bool:
    return bool(live.client.delete(f"/v1/models/{model}/batches/{batch}").raise_for_status().json()["bytes_removed"])


def test_bytes_that_only_others_have_are_answered_as_new_ones(own: Live) -> None:
    own.learn("/v1/models/other", ALONE)
    theirs, shared = (
        own.house.blobs.get(own.client.get(f"/v1/models/other/batches/{number}").json()["digest"]) for number in (2, 1)
    )
    new = save({"x": np.full(3, 0.25)})

    with by(own, "mine", "mine-*"):
        assert posted(own, theirs) == posted(own, new) == 201
        assert posted(own, shared) == 200
    with by(own, "all", "*"):
        assert posted(own, theirs) == 200


def test_deleting_says_no_more_where_others_have_the_same_rows_than_where_nobody_has(own: Live) -> None:
    own.learn("/v1/models/mine-1", ALONE)

    with by(own, "mine", "mine-*"):
        assert removed(own, "mine-1", 1) is removed(own, "mine-1", 2) is True

    with by(own, "all", "*"):
        assert removed(own, "mine-1", 1) is False
        assert removed(own, "mine-1", 2) is True
        theirs = own.client.get("/v1/models/other/batches/1").json()["digest"]
    assert own.house.blobs.get(theirs)


def test_deleting_says_that_rows_stay_where_another_batch_of_its_own_has_them(own: Live) -> None:
    own.post_rows("/v1/models/mine-1", ROWS, key="the same rows")

    with by(own, "mine", "mine-*"):
        assert removed(own, "mine-1", 1) is False


def test_deleting_says_that_rows_stay_where_they_could_not_be_removed(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.learn("/v1/models/mine-1", ALONE)

    def refuse(_folder: object, _digest: str) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(type(own.folder), "delete", refuse)
    with by(own, "mine", "mine-*"):
        assert removed(own, "mine-1", 2) is False
