"""Waiting for an update, and for a model to settle."""

from __future__ import annotations

import re

import pytest

from client import RowsLeftPending, UpdateUnpublished, WaitTimedOut
from tests.client.line import Json, Line, answered, batch, model, update


def test_waiting_shows_every_look_and_ends_with_the_version() -> None:
    looks = [update("queued"), update("running"), update("published", version=4)]
    line = Line(*answered(*looks))
    seen: list[str] = []

    with line.client() as client:
        done = client.wait("m", 3, progress=lambda one: seen.append(one.state), poll_seconds=0.5)

    assert done.version == 4
    assert seen == ["queued", "running", "published"]
    assert line.slept == [0.5, 0.5]


def test_waiting_for_a_failed_update_raises_with_the_services_reason() -> None:
    reason = "Update 3 of model m failed: The loss is not finite."
    failed = update("failed", error={"code": "update-diverged", "message": "The loss is not finite."})

    with Line(*answered(failed)).client() as client, pytest.raises(UpdateUnpublished, match=re.escape(reason)):
        client.wait("m", 3)


def test_waiting_stops_when_its_time_is_over_and_cancels_nothing() -> None:
    line = Line(*answered(*[update("running")] * 3))
    clock = iter([0.0, 1.0, 2.0, 3.0]).__next__

    with line.client() as client, pytest.raises(WaitTimedOut, match="still running"):
        client.wait("m", 3, timeout_seconds=2.0, clock=clock)

    assert [request.method for request in line.asked] == ["GET", "GET"]


def test_settling_refuses_to_wait_for_rows_that_nothing_will_close() -> None:
    line = Line(*answered(model()))

    with line.client() as client, pytest.raises(RowsLeftPending, match="2 rows of model m stay pending"):
        client.settle("m")


def test_settling_waits_for_rows_that_time_will_close() -> None:
    timed = model(chunk={"rows": 10, "seconds": 5.0})
    settled = model(chunk={"rows": 10, "seconds": 5.0}, pending={"batches": 0, "rows": 0}, updates={"published": 1})
    line = Line(*answered(timed, settled))

    with line.client() as client:
        assert client.settle("m").pending.rows == 0


def test_waiting_for_a_batch_says_once_that_its_chunk_waits_to_be_closed() -> None:
    timed = model(chunk={"rows": 10, "seconds": 5.0})
    listed: Json = {"updates": [update("published")], "next_cursor": None}
    looks = [batch("k"), timed, batch("k"), timed, batch("k", chunk=2), listed, update("published", version=4)]
    line = Line(*answered(*looks))
    seen: list[int] = []

    with line.client() as client:
        done = client.wait("m", batch=1, left_pending=lambda one: seen.append(one.pending.rows))

    assert (done.version, seen) == (4, [2])


def test_waiting_for_a_batch_that_fills_its_chunk_says_nothing() -> None:
    full = model(chunk={"rows": 2, "seconds": 5.0})
    listed: Json = {"updates": [update("published")], "next_cursor": None}
    line = Line(*answered(batch("k"), full, batch("k", chunk=2), listed, update("published", version=4)))
    seen: list[int] = []

    with line.client() as client:
        client.wait("m", batch=1, left_pending=lambda one: seen.append(one.pending.rows))

    assert seen == []
