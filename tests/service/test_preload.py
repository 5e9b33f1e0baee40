"""What was asked lately is made ready when an alias moves, before anybody asks again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bayes import Ready
from service import preload
from service.computing import Question
from service.loaded import Chosen
from service.preload import OF_AN_ALIAS_MAX, REMEMBERED_MAX
from store.waker import Waker, waker_for
from tests.postgres import PostgresServer
from tests.service.live import INPUTS, TINY, Live, running
from tests.service.wire import in_time

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


def test_after_an_outage_heads_are_made_ready_again(
    tmp_path: Path,
    postgres: PostgresServer,
    migrated: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = list[Engine]()

    def trying(engine: Engine) -> Waker:
        tried.append(engine)
        return waker_for(engine)

    monkeypatch.setattr(preload, "waker_for", trying)
    with running(tmp_path, database_url=postgres.create_database(template=migrated)) as live:
        model = live.create()
        live.client.post(f"{model}/predictions", json=INPUTS)

        with postgres.away():
            assert in_time(lambda: len(tried) >= 4)
        live.learn(model)

        assert becomes_ready(live, digest_of(live, model, 1))
    assert caplog.text.count("heads that move are not made ready until the database answers") == 1


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
    own.folder.path(digest_of(own, damaged, 1)).write_bytes(b"damaged")
    own.house.loaded._kept.clear()  # As if other versions had taken its place.

    own.learn(model)

    assert becomes_ready(own, digest_of(own, model, 1))


def test_no_more_questions_are_remembered_than_the_bound(own: Live) -> None:
    model = own.create().rpartition("/")[2]
    known = own.house.known.find(model)
    preloading = own.house.preloading

    def question(number: int) -> Question:
        return Question(known, model, None, f"alias-{number}", MOMENTS, in_turn=False)

    for number in range(REMEMBERED_MAX + 10):
        preloading.remember(question(number))

    assert list(preloading._asked) == [question(number) for number in range(10, REMEMBERED_MAX + 10)]


def test_what_did_not_move_is_left_alone_however_little_fits_in_memory(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, preloading = own.house.loaded, own.house.preloading
    models = [own.create(), own.create(TINY | {"net": {"kind": "mlp", "hidden": [4]}})]
    for model in models:
        own.client.post(f"{model}/predictions", json=INPUTS)
    monkeypatch.setattr(loaded, "bytes_max", loaded.nbytes - 1)  # Room for one of the two.
    preloading.look()
    made, make = list[str](), loaded.ready

    def ready(digest: str, chosen: Chosen) -> Ready:
        made.append(digest)
        return make(digest, chosen)

    monkeypatch.setattr(loaded, "ready", ready)
    preloading.look()
    assert made == []

    own.learn(models[0])
    assert becomes_ready(own, moved := digest_of(own, models[0], 1))
    assert set(made) == {moved}


def test_whatever_fails_stops_nobody(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    model, failing = own.create(), own.create(TINY | {"recipe": {"epochs": 1, "seed": 5}})
    for asked in (model, failing):
        own.client.post(f"{asked}/predictions", json=INPUTS)
    make, is_over = own.house.loaded.ready, threading.Event()

    def ready(digest: str, chosen: Chosen) -> Ready:
        if digest == failed:
            is_over.set()
            raise MemoryError
        return make(digest, chosen)

    failed = digest_of(own, failing, 0)
    monkeypatch.setattr(own.house.loaded, "ready", ready)
    own.client.put(f"{failing}/aliases/other", json={"version": 0})
    name = failing.rpartition("/")[2]
    question = Question(own.house.known.find(name), name, None, "other", MOMENTS, in_turn=False)
    own.house.preloading.remember(question)
    own.learn(model)

    assert is_over.wait(20.0)
    assert becomes_ready(own, digest_of(own, model, 1))


def test_an_alias_that_is_not_there_is_not_remembered(own: Live, caplog: pytest.LogCaptureFixture) -> None:
    model = own.create()
    caplog.set_level("INFO")

    answers = [own.client.post(f"{model}/predictions?alias=nope-{index}", json=INPUTS) for index in range(3)]
    own.house.preloading.look()

    assert {answer.status_code for answer in answers} == {404}
    assert "is not made ready" not in caplog.text


def test_one_alias_does_not_drive_out_others_nor_make_more_ready_than_the_bound(own: Live) -> None:
    one, other = own.create(), own.create(TINY | {"net": {"kind": "mlp", "hidden": [4]}})
    own.client.post(f"{other}/predictions", json=INPUTS)
    for seed in range(REMEMBERED_MAX + 10):
        own.client.post(f"{one}/predictions", json=INPUTS | {"samples": 1, "seed": seed})

    own.learn(one)
    own.learn(other)

    assert becomes_ready(own, digest_of(own, other, 1))
    learned = digest_of(own, one, 1)
    assert becomes_ready(own, learned, Chosen("ensemble", 1, REMEMBERED_MAX + 9))
    held = [seed for seed in range(REMEMBERED_MAX + 10) if own.house.loaded.holds(learned, Chosen("ensemble", 1, seed))]
    assert len(held) == OF_AN_ALIAS_MAX
