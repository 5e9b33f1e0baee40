"""What was asked lately is made ready when an alias moves, before anybody asks again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.computing import Question
from service.loaded import Chosen
from service.preload import REMEMBERED_MAX
from tests.service.live import INPUTS, TINY, Live, running

MOMENTS = Chosen("moments")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    with running(tmp_path) as live:
        yield live


def digest_of(live: Live, model: str, version: int) -> str:
    return str(live.client.get(f"{model}/versions/{version}").json()["digest"])


def becomes_ready(live: Live, digest: str, chosen: Chosen = MOMENTS) -> bool:
    until = time.monotonic() + 20.0
    while not live.house.loaded.holds(digest, chosen) and time.monotonic() < until:
        time.sleep(0.01)
    return live.house.loaded.holds(digest, chosen)


def test_a_published_version_is_ready_before_it_is_asked(own: Live) -> None:
    model = own.create()
    own.client.post(f"{model}/predictions", json=INPUTS)

    own.learn(model)

    assert becomes_ready(own, digest_of(own, model, 1))


def test_every_way_in_which_an_alias_was_asked_is_made_ready(own: Live) -> None:
    model = own.create()
    own.client.put(f"{model}/aliases/champion", json={"version": 0})
    own.client.post(f"{model}/predictions?alias=champion", json=INPUTS | {"samples": 3})
    own.learn(model)

    own.client.put(f"{model}/aliases/champion", json={"version": 1})

    assert becomes_ready(own, digest_of(own, model, 1), Chosen("ensemble", 3, 0))
    assert not own.house.loaded.holds(digest_of(own, model, 1), MOMENTS)


def test_a_version_asked_by_its_number_is_no_reason_to_make_others_ready(own: Live) -> None:
    model, other = own.create(), own.create(TINY | {"recipe": {"epochs": 1, "seed": 5}})
    own.client.post(f"{model}/versions/0/predictions", json=INPUTS)
    own.client.post(f"{other}/predictions", json=INPUTS)

    own.learn(model)
    own.learn(other)

    assert becomes_ready(own, digest_of(own, other, 1))
    assert not own.house.loaded.holds(digest_of(own, model, 1), MOMENTS)


def test_a_version_whose_bytes_are_damaged_stops_nobody(own: Live) -> None:
    model, damaged = own.create(), own.create(TINY | {"recipe": {"epochs": 1, "seed": 5}})
    for asked in (model, damaged):
        own.client.post(f"{asked}/predictions", json=INPUTS)
    own.learn(damaged)
    own.house.blobs.path(digest_of(own, damaged, 1)).write_bytes(b"damaged")
    own.house.loaded._kept.clear()  # As if other versions had taken its place.

    own.learn(model)

    assert becomes_ready(own, digest_of(own, model, 1))


def test_no_more_questions_are_remembered_than_the_bound(own: Live) -> None:
    model = own.create().rpartition("/")[2]
    known = own.house.known.find(model)
    preloading = own.house.preloading

    for seed in range(REMEMBERED_MAX + 10):
        preloading.remember(Question(known, model, None, "head", Chosen("ensemble", 1, seed), in_turn=False))
    preloading.look()

    assert own.house.loaded.holds(digest_of(own, f"/v1/models/{model}", 0), Chosen("ensemble", 1, REMEMBERED_MAX + 9))
    assert not own.house.loaded.holds(digest_of(own, f"/v1/models/{model}", 0), Chosen("ensemble", 1, 0))
