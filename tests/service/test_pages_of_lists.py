"""Lists of what is numbered, read from anywhere: the newest are one request away."""

from __future__ import annotations

import pytest

from tests.service.expected import expect_problem
from tests.service.live import Live

LISTS = {
    "batches": ("batches", "batch", [3, 4]),
    "updates": ("updates", "update", [3, 4]),
    "versions": ("versions", "version", [3, 4]),
    "aliases/head/history": ("moves", "seq", [3, 4, 5]),
    "metrics": ("batches", "batch", [3, 4]),
    "branches": ("branches", "branch", []),
    "forgets": ("forgets", "forget", []),
    "parked": ("parked", "batch", []),
    "webhooks": ("webhooks", "webhook", []),
}


@pytest.fixture(scope="module")
def four(live: Live) -> str:
    """A model with four versions, each of its own batch."""
    model = live.create()
    for _ in range(4):
        live.post_rows(model)
        live.close(model)
        live.work()
    return model


@pytest.mark.parametrize("path", LISTS)
def test_a_list_begins_after_the_number_that_is_asked_for(live: Live, four: str, path: str) -> None:
    name, number, expected = LISTS[path]

    answer = live.client.get(f"{four}/{path}", params={"after": 2})

    assert answer.status_code == 200, answer.text
    assert [one[number] for one in answer.json()[name]] == expected
    assert answer.json()["next_cursor"] is None


def test_the_pages_behind_it_go_on_by_their_cursor(live: Live, four: str) -> None:
    first = live.client.get(f"{four}/versions", params={"after": 1, "limit": 2}).json()

    rest = live.client.get(f"{four}/versions", params={"cursor": first["next_cursor"]}).json()

    assert [one["version"] for one in first["versions"]] == [2, 3]
    assert [one["version"] for one in rest["versions"]] == [4]


def test_what_was_scored_before_the_place_is_in_the_running_scores(live: Live, four: str) -> None:
    every = live.client.get(f"{four}/metrics").json()["batches"]

    assert live.client.get(f"{four}/metrics", params={"after": 3}).json()["batches"] == every[3:]


@pytest.mark.parametrize("path", LISTS)
def test_after_the_end_there_is_nothing(live: Live, four: str, path: str) -> None:
    answer = live.client.get(f"{four}/{path}", params={"after": 10**9 - 1})

    assert (answer.status_code, answer.json()[LISTS[path][0]]) == (200, [])


def test_after_and_a_cursor_together_are_refused(live: Live, four: str) -> None:
    cursor = live.client.get(f"{four}/versions", params={"limit": 1}).json()["next_cursor"]

    expect_problem(live.client.get(f"{four}/versions", params={"after": 1, "cursor": cursor}), "query-invalid")


@pytest.mark.parametrize("after", ["-1", str(10**9), "two"])
def test_an_after_that_is_no_number_of_an_item_is_refused(live: Live, four: str, after: str) -> None:
    expect_problem(live.client.get(f"{four}/versions", params={"after": after}), "query-invalid")
