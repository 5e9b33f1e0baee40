from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import rollback_under_load
from benchmarks.rollback_under_load import NEW, OLD, Move, Seen, ask, claims, counted, is_stale, watch
from tests.benchmarks.served import MODEL, SMALL, serving

IMAGES = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2)
MOVES = [Move(OLD, 1.0, 2.0), Move(NEW, 5.0, 6.0)]


def test_no_client_sees_an_error_or_a_mix_or_an_old_version_after_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback_under_load, "PAUSE_SECONDS", (0.02, 0.05))
    with serving(tmp_path) as (live, server, client):
        client.create_model(SMALL)
        for _ in range(2):
            live.learn(MODEL, {"inputs": IMAGES.tolist(), "labels": [0, 1, 2]})

        found = counted(asyncio.run(watch(server.port, IMAGES, moves=6, clients=4)))

    assert (found["errors"], found["mixed"], found["stale"], found["rollbacks"]) == (0, 0, 0, 3)
    assert found["answers"] > 20


@pytest.mark.parametrize(("known", "fault"), [({}, "mixed"), (None, "errors")])
def test_a_wrong_answer_is_counted(tmp_path: Path, known: dict[int, Any] | None, fault: str) -> None:
    with serving(tmp_path) as (_, server, client):
        if known is not None:
            client.create_model(SMALL)
        seen = Seen()

        async def some() -> None:
            over = asyncio.Event()
            asking = asyncio.create_task(ask(server.port, b'{"inputs": [[[[1, 2], [3, 4]]]]}', {}, seen, over=over))
            await asyncio.sleep(0.2)
            over.set()
            await asking

        asyncio.run(some())

    assert seen.faults.keys() == {fault}


@pytest.mark.parametrize(
    ("began", "ended", "version", "expected"),
    [
        (0.5, 0.9, NEW, False),  # Before any move.
        (0.5, 1.5, NEW, False),  # The move was on its way.
        (1.5, 1.9, OLD, False),
        (1.5, 3.0, NEW, False),  # Asked for before the move was answered.
        (2.5, 3.0, OLD, False),
        (2.5, 3.0, NEW, True),  # Asked for after it, and answered by what head had left.
        (2.5, 5.5, NEW, False),  # Head was on its way back.
        (6.5, 7.0, OLD, True),
        (6.5, 7.0, NEW, False),
    ],
)
def test_an_answer_is_stale_if_head_had_left_its_version(
    began: float, ended: float, version: int, expected: bool
) -> None:
    assert is_stale(began, ended, version, MOVES) is expected


def test_the_claim_holds_only_without_any_fault() -> None:
    answers = [(0.5, 0.9, NEW), (2.5, 3.0, OLD), (6.5, 7.0, NEW)]
    good = {"clients": 4, **counted(Seen(MOVES, answers))}

    assert good["first_new_answer_ms"]["median"] == 2000.0
    assert [claim.holds for claim in claims(good)] == [True]
    for fault in ("errors", "mixed", "stale"):
        assert [claim.holds for claim in claims({**good, fault: 1})] == [False]
