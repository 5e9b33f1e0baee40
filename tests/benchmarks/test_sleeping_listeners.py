"""Listeners that sleep miss nothing, on each engine; and what one misses would be counted."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmarks.live.sleepers import Sleeper, waiting_bytes
from benchmarks.sleeping_listeners import BACKLOG, WRONG, claims, compared, measured

SECONDS = 5.0
LEDGER: list[dict[str, Any]] = [
    {"number": 1, "kind": "accepted", "at": 10.0, "batch": 1, "rows": 1},
    {"number": 2, "kind": "accepted", "at": 20.0, "batch": 2, "rows": 1},
    {"number": 3, "kind": "closed", "at": 30.0, "chunk": 1},
]
LATER = {"number": 4, "kind": "started", "at": 40.0, "update": 1}
"""Than what is compared."""
TOLD = [{**event, "at": "as it is told", "model": "heard"} for event in LEDGER]
SLEPT = {"heard": 3, "happened_asleep": 2, **dict.fromkeys(WRONG, 0)}
LISTENERS: dict[str, dict[str, int]] = {
    "gone": {**SLEPT, "connections": 2, "unread_bytes": 0},
    "cut": {**SLEPT, "connections": 2, "unread_bytes": 5},
    "kept": {**SLEPT, "connections": 1, "unread_bytes": 5},
}


def test_who_sleeps_hears_everything_once_and_in_order(database_url: str, tmp_path: Path) -> None:
    found = measured(tmp_path, database_url, seconds=SECONDS)

    [claim] = claims({"seconds": SECONDS, "engines": {"this": found}})
    assert claim.holds, found
    assert found["events"] > found["batches"] >= BACKLOG


@pytest.mark.parametrize(
    ("told", "posted", "wrong"),
    [
        (TOLD, [1, 2], {}),
        (TOLD[:2], [1, 2], {"missed": 1}),
        (TOLD[1:], [1, 2], {"missed": 1, "unheard_batches": 1}),
        ([*TOLD[:2], *TOLD[1:]], [1, 2], {"twice": 1}),
        ([TOLD[0], TOLD[2], TOLD[1]], [1, 2], {"disordered": 1}),
        ([TOLD[0], {**TOLD[1], "rows": 2}, TOLD[2]], [1, 2], {"altered": 1}),
        (TOLD, [1, 2, 3], {"unheard_batches": 1}),
    ],
)
def test_what_a_listener_was_not_told_as_it_happened_is_counted(
    told: list[dict[str, Any]], posted: list[int], wrong: dict[str, int]
) -> None:
    sleeper = Sleeper("heard", [1], leaves=True)
    sleeper.told, sleeper.slept = [*told, LATER], (15.0, 30.0)

    found = compared(sleeper, LEDGER, posted)

    assert {name: found[name] for name in WRONG} == dict.fromkeys(WRONG, 0) | wrong
    assert (found["heard"], found["happened_asleep"]) == (len(told), 2)


@pytest.mark.parametrize(
    ("listener", "fault"),
    [
        *(("kept", {name: 1}) for name in WRONG),
        ("gone", {"heard": 2}),
        ("gone", {"happened_asleep": 0}),
        ("gone", {"connections": 1}),
        ("cut", {"connections": 1}),
        ("kept", {"connections": 2}),
        ("kept", {"unread_bytes": 0}),
    ],
)
def test_the_claim_holds_only_where_each_slept_in_its_way_and_nothing_is_wrong(
    listener: str, fault: dict[str, int]
) -> None:
    def holds(listeners: dict[str, dict[str, int]]) -> bool | None:
        [claim] = claims({"seconds": 60.0, "engines": {"sqlite": {"events": 3, "listeners": listeners}}})
        return claim.holds

    assert holds(LISTENERS)
    assert not holds(LISTENERS | {listener: LISTENERS[listener] | fault})


def test_what_nobody_reads_is_seen_to_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as reader:
        ends = server.getsockname()[1], reader.getsockname()[1]
        writer, _ = server.accept()
        with writer:
            assert waiting_bytes(*ends) == 0
            writer.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    writer.send(bytes(2**16))

            assert waiting_bytes(*ends) > 0
            assert waiting_bytes(*ends[::-1]) == 0
