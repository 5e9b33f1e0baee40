"""`GET /metrics`: what it tells is exact, bounded, cheap for the database, and there also when the database is not."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from service.telemetry.meters import Meters
from service.telemetry.of_ledger import OfLedger
from store.standing import Overview, Standing
from tests.postgres import PostgresServer
from tests.service.expected import expect_problem
from tests.service.keyed import make_key
from tests.service.listening import eventually
from tests.service.live import INPUTS, REAL, Live, running
from tests.service.receiving import receiver
from tests.service.test_access import forget, lost


class Samples(dict[tuple[str, tuple[tuple[str, str], ...]], float]):
    """Values by name and labels."""


def at_once(live: Live) -> Samples:
    """What one scrape tells."""
    answer = live.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return samples(answer)


def scraped(live: Live) -> Samples:
    """What is told where the ledger answers in time, which it does not always on a busy machine."""
    found = Samples()

    def is_whole() -> bool:
        nonlocal found
        found = at_once(live)
        return found["posterity_ledger_up", ()] == 1

    eventually(is_whole)
    return found


def samples(answer: httpx.Response) -> Samples:
    families = text_string_to_metric_families(answer.text)
    told_of = (one for family in families for one in family.samples)
    return Samples({(one.name, tuple(sorted(one.labels.items()))): one.value for one in told_of})


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    with running(tmp_path) as live:
        yield live


def test_pending_rows_go_up_with_a_batch_and_back_to_zero_when_it_is_absorbed(own: Live) -> None:
    model = own.create()
    name = model.rpartition("/")[2]

    own.post_rows(model)
    waiting = scraped(own)
    own.close(model)
    own.work()
    live = once(own, lambda found: found.get(("posterity_head_version", (("model", name),))) == 1)

    assert value(waiting, "posterity_pending_rows", model=name) == 2
    assert value(waiting, "posterity_waiting_seconds", model=name) > 0
    assert value(live, "posterity_pending_rows", model=name) == 0
    assert value(live, "posterity_waiting_seconds", model=name) == 0
    assert value(live, "posterity_updates", model=name, state="published") == 1
    assert value(live, "posterity_lag_seconds", model=name) > 0
    report = own.client.get(f"{model}/versions/1").json()["report"]
    assert value(live, "posterity_update_seconds", model=name) == pytest.approx(report["seconds_in_all"])
    pace = report["steps"] / report["seconds"]
    assert value(live, "posterity_update_steps_per_second", model=name) == pytest.approx(pace)


def once(live: Live, holds: Callable[[Samples], bool]) -> Samples:
    """What is told as soon as this holds: a look at the ledger is kept for a second."""
    found = Samples()

    def is_so() -> bool:
        nonlocal found
        found = at_once(live)
        return holds(found)

    eventually(is_so)
    return found


def test_what_is_said_online_is_what_the_models_own_metrics_say(own: Live) -> None:
    classes, numbers = own.create(), own.create(REAL)
    for seed in range(3):
        own.post_rows(classes, {"inputs": [[seed, 2], [3, seed]], "labels": [seed, 2]})
        own.post_rows(numbers, {"inputs": [[seed, 2], [3, seed]], "labels": [[seed, 1], [2, seed]]})
        own.close(classes), own.close(numbers)
        own.work()

    found = scraped(own)

    for model, scores in ((classes, ("accuracy", "nll")), (numbers, ("rmse", "nll"))):
        name, metrics = model.rpartition("/")[2], own.client.get(f"{model}/metrics").json()
        for score in scores:
            told = f"posterity_online_{score}{'_nats' if score == 'nll' else ''}"
            assert value(found, told, model=name) == pytest.approx(metrics["metrics"][score], rel=1e-6)
        assert value(found, "posterity_online_rows", model=name) == metrics["rows"] == 6


def test_requests_are_counted_under_the_pattern_of_their_call(own: Live) -> None:
    model = own.create()
    own.learn(model)
    # The first is the router's, as the model is not known yet; the second is the shortcut's.
    for _ in range(2):
        assert own.client.post(f"{model}/predictions", json=INPUTS).status_code == 200
    own.client.post(f"{model}/predictions", json={"inputs": "none"})
    own.client.head("/livez")

    found = scraped(own)

    route = "/v1/models/{model}/predictions"
    assert value(found, "posterity_requests_total", method="POST", route=route, status="200") == 2
    assert value(found, "posterity_requests_total", method="POST", route=route, status="422") == 1
    assert value(found, "posterity_request_seconds_count", method="POST", route=route) == 3
    assert value(found, "posterity_requests_total", method="GET", route="/livez", status="200") == 1
    assert value(found, "posterity_predictions_together_count") == 2
    assert value(found, "posterity_batch_rows_sum") == 2


def test_a_replay_is_no_new_batch(own: Live) -> None:
    model = own.create()
    for _ in range(2):
        own.post_rows(model, key="the same")

    found = scraped(own)

    assert value(found, "posterity_batch_rows_count") == 1
    assert value(found, "posterity_batches_total", model=model.rpartition("/")[2]) == 1


def test_a_thousand_paths_and_methods_that_are_no_call_add_no_more_series_than_one(own: Live) -> None:
    def nonsense(number: int) -> None:
        own.client.get(f"/nowhere/{number}")
        own.client.get(f"/v1/models/none-{number}/versions/{number}")
        own.client.request(f"ODD{number % 40}", f"/v1/models/{number}")
        own.client.get("/livez", headers={"Host": f"host-{number}.example"})

    nonsense(0)
    scraped(own)
    before = scraped(own)

    for number in range(1, 250):
        nonsense(number)

    assert scraped(own).keys() == before.keys()


def test_no_series_says_when_it_was_created(own: Live) -> None:
    own.create()

    assert not [name for name, _ in scraped(own) if name.endswith("_created")]


def test_openmetrics_is_answered_to_whoever_accepts_it(own: Live) -> None:
    own.learn(own.create())

    answer = own.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in open_metrics(answer.text)}  # type: ignore[no-untyped-call]
    assert {"posterity_requests", "posterity_pending_rows", "posterity_loaded_hits", "process_cpu_seconds"} <= names
    assert own.client.get("/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_metrics_of_all_models_need_a_key_for_all_models(tmp_path: Path) -> None:
    with running(tmp_path) as live:
        any_scope = make_key(live, "prometheus", "predict")
        of_some = make_key(live, "some", "admin", models="mine*")

        assert live.client.get("/metrics", headers=any_scope).status_code == 200
        expect_problem(live.client.get("/metrics"), "key-missing")
        expect_problem(live.client.get("/metrics", headers=of_some), "key-not-allowed")


def test_versions_in_memory_are_counted_as_they_come_and_go(tmp_path: Path) -> None:
    # One version of this model takes 204 bytes.
    with running(tmp_path, loaded_bytes_max=300) as live:
        model = live.create()
        for _ in range(2):
            live.learn(model)
        for version in (1, 1, 2, 1):
            answer = live.client.post(f"{model}/versions/{version}/predictions", json=INPUTS)
            assert answer.status_code == 200
        found = scraped(live)

    hits, misses = (value(found, f"posterity_loaded_{name}_total") for name in ("hits", "misses"))
    assert misses >= 3
    assert hits >= 1
    assert value(found, "posterity_loaded_evictions_total") == misses - 1
    assert value(found, "posterity_loaded_versions") == 1
    assert value(found, "posterity_loaded_bytes") <= value(found, "posterity_loaded_limit_bytes") == 300


def test_deliveries_to_webhooks_are_counted_by_how_they_ended(own: Live) -> None:
    counted = own.house.meters.registry.get_sample_value

    def deliveries(outcome: str) -> float | None:
        return counted("posterity_webhook_deliveries_total", {"outcome": outcome})

    with receiver(200, 500) as there:
        model = own.create()
        own.client.post(f"{model}/webhooks", json={"url": there.url}).raise_for_status()
        own.post_rows(model)
        own.post_rows(model)
        eventually(lambda: deliveries("failed") == 1)

    assert deliveries("taken") == 1
    labels = (("model", model.rpartition("/")[2]),)
    found = once(own, lambda found: found.get(("posterity_webhooks_failing", labels)) == 1)
    assert found["posterity_webhook_waiting_events", labels] == 1


def test_scrapes_that_come_together_ask_the_ledger_once(own: Live) -> None:
    own.create()
    asked: list[str] = []
    event.listen(own.house.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))

    for _ in range(20):
        scraped(own)

    # However slow the machine is: not by every scrape.
    assert len([one for one in asked if "count(*)" in one and "FROM models" in one]) < 10


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def told(of_ledger: OfLedger) -> Samples:
    told_of = (one for family in of_ledger.collect() for one in family.samples)
    return Samples({(one.name, tuple(sorted(one.labels.items()))): one.value for one in told_of})


def test_a_look_at_the_ledger_is_kept_for_a_second() -> None:
    clock, looks = Clock(), list[int]()

    def read() -> Overview:
        looks.append(1)
        return Overview(len(looks), 0.0, [])

    of_ledger = OfLedger(read, clock=clock)

    first, again = told(of_ledger), told(of_ledger)
    clock.seconds += 1.0
    later = told(of_ledger)

    assert [value(one, "posterity_models") for one in (first, again, later)] == [1, 1, 2]


def test_a_ledger_that_does_not_answer_in_time_is_told_and_asked_by_one_thread_only() -> None:
    answers, asked = threading.Event(), list[int]()

    def read() -> Overview:
        asked.append(1)
        assert answers.wait(60)
        return Overview(7, 0.0, [Standing("late")])

    of_ledger = OfLedger(read, patience_seconds=0.05)

    out = [told(of_ledger) for _ in range(3)]
    answers.set()
    of_ledger.close()
    back = told(of_ledger)

    assert [one["posterity_ledger_up", ()] for one in out] == [0, 0, 0]
    assert not [name for name, _ in out[0] if name.startswith("posterity_pending")]
    assert len(asked) == 1
    assert (value(back, "posterity_ledger_up"), value(back, "posterity_models")) == (1, 7)


def test_a_scrape_during_an_outage_of_the_ledger_tells_all_the_rest(
    tmp_path: Path, postgres: PostgresServer, migrated: str
) -> None:
    url = postgres.create_database(template=migrated)
    with running(tmp_path, database_url=url) as live:
        live.create()
        assert value(scraped(live), "posterity_ledger_up") == 1

        postgres.drop_database(url)
        found = once(live, lambda found: value(found, "posterity_ledger_up") == 0)

    route = "/v1/models"
    assert value(found, "posterity_requests_total", method="POST", route=route, status="201") == 1
    assert not [labels for _, labels in found if "model" in dict(labels)]


def test_where_nobody_can_tell_whether_there_are_keys_nothing_of_models_is_told(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.create()
    assert [labels for _, labels in scraped(own) if "model" in dict(labels)]

    monkeypatch.setattr(own.house.keys, "in_force", lost)
    forget(own)

    found = at_once(own)
    assert value(found, "posterity_ledger_up") == 0
    assert not [labels for _, labels in found if "model" in dict(labels)]


def test_a_surprise_beyond_all_bounds_is_infinite() -> None:
    standing = Standing("digits", surprises=[(1.5, False), (None, True)])

    found = told(OfLedger(lambda: Overview(1, 0.0, [standing])))

    assert value(found, "posterity_surprise_z", model="digits") == math.inf
    assert value(found, "posterity_surprising_batches", model="digits") == 1


def test_services_of_one_process_count_each_for_themselves() -> None:
    one, other = Meters(), Meters()

    one.answered("GET", "/livez", 200, 0.01)

    labels = {"method": "GET", "route": "/livez", "status": "200"}
    assert one.registry.get_sample_value("posterity_requests_total", labels) == 1.0
    assert other.registry.get_sample_value("posterity_requests_total", labels) is None


def test_only_so_many_models_have_metrics_of_their_own(tmp_path: Path) -> None:
    with running(tmp_path, metrics_models_max=2) as live:
        names = [live.create().rpartition("/")[2] for _ in range(4)]
        found = scraped(live)

    assert value(found, "posterity_models") == 4
    assert {dict(labels)["model"] for name, labels in found if name == "posterity_pending_rows"} == set(names[:2])


def test_a_query_parameter_is_refused(own: Live) -> None:
    expect_problem(own.client.get("/metrics?name[]=x"), "query-invalid")
