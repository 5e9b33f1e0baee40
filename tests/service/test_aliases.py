"""Aliases over HTTP: moved with If-Match, rolled back, removed, and remembered."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.service.expected import expect_problem
from tests.service.live import Live


def test_an_alias_points_where_it_was_put_and_its_etag_counts_its_moves(live: Live, model: str) -> None:
    version = live.learn(model)
    url = f"{model}/aliases/champion"

    created = live.client.put(url, json={"version": 0, "reason": "first"})
    moved = live.client.put(url, json={"version": version}, headers={"If-Match": created.headers["ETag"]})

    found = live.client.get(url)
    assert (created.status_code, created.headers["ETag"]) == (200, '"1"')
    assert (moved.status_code, moved.headers["ETag"]) == (200, '"2"')
    assert found.json() == moved.json()
    assert found.headers["ETag"] == '"2"'
    assert (found.json()["version"], found.json()["seq"]) == (version, 2)


@pytest.mark.parametrize("name", ["1st", "Head", "a" * 65, "a" * 129, "a" * 10_000])
def test_what_is_no_name_of_an_alias_is_said_to_be_none(live: Live, model: str, name: str) -> None:
    refused = live.client.put(f"{model}/aliases/{name}", json={"version": 0})

    assert len(expect_problem(refused, "alias-invalid")["detail"]) < 300
    expect_problem(live.client.get(f"{model}/aliases/{'a' * 65}"), "not-found")


def test_an_alias_that_moved_meanwhile_is_not_moved(live: Live, model: str) -> None:
    url = f"{model}/aliases/head"
    read = live.client.get(url)
    version = live.learn(model)

    put = live.client.put(url, json={"version": 0}, headers={"If-Match": read.headers["ETag"]})

    assert (put.status_code, put.json()["code"]) == (412, "alias-moved")
    assert live.client.get(url).json()["version"] == version


def test_if_match_of_0_moves_only_an_alias_that_never_existed(live: Live, model: str) -> None:
    url = f"{model}/aliases/only-once"

    first = live.client.put(url, json={"version": 0}, headers={"If-Match": '"0"'})
    second = live.client.put(url, json={"version": 0}, headers={"If-Match": '"0"'})

    assert (first.status_code, second.status_code) == (200, 412)


@pytest.mark.parametrize("etag", ["3", 'W/"3"', '"three"', '"1", "2"'])
def test_an_if_match_that_is_no_etag_of_an_alias_is_refused(live: Live, model: str, etag: str) -> None:
    answer = live.client.put(f"{model}/aliases/head", json={"version": 0}, headers={"If-Match": etag})

    assert (answer.status_code, answer.json()["code"]) == (422, "query-invalid")


def test_if_match_of_a_star_asks_that_the_alias_exists(live: Live, model: str) -> None:
    url, any_move = f"{model}/aliases/star", {"If-Match": "*"}

    absent = live.client.put(url, json={"version": 0}, headers=any_move)
    live.client.put(url, json={"version": 0})
    present = live.client.put(url, json={"version": 0}, headers=any_move)
    removed = live.client.delete(url, headers=any_move)
    gone = live.client.delete(url, headers=any_move)

    assert [answer.status_code for answer in (absent, present, removed, gone)] == [412, 200, 204, 412]
    assert absent.json()["code"] == gone.json()["code"] == "alias-moved"


def test_if_none_match_of_a_star_asks_that_the_alias_does_not_exist(live: Live, model: str) -> None:
    url, new = f"{model}/aliases/new", {"If-None-Match": "*"}

    answers = [live.client.put(url, json={"version": 0}, headers=new) for _ in range(2)]
    live.client.delete(url)
    answers.append(live.client.put(url, json={"version": 0}, headers=new))

    assert [answer.status_code for answer in answers] == [200, 412, 200]


@pytest.mark.parametrize("headers", [{"If-None-Match": '"1"'}, {"If-None-Match": "*", "If-Match": "*"}])
def test_another_if_none_match_is_refused(live: Live, model: str, headers: dict[str, str]) -> None:
    answer = live.client.put(f"{model}/aliases/new", json={"version": 0}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "query-invalid")


def test_a_rollback_with_if_match_moves_only_the_head_that_was_read(live: Live, model: str) -> None:
    read = live.client.get(f"{model}/aliases/head").headers["ETag"]
    version = live.learn(model)

    late = live.client.post(f"{model}/rollback", json={"to": 0}, headers={"If-Match": read})
    head = live.client.get(f"{model}/aliases/head")
    again = live.client.post(f"{model}/rollback", json={"to": 0}, headers={"If-Match": head.headers["ETag"]})

    assert (late.status_code, late.json()["code"]) == (412, "alias-moved")
    assert (head.json()["version"], again.status_code) == (version, 200)


def test_a_removed_alias_is_gone_and_its_history_stays(live: Live, model: str) -> None:
    url = f"{model}/aliases/old"
    live.client.put(url, json={"version": 0, "reason": "for a while"})

    late = live.client.delete(url, headers={"If-Match": '"7"'})
    removed = live.client.delete(url, headers={"If-Match": '"1"'})

    assert late.status_code == 412
    assert (removed.status_code, removed.content) == (204, b"")
    assert live.client.get(url).json()["code"] == "alias-not-found"
    assert live.client.delete(url).json()["code"] == "alias-not-found"
    moves = live.client.get(f"{url}/history").json()["moves"]
    assert [(move["kind"], move["version"], move["reason"]) for move in moves] == [
        ("put", 0, "for a while"),
        ("remove", None, ""),
    ]


def test_all_aliases_are_listed(live: Live, model: str) -> None:
    live.client.put(f"{model}/aliases/review", json={"version": 0})

    listed = live.client.get(f"{model}/aliases").json()["aliases"]

    assert [(alias["alias"], alias["version"]) for alias in listed] == [("head", 0), ("review", 0)]


def test_the_history_tells_what_was_live_when_by_whom_and_why(live: Live, model: str) -> None:
    one, two = live.learn(model), live.learn(model)
    live.client.post(f"{model}/rollback", json={"to": one, "reason": "mislabeled"})
    live.client.put(f"{model}/aliases/head", json={"version": two, "reason": "it was fine"})

    moves = live.client.get(f"{model}/aliases/head/history").json()["moves"]
    tail = live.client.get(f"{model}/aliases/head/history", params={"limit": 3}).json()

    assert [(move["kind"], move["previous"], move["version"], move["moved_by"]) for move in moves] == [
        ("create", None, 0, "service"),
        ("publish", 0, one, "worker"),
        ("publish", one, two, "worker"),
        ("rollback", two, one, "client"),
        ("put", one, two, "client"),
    ]
    assert [move["reason"] for move in moves[3:]] == ["mislabeled", "it was fine"]
    assert [move["moved_at"] for move in moves] == sorted(move["moved_at"] for move in moves)
    assert tail["moves"] == moves[:3]
    assert tail["next_cursor"] is not None


@pytest.mark.parametrize("at", ["0.5", "0", "1970-01-01T00:00:00.000001Z", "1969-12-31T23:59:59.5Z"])
def test_before_the_model_was_made_nothing_was_live(live: Live, model: str, at: str) -> None:
    answer = live.client.get(f"{model}/aliases/head", params={"at": at})

    assert (answer.status_code, answer.json()["code"]) == (404, "alias-not-found")
    assert "has no alias 'head' that pointed anywhere at 19" in answer.json()["detail"]


def test_a_moment_may_be_given_in_seconds(live: Live, model: str) -> None:
    (made,) = live.client.get(f"{model}/aliases/head/history").json()["moves"]
    seconds = datetime.fromisoformat(made["moved_at"]).timestamp()

    for at, status in ((seconds + 1, 200), (seconds - 1, 404)):
        assert live.client.get(f"{model}/aliases/head", params={"at": f"{at:.6f}"}).status_code == status


def test_a_rollback_answers_with_the_new_head(live: Live, model: str) -> None:
    one, two = live.learn(model), live.learn(model)

    answer = live.client.post(f"{model}/rollback", json={"to": one, "reason": "why not"}).json()

    assert (answer["head"], answer["previous"], answer["seq"], answer["reason"]) == (one, two, 4, "why not")
    assert live.client.get(model).json()["head"] == one


@pytest.mark.parametrize(
    "body", [{}, {"to": 0, "steps": 1}, {"steps": 0}, {"to": "1"}, {"to": -1}, {"steps": 1, "reason": "\0"}]
)
def test_a_rollback_names_its_target_in_one_way_and_its_reason_in_characters(
    live: Live, model: str, body: dict[str, object]
) -> None:
    answer = live.client.post(f"{model}/rollback", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "body-invalid")
