"""Listening from the client's side: over breaks, restarts and refusals, and on the command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import httpx
import pytest

from benchmarks.live.processes import running
from client import AsyncClient, Client, Event, ServiceProblem, Unreachable
from client.listening import PAUSE_SECONDS, Following
from tests.client.given import CHUNK_ROWS, description, empty_config, rows
from tests.client.line import URL, Handler, Line, drop, problem, refuse
from tests.client.test_cli import POSTERITY, run


def frame(number: int, kind: str = "published", **facts: object) -> str:
    data = {"model": "m", "number": number, "kind": kind, "at": "2026-11-23T10:00:00Z", **facts}
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


def streamed(*frames: str, broken: bool = False) -> Handler:
    def pieces() -> Iterator[bytes]:
        yield from (frame.encode() for frame in frames)
        if broken:
            raise httpx.ReadError("connection reset")

    return lambda _: httpx.Response(200, content=pieces(), headers={"Content-Type": "text/event-stream"})


def heard(line: Line, count: int, **how: object) -> list[Event]:
    with line.client() as client:
        events: Callable[..., object] = client.events
        return list(islice(events("m", **how), count))  # type: ignore[call-overload]


def asked(line: Line) -> list[str | None]:
    return [request.url.params.get("after") for request in line.asked]


def test_a_connection_that_breaks_is_made_anew_and_goes_on_behind_the_last_event() -> None:
    line = Line(streamed("retry: 1000\nid: 4\n\n", frame(5), frame(6), broken=True), streamed(frame(7)))

    assert [event.number for event in heard(line, 3)] == [5, 6, 7]
    assert asked(line) == [None, "6"]
    assert line.slept == [PAUSE_SECONDS]


def test_one_that_breaks_before_the_first_event_comes_back_to_where_it_began() -> None:
    line = Line(streamed("retry: 1000\nid: 4\n\n", ":\n\n", broken=True), streamed(frame(5)))

    heard(line, 1)

    assert asked(line) == [None, "4"]


def test_half_an_event_is_forgotten_with_its_connection() -> None:
    line = Line(streamed("id: 4\n\n", "id: 5\nevent: moved\n", broken=True), streamed(frame(5)))

    assert [event.number for event in heard(line, 1)] == [5]
    assert asked(line) == [None, "4"]


def test_events_have_their_facts_and_progress_has_no_number_and_moves_nothing() -> None:
    progress = 'event: progress\ndata: {"model": "m", "update": 3, "step": 1, "steps": 9, "elbo": null}\n\n'
    line = Line(streamed(frame(5, version=2), progress), streamed(frame(6)))

    published, running, _ = heard(line, 3, after=4, kinds=["published", "progress"])

    assert (published.kind, published.number, published.raw["version"]) == ("published", 5, 2)
    assert (running.kind, running.number, running.raw["step"]) == ("progress", None, 1)
    assert asked(line) == ["4", "5"]
    assert line.asked[0].url.params["kinds"] == "published,progress"


def test_a_service_that_is_away_for_a_while_is_waited_for() -> None:
    away = [refuse, drop, lambda _: problem(503, "unavailable", "away")] * 3
    line = Line(streamed(frame(5)), *away, streamed(frame(6)))

    assert [event.number for event in heard(line, 2)] == [5, 6]
    assert line.slept == sorted(line.slept)
    assert len(line.slept) == 10


def test_a_service_that_was_never_there_is_said_at_once() -> None:
    with pytest.raises(Unreachable, match="connection refused"):
        heard(Line(refuse), 1)


def test_patience_has_an_end() -> None:
    times = iter([0.0, 0.0, 0.0, 0.0, 9.0, 11.0]).__next__
    following = Following("m", patience_seconds=10.0, clock=times)
    for said in frame(5).split("\n")[:-1]:
        following.take(said)

    assert following.pause_seconds(httpx.ConnectError("away"), URL) == PAUSE_SECONDS
    with pytest.raises(Unreachable):
        following.pause_seconds(httpx.ConnectError("away"), URL)


def test_what_the_service_refuses_is_raised() -> None:
    with pytest.raises(ServiceProblem, match="model-not-found"):
        heard(Line(lambda _: problem(404, "model-not-found", "There is none.")), 1)
    with pytest.raises(ServiceProblem, match="key-invalid"):
        heard(Line(streamed(frame(5)), lambda _: problem(401, "key-invalid", "Revoked.")), 2)


def test_the_story_of_a_model_is_heard_over_a_restart_of_the_service(tmp_path: Path) -> None:
    own = {"POSTERITY_DATA_DIR": str(tmp_path), "POSTERITY_CONFIG": str(empty_config(tmp_path))}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    environment = kept | own | {"POSTERITY_THREADS": "1"}
    command = [sys.executable, "-m", "service", "--port", str(free_port())]
    x, y = rows(CHUNK_ROWS)
    with running(command, environment, log=tmp_path / "log") as server:
        client = Client(server.url)
        client.create_model(description("m"))
        events = client.events("m", after=0)
        kinds = [next(events).kind]
        client.ingest("m", x, y)
        client.settle("m")
        while kinds[-2:] not in (["published", "moved"], ["moved", "published"]):
            kinds.append(next(events).kind)
    with running(command, environment, log=tmp_path / "log-again"), client:
        client.rollback("m", to=0, reason="a drill")
        while (last := next(events)).kind == "progress":
            pass

    assert [kind for kind in kinds if kind != "progress"][:4] == ["moved", "accepted", "closed", "started"]
    assert (last.kind, last.raw["to"], last.raw["reason"]) == ("moved", 0, "a drill")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as line:
        return int(line.getsockname()[1])


def test_the_asynchronous_client_hears_the_same(url: str, model: str) -> None:
    async def hear() -> list[Event]:
        async with AsyncClient(url) as client:
            await client.ingest(model, *rows(1))
            events = client.events(model, after=0, kinds=["accepted", "moved"])
            found = [await anext(events), await anext(events)]
            await events.aclose()
            return found

    assert [event.kind for event in asyncio.run(hear())] == ["moved", "accepted"]


def test_webhooks_are_made_seen_and_removed(client: Client, model: str) -> None:
    made = client.create_webhook(model, "http://127.0.0.1:9/hook", kinds=["moved"])

    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    assert [one.url for one in client.webhooks(model)] == [made.url]
    assert client.webhook(model, made.webhook).kinds == ("moved",)
    client.remove_webhook(model, made.webhook)
    assert client.webhooks(model) == ()


def test_the_command_follows_until_it_is_interrupted(url: str, model: str) -> None:
    run(url, "ingest", model, "-", stdin=b"1,2,0\n")
    command = [*POSTERITY, "events", model, "--after", "0", "--url", url]
    for options, expected in (
        ((), "accepted   batch=1 rows=1"),
        (("--json", "--kinds", "accepted"), '"kind": "accepted"'),
    ):
        with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as shown:
            assert shown.stdout is not None
            while expected not in (line := shown.stdout.readline()):
                assert line
            shown.send_signal(signal.SIGINT)
            assert shown.wait(20) == 130


def test_a_model_that_is_not_there_is_one_line_and_exit_code_1(url: str) -> None:
    result = run(url, "events", "nobody")

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "model-not-found" in result.stderr
