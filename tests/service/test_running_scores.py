"""A page of the metrics is cut out of the whole series to the last digit, though the series before it is not read."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import pytest

from bayes import Scores
from service import running_scores
from store.leases import Leases
from store.scoring import ScoreRow, Scoring
from store.values import Scored
from tests.service.live import Json, Live

WINDOWS = (1, 3, 1000)


def some(draws: random.Random, rows: int) -> Json | None:
    """Scores as they are kept; a few are infinite, and a few are none."""
    if draws.random() < 0.15:
        return None
    sums = {name: draws.gauss(0, 3) for name in ("excess", "excess_squares", "excess_variance", "brier")}
    bins = {"bin_rows": [rows] * 15, "bin_confidence": [draws.random() for _ in range(15)], "bin_correct": [1] * 15}
    nll = None if draws.random() < 0.02 else draws.expovariate(1)
    return {"kind": "categorical", "rows": rows, "nll": nll, "correct": draws.randint(0, rows)} | sums | bins


def learn(live: Live, model: str, draws: random.Random, *, batches: int) -> None:
    """So many batches come to be learned, with random scores by head."""
    for _ in range(batches):
        live.post_rows(model)
    live.close(model)
    leases = Leases(live.house.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)
    claim = leases.claim("worker")
    assert claim is not None
    told = [Scored(batch, some(draws, draws.randint(1, 9))) for batch in claim.batches]
    leases.publish(claim, digest=f"sha256:{'0' * 64}", kl_nats=0.0, report={}, scores=told)


def plain(rows: Iterable[ScoreRow]) -> Json | None:
    """The metrics of these rows, added up one after the other."""
    total: Scores | None = None
    for row in rows:
        if row.scores is not None:
            total = Scores.from_json(row.scores) if total is None else total + Scores.from_json(row.scores)
    return None if total is None else total.metrics()


def check(live: Live, model: str, *, after: int, limit: int, window: int, cursor: str | None) -> str | None:
    """The page is the plain computation over the whole series; the next cursor."""
    series = Scoring(live.house.engine).series(model.rpartition("/")[2], limit=10_000)
    query = {"window": window, "limit": limit} | ({} if cursor is None else {"cursor": cursor})
    found = live.client.get(f"{model}/metrics", params=query).json()

    shown = series[after : after + limit]
    assert [(one["batch"], one["version"]) for one in found["batches"]] == [(row.batch, row.version) for row in shown]
    assert found["metrics"] == plain(series)
    for index, one in enumerate(found["batches"], start=after + 1):
        scored = [row for row in series[:index] if row.scores is not None]
        assert one["metrics"] == plain(series[index - 1 : index])
        assert one["running"] == plain(scored)
        assert one["windowed"] == plain(scored[-window:])
    of_versions = {row.version: [other for other in series if other.version == row.version] for row in shown}
    assert [(one["version"], one["batches"], one["metrics"]) for one in found["versions"]] == [
        (version, len(of), plain(of)) for version, of in sorted(of_versions.items())
    ]
    return None if found["next_cursor"] is None else str(found["next_cursor"])


@pytest.mark.parametrize("seed", range(3))
def test_every_page_is_the_plain_computation_to_the_last_digit(
    live: Live, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(running_scores, "SPACING", 2)
    monkeypatch.setattr(running_scores, "SUMS_MAX", 5)
    draws, model = random.Random(seed), live.create()
    for _ in range(6):
        learn(live, model, draws, batches=draws.randint(1, 6))

        window, limit = draws.choice(WINDOWS), draws.randint(1, 7)
        cursor, after, pages = None, 0, 0
        while pages == 0 or cursor is not None:
            cursor = check(live, model, after=after, limit=limit, window=window, cursor=cursor)
            after, pages = after + limit, pages + 1
    assert pages == math.ceil(len(Scoring(live.house.engine).series(model.rpartition("/")[2])) / limit)


def test_the_models_asked_for_longest_ago_make_room_and_are_added_up_again(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_scores, "KEPT_MAX", 3)
    draws, models = random.Random(0), [live.create() for _ in range(3)]
    for model in models:
        learn(live, model, draws, batches=4)

    for model in models * 2:
        check(live, model, after=0, limit=3, window=2, cursor=None)

        assert len(live.house.running_scores._models) == 1


def test_a_page_reads_what_is_new_and_what_it_shows(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_scores, "SPACING", 10)
    draws, model, read = random.Random(0), live.create(), list[Json]()
    learn(live, model, draws, batches=40)
    first = live.client.get(f"{model}/metrics", params={"limit": 30}).json()
    from_json = Scores.from_json

    def reading(sums: Json) -> Scores:
        read.append(sums)
        return from_json(sums)

    monkeypatch.setattr(Scores, "from_json", staticmethod(reading))

    query = {"limit": 2, "window": 5, "cursor": first["next_cursor"]}
    second = live.client.get(f"{model}/metrics", params=query).json()

    assert [one["batch"] for one in second["batches"]] == [31, 32]
    assert 0 < len(read) <= 5 + 3
