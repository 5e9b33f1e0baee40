"""Events over HTTP: told as they happen, and again from any number on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service import feeds, hub, listener
from service.told import Told, told
from store.events import EventRow
from store.kinds import EventKind
from tests.postgres import PostgresServer
from tests.service.expected import expect_problem
from tests.service.keyed import make_key
from tests.service.listening import eventually, happen, listening
from tests.service.live import Live, running
from tests.service.wire import connections, head, in_time, line_to, rest_of

ENDLESS_SECONDS = 10.0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    with running(tmp_path) as live:
        yield live


def test_an_event_is_told_with_its_number_its_kind_and_its_facts(live: Live, model: str) -> None:
    with listening(live, model) as heard:
        [number] = happen(live.house.engine, model, 1)
        eventually(lambda: heard.events)

    name = model.rpartition("/")[2]
    facts = {"model": name, "number": number, "kind": "published", "at": "1970-01-01T00:00:01.500000Z", "version": 0}
    assert heard.events == [(str(number), "published", facts)]


def test_without_a_number_only_what_happens_from_now_on_is_told_and_the_number_to_come_back_with(
    live: Live, model: str
) -> None:
    numbers = happen(live.house.engine, model, 3)

    with listening(live, model) as heard:
        assert heard.last_id == str(numbers[-1])
        more = happen(live.house.engine, model, 2)
        eventually(lambda: len(heard.events) == 2)

    assert heard.numbers() == more


@pytest.mark.parametrize("behind", [1, 3, feeds.HELD_MAX + 50])
def test_who_comes_back_with_the_last_id_misses_nothing(live: Live, model: str, behind: int) -> None:
    numbers = happen(live.house.engine, model, behind + 1)

    with listening(live, model, headers={"Last-Event-ID": str(numbers[0])}) as heard:
        more = happen(live.house.engine, model, 2)
        eventually(lambda: len(heard.numbers()) >= behind + 2)

    assert heard.numbers() == numbers[1:] + more


def test_the_header_comes_before_the_query_as_a_browser_repeats_its_url(live: Live, model: str) -> None:
    numbers = happen(live.house.engine, model, 5)

    with listening(live, model, "?after=0", {"Last-Event-ID": str(numbers[3])}) as heard:
        eventually(lambda: heard.events)

    assert heard.numbers() == numbers[4:]


def test_only_the_kinds_asked_for_are_told_and_the_last_id_goes_on_all_the_same(
    live: Live, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "BEAT_SECONDS", 0.5)
    with listening(live, model, "?kinds=moved,failed") as heard:
        happen(live.house.engine, model, 2, EventKind.ACCEPTED)
        [moved] = happen(live.house.engine, model, 1, EventKind.MOVED)
        [last] = happen(live.house.engine, model, 1, EventKind.ACCEPTED)
        eventually(lambda: heard.last_id == str(last))

    assert heard.numbers() == [moved]


def test_who_wants_few_kinds_of_many_events_has_no_others_read(
    live: Live, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[str]()

    def counted(model: str, row: EventRow) -> Told:
        read.append(row.kind)
        return told(model, row)

    monkeypatch.setattr(hub, "told", counted)
    many = feeds.HELD_MAX + 50
    wanted = []
    for _ in range(3):
        happen(live.house.engine, model, many, EventKind.ACCEPTED)
        wanted += happen(live.house.engine, model, 1, EventKind.FAILED)
    happen(live.house.engine, model, many, EventKind.ACCEPTED)

    with listening(live, model, "?after=0&kinds=failed,progress") as heard:
        eventually(lambda: len(heard.events) == 3)
        wanted += happen(live.house.engine, model, 1, EventKind.FAILED)
        eventually(lambda: len(heard.events) == 4)

    assert heard.numbers() == wanted
    assert read == ["failed"] * 3


def test_who_wants_a_kind_that_is_not_among_many_events_is_told_where_it_is(
    live: Live, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "BEAT_SECONDS", 0.5)
    *_, last = happen(live.house.engine, model, feeds.HELD_MAX + 50, EventKind.ACCEPTED)

    with listening(live, model, "?after=0&kinds=progress") as heard:
        eventually(lambda: heard.last_id == str(last))

    assert heard.events == []


def test_a_listener_that_is_told_nothing_hears_that_the_connection_is_well(
    live: Live, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "BEAT_SECONDS", 0.5)

    with listening(live, model) as heard:
        eventually(lambda: heard.comments >= 2)

    assert heard.events == []


@pytest.mark.parametrize("word", ["x", "-1", "1.5", "", "9" * 10, "\uff11"])
def test_what_is_no_number_is_refused_before_the_stream(live: Live, model: str, word: str) -> None:
    answer = live.client.get(f"{model}/events", headers={b"Last-Event-ID": word.encode()})

    expect_problem(answer, "query-invalid")


@pytest.mark.parametrize("query", ["?after=x", "?after=-1", "?kinds=", "?kinds=moved,", "?kinds=nothing", "?what=1"])
def test_a_query_that_says_nothing_is_refused_before_the_stream(live: Live, model: str, query: str) -> None:
    expect_problem(live.client.get(f"{model}/events{query}"), "query-invalid")


def test_a_number_that_is_not_there_yet_is_refused_as_the_ledger_may_be_an_older_one(live: Live, model: str) -> None:
    [newest] = happen(live.house.engine, model, 1)

    for path in ("events", "events/history"):
        problem = expect_problem(live.client.get(f"{model}/{path}?after={newest + 1}"), "query-invalid")
        assert f"There is no event {newest + 1} yet; the newest of the model is {newest}" in problem["detail"]

    assert live.client.get(f"{model}/events/history?after={newest}").json()["events"] == []
    assert live.client.get(f"{model}/events/history?after={newest - 1}&kinds=forgotten").json()["events"] == []


def test_nobody_listens_to_a_model_that_is_not_there(live: Live) -> None:
    expect_problem(live.client.get("/v1/models/nobody/events"), "model-not-found")
    expect_problem(live.client.get("/v1/models/nobody/events/history"), "model-not-found")


def test_head_has_an_end(live: Live, model: str) -> None:
    with line_to(live) as line:
        line.sendall(head("HEAD", f"{model}/events", "Connection: close"))
        said = rest_of(line)

    assert said.startswith(b"HTTP/1.1 200")
    assert b"text/event-stream" in said
    assert said.endswith(b"\r\n\r\n")


def test_a_listener_that_reads_nothing_while_thousands_of_events_pile_up_gets_them_all(own: Live) -> None:
    model = own.create()
    with line_to(own, receive_bytes=4096) as line:
        line.sendall(head("GET", f"{model}/events?after=0"))
        eventually(lambda: own.house.hub.count == 1)
        for _ in range(20):
            numbers = happen(own.house.engine, model, 500)
        time.sleep(1.0)  # It is what the listener does.
        said = b""
        while f"id: {numbers[-1]}\n".encode() not in said:
            said += line.recv(65536)

    told = [int(word.split()[1]) for word in said.split(b"\n") if word.startswith(b"id: ")]
    assert told == list(range(numbers[-1] + 1))


def test_a_service_that_stops_ends_the_streams_at_once(own: Live) -> None:
    model = own.create()
    with listening(own, model) as heard, line_to(own, receive_bytes=4096) as deaf:
        deaf.sendall(head("GET", f"{model}/events?after=0"))
        happen(own.house.engine, model, 20_000)
        eventually(lambda: own.house.hub.count == 2)
        time.sleep(0.5)  # What it does not take has filled what lies between.

        told = time.monotonic()
        own.server.should_exit = True
        eventually(lambda: heard.is_over)
        assert in_time(lambda: not own.server.server_state.connections)
        assert time.monotonic() - told < ENDLESS_SECONDS


def test_another_service_on_the_same_ledger_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        model = first.create()
        with listening(first, model) as heard:
            before = happen(first.house.engine, model, 3)
            eventually(lambda: len(heard.events) == 3)
        meanwhile = happen(first.house.engine, model, 4)
    comes_back = {"Last-Event-ID": heard.last_id or ""}
    with running(tmp_path) as second, listening(second, model, headers=comes_back) as later:
        after = happen(second.house.engine, model, 2)
        eventually(lambda: len(later.events) >= 6)

    assert heard.numbers() + later.numbers() == before + meanwhile + after


def test_two_services_on_one_ledger_tell_the_same(tmp_path: Path, postgres: PostgresServer, migrated: str) -> None:
    url = postgres.create_database(template=migrated)
    with running(tmp_path / "a", database_url=url) as one, running(tmp_path / "b", database_url=url) as other:
        model = one.create()
        with listening(one, model) as heard, listening(other, model) as heard_too:
            numbers = happen(one.house.engine, model, 3) + happen(other.house.engine, model, 3)
            eventually(lambda: len(heard.events) == len(heard_too.events) == 6)

    assert heard.events == heard_too.events
    assert heard.numbers() == numbers


def test_after_an_outage_of_the_database_the_same_connection_is_told_what_happened(
    tmp_path: Path, postgres: PostgresServer, migrated: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path, database_url=postgres.create_database(template=migrated)) as live:
        model = live.create()
        with listening(live, model) as heard:
            with postgres.away():
                eventually(lambda: "events are not told until the database answers" in caplog.text)
            numbers = happen(live.house.engine, model, 2)
            eventually(lambda: len(heard.events) >= 2)

    assert heard.numbers() == numbers
    assert caplog.text.count("events are not told until the database answers") == 1


def test_who_hangs_up_is_forgotten_and_nothing_is_looked_at_any_more(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own.create()
    looks: list[float] = []
    look = feeds.Lookout.look

    def looking(self: feeds.Lookout) -> None:
        looks.append(time.monotonic())
        look(self)

    monkeypatch.setattr(feeds.Lookout, "look", looking)
    with listening(own, model):
        eventually(lambda: looks)

    eventually(lambda: own.house.hub.count == 0)
    assert in_time(lambda: connections(own) == 0)
    time.sleep(2 * feeds.STOP_SECONDS)
    seen = len(looks)
    happen(own.house.engine, model, 1)
    time.sleep(2 * feeds.LOOK_SECONDS)
    assert len(looks) == seen


def test_one_listener_too_many_is_refused_and_another_has_its_place_later(tmp_path: Path) -> None:
    with running(tmp_path, listeners_max=2) as live:
        model = live.create()
        with listening(live, model), listening(live, model):
            answer = live.client.get(f"{model}/events")
            expect_problem(answer, "overloaded")
            assert answer.headers["Retry-After"] == "1"
        eventually(lambda: live.house.hub.count == 0)
        with listening(live, model) as heard:
            numbers = happen(live.house.engine, model, 1)
            eventually(lambda: heard.events)

    assert heard.numbers() == numbers


def test_a_key_that_is_revoked_or_expires_hears_nothing_more(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "BEAT_SECONDS", 0.3)
    model = own.create()
    with listening(own, model) as open_to_all:
        kept = make_key(own, "kept", "predict")
        revoked = make_key(own, "revoked", "predict")
        with listening(own, model, headers=kept) as stays, listening(own, model, headers=revoked) as goes:
            own.house.keys.revoke("revoked")
            short = make_key(own, "short", "predict", expires_at=time.time() + 1.5)
            with listening(own, model, headers=short) as expires:
                eventually(lambda: goes.is_over and open_to_all.is_over and expires.is_over)
            numbers = happen(own.house.engine, model, 1)
            eventually(lambda: stays.numbers() == numbers)
            assert not stays.is_over


def test_the_newest_progress_is_told_on_connection_and_as_it_changes_without_a_number(own: Live) -> None:
    from store.leases import Leases  # noqa: PLC0415
    from store.values import Progress  # noqa: PLC0415

    model = own.create()
    own.post_rows(model)
    own.close(model)
    leases = Leases(own.house.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)
    claim = leases.claim("test")
    assert claim is not None
    leases.renew(claim, Progress(step=1, steps=9, elbo=-2.5))
    with listening(own, model) as heard:
        begun = heard.last_id
        eventually(lambda: [event for event in heard.events if event[1] == "progress"])
        leases.renew(claim, Progress(step=5, steps=9, elbo=float("nan")))
        eventually(lambda: len([event for event in heard.events if event[1] == "progress"]) == 2)

    shown = [event for event in heard.events if event[1] == "progress"]
    facts = {"model": model.rpartition("/")[2], "update": 1, "steps": 9}
    assert shown == [
        (None, "progress", facts | {"step": 1, "elbo": -2.5}),
        (None, "progress", facts | {"step": 5, "elbo": None}),
    ]
    assert heard.last_id == begun


def test_many_listeners_are_told_in_turn_and_each_hears_everything(own: Live) -> None:
    model, many = own.create(), 60
    url = str(own.client.base_url.join(f"{model}/events"))
    heard: list[list[str]] = [[] for _ in range(many)]

    def hear(place: int) -> None:
        with httpx.stream("GET", url, timeout=30.0) as answer:
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    heard[place].append(line)
                if len(heard[place]) == 30:
                    return

    listeners = [threading.Thread(target=hear, args=(place,)) for place in range(many)]
    for thread in listeners:
        thread.start()
    eventually(lambda: own.house.hub.count == many)
    for _ in range(10):
        happen(own.house.engine, model, 3)
    for thread in listeners:
        thread.join(30.0)

    assert heard == [["event: published"] * 30] * many
    eventually(lambda: own.house.hub.count == 0)


def test_what_happened_is_listed_page_by_page_from_any_number_on_and_by_kind(live: Live, model: str) -> None:
    first = happen(live.house.engine, model, 3)
    [moved] = happen(live.house.engine, model, 1, EventKind.MOVED)

    page = live.client.get(f"{model}/events/history?limit=2&after={first[0]}").json()
    rest = live.client.get(f"{model}/events/history", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    chosen = live.client.get(f"{model}/events/history?kinds=moved,progress&after={first[0]}").json()

    assert [event["number"] for event in page["events"] + rest["events"]] == [*first[1:], moved]
    assert page["events"][0]["version"] == 1
    assert rest["next_cursor"] is None
    assert [event["number"] for event in chosen["events"]] == [moved]
    both = live.client.get(f"{model}/events/history?after=1", params={"cursor": page["next_cursor"], "after": 1})
    expect_problem(both, "query-invalid")
