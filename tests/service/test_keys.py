"""Keys over HTTP: shown once, listed without what opens the door, revoked for good."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.service.expected import expect_problem
from tests.service.keyed import Headers, bearer, make_key, shown
from tests.service.live import Json, Live, running


@pytest.fixture
def live(tmp_path: Path, database_url: str) -> Iterator[Live]:
    """A service of the test's own, whose client shows a key for everything; on each engine."""
    with running(tmp_path, database_url=database_url) as live:
        headers = make_key(live, "operator", "admin")
        live.house.known_keys.ring.forget()
        with shown(live, headers):
            yield live


def post(live: Live, **body: object) -> httpx.Response:
    return live.client.post("/v1/keys", json={"name": "ada", "scopes": ["predict"]} | body)


def test_a_key_is_shown_by_the_answer_that_makes_it_and_by_nothing_else(live: Live) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

    made = post(live, models="team-*", requests_per_minute=600, expires_at=until.isoformat())

    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    body: Json = made.json()
    key = body.pop("key")
    assert body | {"created_at": 0} == {
        "name": "ada",
        "scopes": ["predict"],
        "models": "team-*",
        "requests_per_minute": 600,
        "created_by": "operator",
        "created_at": 0,
        "expires_at": until.isoformat().replace("+00:00", "Z"),
        "revoked_at": None,
    }
    listed = live.client.get("/v1/keys")
    assert listed.json()["keys"][0] == body
    stored = live.house.keys.list()[0]
    assert key not in listed.text
    assert stored.hash not in listed.text + made.text
    assert live.client.get("/v1/models", headers=bearer(key)).status_code == 200


def test_a_key_counts_at_once_and_so_does_its_end(live: Live) -> None:
    headers: Headers = bearer(post(live).json()["key"])
    assert live.client.get("/v1/models", headers=headers).status_code == 200

    revoked = live.client.delete("/v1/keys/ada")

    assert revoked.status_code == 200
    assert revoked.json()["revoked_at"] is not None
    expect_problem(live.client.get("/v1/models", headers=headers), "key-invalid")
    assert live.client.delete("/v1/keys/ada").json() == revoked.json()
    assert live.client.get("/v1/keys").json()["keys"][0] == revoked.json()


def test_a_name_is_used_once(live: Live) -> None:
    assert post(live).status_code == 201
    expect_problem(post(live), "key-exists")

    live.client.delete("/v1/keys/ada")

    expect_problem(post(live), "key-exists")
    expect_problem(live.client.delete("/v1/keys/nobody"), "key-not-found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"scopes": []}, "body-invalid"),
        ({"scopes": ["root"]}, "body-invalid"),
        ({"scopes": "admin"}, "body-invalid"),
        ({"requests_per_minute": 0}, "body-invalid"),
        ({"requests_per_minute": 10**9}, "body-invalid"),
        ({"models": "m" * 256}, "body-invalid"),
        ({"expires_at": "2099-01-01T00:00:00"}, "body-invalid"),
        ({"expires_at": "tomorrow"}, "body-invalid"),
        ({"key": "posterity_mine"}, "body-invalid"),
        ({"name": "a b"}, "key-unusable"),
        ({"name": "worker"}, "key-unusable"),
        ({"name": f"posterity_{'A' * 43}"}, "key-unusable"),
        ({"name": "x" * 129}, "key-unusable"),
        ({"models": ""}, "key-unusable"),
        ({"models": "a\0"}, "key-unusable"),
        ({"models": "team-a, team-b"}, "key-unusable"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "key-unusable"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "key-unusable"),
        ({"expires_at": "0001-01-01T00:00:00+12:00"}, "key-unusable"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused(live: Live, body: Json, code: str) -> None:
    expect_problem(post(live, **body), code)

    assert [key["name"] for key in live.client.get("/v1/keys").json()["keys"]] == ["operator"]


def test_keys_are_listed_by_name_in_pages(live: Live) -> None:
    for name in ("b", "a", "c"):
        post(live, name=name).raise_for_status()

    first = live.client.get("/v1/keys", params={"limit": 3}).json()
    rest = live.client.get("/v1/keys", params={"limit": 3, "cursor": first["next_cursor"]}).json()

    assert [[key["name"] for key in page["keys"]] for page in (first, rest)] == [["a", "b", "c"], ["operator"]]
    assert rest["next_cursor"] is None


def test_a_key_may_allow_several_things(live: Live) -> None:
    model = live.create()
    headers = bearer(post(live, scopes=["predict", "ingest"]).json()["key"])

    assert live.client.get(f"{model}/versions", headers=headers).status_code == 200
    assert live.client.get(f"{model}/batches", headers=headers).status_code == 200
    expect_problem(live.client.post(f"{model}/rollback", json={"to": 0}, headers=headers), "key-not-allowed")


def test_whoever_reaches_a_service_without_keys_may_make_the_first(tmp_path: Path) -> None:
    with running(tmp_path) as live:
        made = post(live, name="operator", scopes=["admin"]).json()

        assert made["created_by"] == "client"
        expect_problem(post(live), "key-missing")
        with shown(live, bearer(made["key"])):
            assert post(live).json()["created_by"] == "operator"
