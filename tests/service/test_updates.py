"""Updates over HTTP: asked for, followed, cancelled, replayed."""

from __future__ import annotations

from store.leases import Leases
from store.values import Progress
from tests.service.live import Live


def test_pending_rows_become_a_chunk_on_demand(live: Live, model: str) -> None:
    live.post_rows(model)

    answer = live.client.post(f"{model}/updates")

    update = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{model}/updates/1"
    assert update == live.client.get(answer.headers["Location"]).json()
    assert (update["state"], update["chunk"], update["rows"], update["batches"]) == ("queued", 1, 2, [1])
    assert update["prior"] is update["version"] is update["progress"] is update["error"] is None
    live.client.delete(answer.headers["Location"])


def test_a_published_update_tells_its_version_and_its_report(live: Live, model: str) -> None:
    version = live.learn(model)

    update = live.client.get(f"{model}/updates/1").json()

    assert (update["state"], update["prior"], update["version"], update["attempt"]) == ("published", 0, version, 1)
    assert update["report"]["steps"] == 1
    assert update["warnings"] == update["report"]["warnings"]
    assert update["created_at"] <= update["started_at"] <= update["finished_at"]


def test_a_running_update_shows_its_progress_and_a_failed_one_its_error(live: Live, model: str) -> None:
    live.learn(live.create())
    live.post_rows(model)
    path = f"{model}/updates/{live.close(model)}"
    leases = Leases(live.house.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)
    claim = leases.claim("test")
    assert claim is not None

    leases.renew(claim, Progress(step=3, steps=7, elbo=-1.5))
    running = live.client.get(path).json()
    leases.fail(claim, code="update-diverged", message="The loss is not finite.")
    failed = live.client.get(path).json()

    assert (running["state"], running["progress"]) == ("running", {"step": 3, "steps": 7, "elbo": -1.5})
    assert failed["state"] == "failed"
    assert failed["error"] == {"code": "update-diverged", "message": "The loss is not finite."}


def test_a_cancelled_update_can_be_replayed_and_its_rows_are_learned_once(live: Live, model: str) -> None:
    live.post_rows(model)
    path = f"{model}/updates/{live.close(model)}"

    cancelled = live.client.delete(path)
    replayed = live.client.post(f"{model}/replays", json={"chunks": [1]})

    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert replayed.status_code == 202
    assert [(update["update"], update["chunk"]) for update in replayed.json()["updates"]] == [(2, 1)]
    live.client.delete(f"{model}/updates/2").raise_for_status()


def test_updates_are_listed_in_pages(live: Live, model: str) -> None:
    for _ in range(3):
        live.learn(model)

    first = live.client.get(f"{model}/updates", params={"limit": 2}).json()
    rest = live.client.get(f"{model}/updates", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [update["update"] for update in first["updates"] + rest["updates"]] == [1, 2, 3]
    assert (len(first["updates"]), rest["next_cursor"]) == (2, None)
