"""Which version an alias pointed at, asked of any moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from tests.service.live import Live


def test_what_was_live_is_answered_for_the_moment_of_each_move_and_between(live: Live, model: str) -> None:
    live.learn(model)
    live.learn(model)
    live.client.post(f"{model}/rollback", json={"to": 1, "reason": "worse"})
    moves = live.client.get(f"{model}/aliases/head/history").json()["moves"]

    for before, move in pairwise(moves):
        moved_at = datetime.fromisoformat(move["moved_at"])
        for moment, version in ((moved_at, move["version"]), (moved_at - timedelta(milliseconds=1), before["version"])):
            answer = live.client.get(f"{model}/aliases/head", params={"at": moment.isoformat()})
            assert (answer.status_code, answer.json()["version"]) == (200, version)

    now = live.client.get(f"{model}/aliases/head", params={"at": "2999-01-01T00:00:00Z"}).json()
    assert (now["version"], now["reason"]) == (1, "worse")


def test_before_its_first_move_and_after_its_removal_an_alias_was_nowhere(live: Live, model: str) -> None:
    live.client.put(f"{model}/aliases/champion", json={"version": 0})
    live.client.delete(f"{model}/aliases/champion")

    for moment in ("2001-01-01T00:00:00Z", "2999-01-01T00:00:00+02:00"):
        answer = live.client.get(f"{model}/aliases/champion", params={"at": moment})
        assert (answer.status_code, answer.json()["code"]) == (404, "alias-not-found")
        assert "that pointed anywhere at 2" in answer.json()["detail"]
    never = live.client.get(f"{model}/aliases/never", params={"at": "2999-01-01T00:00:00Z"}).json()
    assert never["detail"].endswith("has no alias 'never'.")


def test_a_moment_without_a_zone_is_refused(live: Live, model: str) -> None:
    answer = live.client.get(f"{model}/aliases/head", params={"at": "2026-11-28T12:00:00"})

    assert (answer.status_code, answer.json()["code"]) == (422, "query-invalid")
