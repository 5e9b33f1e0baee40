"""The door: closed from the first key on, open on loopback before, and never opened because something failed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import save
from sqlalchemy.exc import OperationalError
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from service import quick, quick_batches
from service.app import create_app
from service.names import is_loopback
from store.engine import connect
from store.keys import Keys
from store.kinds import Scope
from store.migrate import upgrade
from store.settings import Settings
from tests.conftest import FakeClock
from tests.postgres import PostgresServer
from tests.service.expected import expect_problem
from tests.service.keyed import UNKNOWN, Headers, bearer, make_key, shown
from tests.service.live import INPUTS, ROWS, TINY, Live, running, serving

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what a service is told; the tests listen on loopback.


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    """A service of the test's own, as keys close the door to everyone."""
    with running(tmp_path) as live:
        yield live


@pytest.fixture
def on_each_engine(tmp_path: Path, database_url: str) -> Iterator[Live]:
    with running(tmp_path, database_url=database_url) as live:
        yield live


def forget(live: Live) -> None:
    """What another process wrote counts now: on PostgreSQL it would within a second."""
    live.house.known_keys.ring.forget()


def test_the_door_closes_with_the_first_key_and_opens_for_those_who_show_one(on_each_engine: Live) -> None:
    live = on_each_engine
    assert live.client.get("/v1/models").status_code == 200

    headers = make_key(live, "ada", "admin")
    forget(live)

    missing = live.client.get("/v1/models")
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    expect_problem(missing, "key-missing")
    assert live.client.get("/v1/models", headers=headers).status_code == 200
    assert live.client.get("/livez").status_code == live.client.get("/readyz").status_code == 200
    assert live.client.head("/livez").status_code == 200


def test_a_key_made_and_revoked_by_another_process_counts_and_does_not_from_the_next_request_on(own: Live) -> None:
    make_key(own, "ada", "admin")
    headers = make_key(own, "bob", "predict")
    assert own.client.get("/v1/models", headers=headers).status_code == 200

    own.house.keys.revoke("bob")

    expect_problem(own.client.get("/v1/models", headers=headers), "key-invalid")


def test_unknown_expired_and_revoked_keys_are_answered_alike_and_without_a_query(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as live:
        early = Keys(live.house.engine, clock=clock)
        expired = early.create("old", scopes=[Scope.ADMIN], created_by="test", expires_at=clock.seconds + 1)
        revoked = make_key(live, "gone", "admin")
        live.house.keys.revoke("gone")
        asked = [bearer(UNKNOWN), bearer(expired.key), revoked]
        live.client.get("/v1/models", headers=asked[0])
        monkeypatch.setattr(live.house.keys, "in_force", None)

        answers = [live.client.get("/v1/models", headers=headers) for headers in asked]

    assert len({answer.content for answer in answers}) == 1
    assert all(answer.headers["WWW-Authenticate"] == "Bearer" for answer in answers)
    expect_problem(answers[0], "key-invalid")


def test_only_one_bearer_in_one_header_is_a_key(own: Live) -> None:
    key = make_key(own, "ada", "admin")["Authorization"].removeprefix("Bearer ")

    good = [f"Bearer {key}", f"bearer {key}", f"BEARER  {key}"]
    bad = [
        key,
        f"Basic {key}",
        f"Bearer {key}x",
        f"Bearer {key},",
        f'Bearer "{key}"',
        "Bearer",
        "Bearer x",
        f"Bearer{key}",
    ]

    for value in good:
        assert own.client.get("/v1/models", headers={"Authorization": value}).status_code == 200
    for value in bad:
        expect_problem(own.client.get("/v1/models", headers={"Authorization": value}), "key-invalid")
    twice = [("Authorization", f"Bearer {key}")] * 2
    expect_problem(own.client.get("/v1/models", headers=twice), "key-invalid")
    for elsewhere in ({"X-Api-Key": key}, {"Cookie": f"key={key}"}):
        expect_problem(own.client.get("/v1/models", headers=elsewhere), "key-missing")
    assert own.client.get(f"/v1/models?key={key}").status_code == 401


def test_the_door_stays_closed_when_the_last_key_has_expired_and_when_it_is_revoked(
    tmp_path: Path, clock: FakeClock, database_url: str
) -> None:
    with running(tmp_path, database_url=database_url) as live:
        early = Keys(live.house.engine, clock=clock)
        early.create("old", scopes=[Scope.ADMIN], created_by="test", expires_at=clock.seconds + 1)
        expect_problem(live.client.get("/v1/models"), "key-missing")

        live.house.keys.revoke("old")
        forget(live)

        expect_problem(live.client.get("/v1/models"), "key-missing")
        expect_problem(live.client.post("/v1/keys", json={"name": "mine", "scopes": ["admin"]}), "key-missing")


@pytest.mark.parametrize("place", [{"host": EVERYWHERE}, {"hosts": "models.example"}, {"hosts": "*"}], ids=str)
@pytest.mark.parametrize("how", ["never made", "revoked", "expired"])
def test_a_service_that_others_can_reach_is_never_open(
    tmp_path: Path, clock: FakeClock, how: str, place: dict[str, str]
) -> None:
    with running(tmp_path, **place) as live:
        if how != "never made":
            early = Keys(live.house.engine, clock=clock)
            early.create("last", scopes=[Scope.ADMIN], created_by="test", expires_at=clock.seconds + 1)
        if how == "revoked":
            live.house.keys.revoke("last")

        expect_problem(live.client.get("/v1/models"), "key-missing")
        expect_problem(live.client.get("/v1/models", headers=bearer(UNKNOWN)), "key-invalid")
        assert live.client.get("/livez").status_code == 200


def test_a_key_that_expires_while_the_service_runs_is_refused_without_a_change_in_the_database(own: Live) -> None:
    make_key(own, "ada", "admin")
    headers = make_key(own, "short", "admin", expires_at=own.house.known_keys.ring.read().read_at + 3600)
    assert own.client.get("/v1/models", headers=headers).status_code == 200

    own.house.known_keys.ring._ahead_seconds += 3601  # As if an hour had passed.

    expect_problem(own.client.get("/v1/models", headers=headers), "key-invalid")


def lost(*_: object) -> None:
    raise OperationalError("SELECT secret", {}, Exception("password of the database"))


def test_while_the_database_is_down_known_keys_go_on_and_nobody_else_comes_in(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = make_key(own, "ada", "admin")
    assert own.client.get("/v1/models", headers=headers).status_code == 200

    monkeypatch.setattr(own.house.keys, "in_force", lost)
    forget(own)

    assert own.client.get("/v1/models", headers=headers).status_code == 200
    unknown = own.client.get("/v1/models", headers=bearer(UNKNOWN))
    assert "cannot be told who may call" in expect_problem(unknown, "unavailable")["detail"]
    assert not {"secret", "password"} & set(unknown.text.split())
    expect_problem(own.client.get("/v1/models"), "key-missing")


@pytest.mark.parametrize("was_asked", [False, True])
def test_no_keys_is_never_assumed_of_a_database_that_is_down(
    own: Live, monkeypatch: pytest.MonkeyPatch, *, was_asked: bool
) -> None:
    if was_asked:
        assert own.client.get("/v1/models").status_code == 200
    monkeypatch.setattr(own.house.keys, "in_force", lost)
    forget(own)

    for headers in ({}, bearer(UNKNOWN)):
        expect_problem(own.client.get("/v1/models", headers=headers), "unavailable")
    assert own.client.get("/livez").status_code == 200


def test_a_postgresql_database_that_went_away_leaves_the_known_keys(
    tmp_path: Path, postgres: PostgresServer, migrated: str
) -> None:
    url = postgres.create_database(template=migrated)
    with running(tmp_path, database_url=url) as live:
        headers = make_key(live, "ada", "predict")
        forget(live)
        assert live.client.get("/openapi.json", headers=headers).status_code == 200

        postgres.drop_database(url)
        forget(live)

        assert live.client.get("/openapi.json", headers=headers).status_code == 200
        expect_problem(live.client.get("/openapi.json", headers=bearer(UNKNOWN)), "unavailable")


def test_the_history_names_the_key_that_made_each_move(own: Live) -> None:
    model = own.create()
    with shown(own, make_key(own, "ada", "admin")):
        made = own.create()
        own.client.put(f"{model}/aliases/head", json={"version": 0}).raise_for_status()
        own.client.post(f"{model}/rollback", json={"to": 0})
        own.client.put(f"{model}/aliases/best", json={"version": 0}).raise_for_status()
        assert own.client.delete(f"{model}/aliases/best").status_code == 204
        assert own.learn(model) == 1
        rolled = own.client.post(f"{model}/rollback", json={"to": 0}).json()

        def movers(of: str, alias: str) -> list[str]:
            moves = own.client.get(f"{of}/aliases/{alias}/history").json()["moves"]
            return [f"{move['kind']} {move['moved_by']}" for move in moves]

        assert movers(model, "head") == ["create service", "put ada", "publish worker", "rollback ada"]
        assert movers(model, "best") == ["put ada", "remove ada"]
        assert movers(made, "head") == ["create ada"]
    assert rolled["moved_by"] == "ada"


def test_a_key_for_a_pattern_meets_the_same_refusal_whether_the_model_exists_or_not(own: Live) -> None:
    for name in ("team-a-1", "other"):
        own.client.post("/v1/models", json=TINY | {"name": name}).raise_for_status()
    with shown(own, make_key(own, "team-a", "admin", models="team-a-*")):
        assert own.client.get("/v1/models/team-a-1").status_code == 200
        expect_problem(own.client.get("/v1/models/team-a-9"), "model-not-found")

        for path in ("", "/versions", "/versions/0/posterior", "/aliases/head/history", "/batches/1", "/updates"):
            there, nowhere, capital = (
                own.client.get(f"/v1/models/{name}{path}") for name in ("other", "never", "Team-a-1")
            )
            expect_problem(there, "key-not-allowed")
            detail = "The key 'team-a' is for the models 'team-a-*', and this asks for others."
            assert there.json()["detail"] == nowhere.json()["detail"] == capital.json()["detail"]
            assert there.json()["detail"].startswith(detail)
        for name in ("other", "never"):
            refused = own.client.post("/v1/models", json=TINY | {"name": name})
            assert expect_problem(refused, "key-not-allowed")["detail"].startswith(detail)
        expect_problem(own.client.post("/v1/models/other/predictions", json=INPUTS), "key-not-allowed")
        assert own.client.post("/v1/models", json=TINY | {"name": "team-a-2"}).status_code == 201


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "PUT"])
def test_a_key_for_a_pattern_is_told_as_any_other_what_cannot_be_done_at_its_own_paths(own: Live, method: str) -> None:
    for name in ("mine-1", "other"):
        own.client.post("/v1/models", json=TINY | {"name": name}).raise_for_status()
    everything, limited = make_key(own, "all", "admin"), make_key(own, "mine", "admin", models="mine-*")

    for path in ("/v1/models/mine-1", "/v1/models", "/v1/models/mine-9/batches/7", "/v1/blobs"):
        by_the_router = own.client.request(method, path, headers=everything)
        at_the_door = own.client.request(method, path, headers=limited)
        expect_problem(at_the_door, "method-not-allowed")
        assert at_the_door.content == by_the_router.content
        assert at_the_door.headers["Allow"] == by_the_router.headers["Allow"]
    asks_for_others = own.client.request(method, "/v1/models/other", headers=limited)
    assert "asks for others" in expect_problem(asks_for_others, "key-not-allowed")["detail"]
    for path in ("/v1/keys", "/nothing"):
        of_all = own.client.request(method, path, headers=limited)
        assert f"{method} {path} needs a key for all" in expect_problem(of_all, "key-not-allowed")["detail"]


def test_a_list_of_models_has_only_those_of_the_key_and_no_page_is_short_before_the_last(own: Live) -> None:
    mine = [f"mine-{number:02}" for number in range(7)]
    for name in (*mine, *(f"a-{number:02}" for number in range(5)), *(f"mine-{number:02}x" for number in range(7))):
        own.client.post("/v1/models", json=TINY | {"name": name}).raise_for_status()
    with shown(own, make_key(own, "reader", "predict", models="mine-0[0-9]")):
        seen, cursor, sizes = list[str](), None, list[int]()
        while True:
            page = own.client.get("/v1/models", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
            seen += [model["name"] for model in page["models"]]
            sizes.append(len(page["models"]))
            cursor = page["next_cursor"]
            if cursor is None:
                break

    assert seen == mine
    assert sizes == [3, 3, 1]


def test_a_key_for_a_pattern_can_neither_see_nor_start_from_what_other_models_hold(own: Live) -> None:
    other = own.create()
    own.client.post("/v1/models", json=TINY | {"name": "mine-1"}).raise_for_status()
    own.learn(other)
    batch = own.client.get(f"{other}/batches/1").json()["digest"]
    secret = own.client.get(f"{other}/versions/1").json()["digest"]
    known = own.client.get("/v1/models/mine-1/versions/0").json()["digest"]
    for digest in (batch, secret, known):
        assert own.client.get(f"/v1/blobs/{digest}").status_code == 200

    with shown(own, make_key(own, "mine", "admin", models="mine-*")):
        assert own.client.get(f"/v1/blobs/{known}").status_code == 200
        weights = {"Content-Type": "application/octet-stream"}
        free = own.client.post("/v1/blobs", content=save({"x": np.zeros(3)}), headers=weights).json()["blob"]
        assert own.client.get(f"/v1/blobs/{free}").status_code == 200
        for digest in (secret, batch):
            expect_problem(own.client.get(f"/v1/blobs/{digest}"), "blob-not-found")
        for prior in (
            {"kind": "weights", "blob": secret, "sigma": 0.1},
            {"kind": "laplace", "blob": free, "batch": batch},
        ):
            refused = own.client.post("/v1/models", json=TINY | {"name": "mine-2", "prior": prior})
            expect_problem(refused, "blob-unknown")
        expect_problem(own.client.get("/v1/keys"), "key-not-allowed")
        make_one = {"name": "all", "scopes": ["admin"]}
        expect_problem(own.client.post("/v1/keys", json=make_one), "key-not-allowed")
        expect_problem(own.client.delete("/v1/keys/mine"), "key-not-allowed")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Live, Headers]]:
    """A service with a key, and one on the same data that has neither door nor shortcuts."""
    folder = tmp_path_factory.mktemp("keyed")
    plain = create_app(Settings(data_dir=folder))
    plain.user_middleware.clear()
    with running(folder) as live, serving(plain) as without:
        live.client.post("/v1/models", json=TINY | {"name": "asked"}).raise_for_status()
        for one in (live, without):
            one.client.post("/v1/models/asked/predictions", json=INPUTS).raise_for_status()
        yield live, without, make_key(live, "both", "predict", "ingest")


def noted(call: Callable[..., Any], name: str, taken: list[str]) -> Callable[..., Any]:
    def noting(*given: object, **more: object) -> object:
        taken.append(name)
        return call(*given, **more)

    return noting


@pytest.mark.parametrize("also", [{}, {"X-Request-Id": "7"}, {"X-Forwarded-For": "10.0.0.1", "Via": "1.1 proxy"}])
def test_a_request_with_a_key_takes_the_shortcuts_and_is_answered_byte_for_byte_as_without(
    both: tuple[Live, Live, Headers], monkeypatch: pytest.MonkeyPatch, also: Headers
) -> None:
    live, without, key = both
    taken = list[str]()
    for module, name in ((quick, "read"), (quick_batches, "accept")):
        monkeypatch.setattr(module, name, noted(getattr(module, name), name, taken))

    for _ in range(3):
        predicted = [
            one.client.post("/v1/models/asked/predictions", json=INPUTS, headers=key | also) for one in (live, without)
        ]
        named = key | also | {"Idempotency-Key": "monday"}
        accepted = [one.client.post("/v1/models/asked/batches", json=ROWS, headers=named) for one in (live, without)]

    assert taken == ["read", "accept"] * 3
    for with_key, plain in (predicted, accepted):
        assert with_key.content == plain.content
        assert with_key.is_success


def test_no_key_is_in_any_line_of_the_log_nor_in_an_answer(
    own: Live, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    model = own.create()
    made = own.client.post("/v1/keys", json={"name": "ada", "scopes": ["admin"]}).json()["key"]
    secret = made.removeprefix("posterity_")
    hashed = own.house.keys.list()[0].hash
    answers = [
        own.client.get(path, headers=headers)
        for headers in (
            bearer(made),
            bearer(made[:-1] + "_"),
            {"Authorization": made},
            {"Authorization": f"Basic {made}"},
        )
        for path in ("/v1/keys", model, "/nothing", "/livez")
    ]

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(own.house.history, "model", fail)
    with pytest.raises(httpx.HTTPStatusError):
        own.client.get(model, headers=bearer(made) | {"Connection": "close"}).raise_for_status()

    said = caplog.text + json.dumps([[answer.text, dict(answer.headers)] for answer in answers])
    assert "a fault of ours" in said
    assert secret[:-1] not in said
    assert hashed not in said


def test_a_request_id_that_looks_like_a_key_is_replaced(own: Live) -> None:
    for stated in (UNKNOWN, f"a:{UNKNOWN}:b", UNKNOWN[:-3]):
        answer = own.client.get("/livez", headers={"X-Request-Id": stated})
        assert "posterity_" not in answer.headers["X-Request-Id"]


def test_the_caller_is_in_the_state_of_the_request_for_who_writes_the_log(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    upgrade(connect(settings.database))
    app, callers = create_app(settings), list[object]()

    class Around:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            if scope["type"] == "http":
                callers.append(scope["state"].get("caller"))

    app.add_middleware(Around)
    with serving(app) as live:
        live.client.get("/v1/models")
        ada = make_key(live, "ada", "predict")
        for headers in ({}, bearer(UNKNOWN), ada):
            live.client.get("/v1/models", headers=headers)
        live.client.get("/v1/keys", headers=ada)

    assert callers == [None, None, None, "ada", "ada"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True)),
        *((EVERYWHERE, False), ("::", False), ("192.168.1.2", False), ("example.org", False), ("", False)),
    ],
)
def test_loopback_addresses_are_those_that_only_this_machine_reaches(host: str, *, expected: bool) -> None:
    assert is_loopback(host) is expected
