"""What the client does when the network or the service fails: it asks again only where that is safe."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from client import AsyncClient, Client, Fault, ServiceProblem, Unreachable
from client.wire import checked
from tests.client.line import URL, Line, X, Y, accepted, drop, problem, refuse


def test_an_ingest_answered_503_waits_as_told_and_keeps_its_key_and_body() -> None:
    busy = httpx.Response(503, headers={"Retry-After": "7"}, json={"code": "unavailable", "detail": "draining"})
    line = Line(lambda _: busy, accepted)

    with line.client() as client:
        stored = client.ingest("m", X, Y)

    assert line.slept == [7.0]
    assert line.keys() == [f'"{stored.key}"'] * 2
    assert line.asked[0].content == line.asked[1].content


def test_a_connection_dropped_after_the_batch_was_accepted_makes_one_batch() -> None:
    stored: dict[str, bytes] = {}

    def accept_and_drop(request: httpx.Request) -> httpx.Response:
        stored[request.headers["Idempotency-Key"]] = request.content
        return drop(request)

    def replay(request: httpx.Request) -> httpx.Response:
        assert stored[request.headers["Idempotency-Key"]] == request.content
        return accepted(request, **{"Idempotent-Replayed": "true"})

    line = Line(accept_and_drop, replay)

    with line.client() as client:
        answer = client.ingest("m", X, Y)

    assert len(stored) == 1
    assert answer.is_replay


def test_every_ingest_without_a_key_gets_one_of_its_own() -> None:
    line = Line(accepted, accepted)

    with line.client() as client:
        client.ingest("m", X, Y)
        client.ingest("m", X, Y)

    assert len(set(line.keys())) == 2


def test_the_asynchronous_client_keeps_the_key_over_retries_too() -> None:
    line = Line(drop, lambda _: httpx.Response(502, text="bad gateway"), accepted)

    async def ingest() -> str:
        async def sleep(seconds: float) -> None:
            line.slept.append(seconds)

        async with AsyncClient(URL, transport=httpx.MockTransport(line.answer), sleep=sleep) as client:
            return (await client.ingest("m", X, Y, key="mine")).key

    assert asyncio.run(ingest()) == "mine"
    assert line.keys() == ['"mine"'] * 3
    assert len(line.slept) == 2


def test_a_rollback_whose_answer_was_lost_is_not_sent_again() -> None:
    line = Line(drop)

    with line.client() as client, pytest.raises(Unreachable, match="may have been done"):
        client.rollback("m", to=1)

    assert len(line.asked) == 1


def test_a_refused_connection_is_tried_as_often_as_said_and_then_told() -> None:
    line = Line(refuse, refuse, refuse)

    with line.client(attempts_max=3) as client, pytest.raises(Unreachable, match="posterity serve"):
        client.models()

    assert len(line.asked) == 3


def test_a_service_busy_for_longer_than_a_minute_is_reported_at_once() -> None:
    line = Line(lambda _: httpx.Response(429, headers={"Retry-After": "61"}, json={"detail": "slow down"}))

    with line.client() as client, pytest.raises(ServiceProblem, match="slow down"):
        client.models()

    assert line.slept == []


def test_a_refused_batch_is_not_posted_again_and_says_what_is_wrong_where() -> None:
    errors = [{"where": "inputs", "message": "has shape [2, 3]"}]
    line = Line(lambda _: problem(422, "input-shape", "The inputs do not fit.", errors=errors))

    with line.client() as client, pytest.raises(ServiceProblem) as caught:
        client.ingest("m", X, Y)

    assert (caught.value.code, caught.value.status) == ("input-shape", 422)
    assert caught.value.errors == (Fault("inputs", "has shape [2, 3]"),)
    assert str(caught.value).startswith("The inputs do not fit. (input-shape); inputs: has shape [2, 3]. Next: ")
    assert len(line.asked) == 1


@pytest.mark.parametrize("told", ["30", "Mon, 23 Nov 2026 12:00:30 GMT"])
def test_retry_after_is_read_in_both_of_its_forms(told: str) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)

    with pytest.raises(ServiceProblem) as caught:
        checked(httpx.Response(503, headers={"Retry-After": told}), now=noon)

    assert caught.value.retry_after_seconds == timedelta(seconds=30).total_seconds()


def test_a_client_without_a_url_takes_that_of_the_environment_or_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTERITY_URL", raising=False)
    assert Client().url == "http://127.0.0.1:8000"
    monkeypatch.setenv("POSTERITY_URL", "https://posterity.example/")

    assert Client().url == AsyncClient().url == "https://posterity.example"
    assert Client("http://127.0.0.1:9").url == "http://127.0.0.1:9"
