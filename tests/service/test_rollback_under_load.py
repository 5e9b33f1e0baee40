"""Head moves while 32 callers predict: no error, no answer of two versions, and none of the old one afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.service.crowd import CALLERS, MODELS, inputs, one_by_one, with_versions
from tests.service.crowd import Asked as Request
from tests.service.live import Json, Live, running

DESCRIBED = MODELS["an mlp of odd sizes"]
VERSIONS = 3
TURNS = 4
ANSWERS_BETWEEN = 2 * CALLERS
WAYS: tuple[Json, ...] = ({}, {}, {"samples": 2}, {"method": "mean"})


@pytest.fixture
def replicas(tmp_path: Path, database_url: str) -> Iterator[tuple[Live, Live]]:
    """Two services on one ledger and one store."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(running(tmp_path, database_url=database_url)) for _ in range(2))
        yield one, other


@dataclass
class Moves:
    """Where head was told to point: moves that were begun, and how many of them were answered."""

    begun: list[int]
    done: int = 1
    answers: int = 0
    progress: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False

    def possible_since(self, done: int) -> set[int]:
        """Where head may have pointed at any time since so many moves were answered."""
        return set(self.begun[done - 1 :])

    def answered(self) -> None:
        self.answers += 1
        self.progress.set()

    async def wait_for_answers(self) -> None:
        until = self.answers + ANSWERS_BETWEEN
        while self.answers < until:
            self.progress.clear()
            await self.progress.wait()


def test_a_rollback_under_load_loses_no_request_and_no_later_answer_is_of_the_old_head(
    replicas: tuple[Live, Live],
) -> None:
    model = with_versions(replicas[0], DESCRIBED, VERSIONS)
    chance = np.random.default_rng(1)
    bodies = [
        json.dumps({"inputs": inputs(DESCRIBED, 1 + caller % 6, chance)} | WAYS[caller % len(WAYS)]).encode()
        for caller in range(CALLERS)
    ]
    expected = [
        one_by_one(replicas[0], [Request(f"{model}/versions/{version}/predictions", body) for body in bodies])
        for version in range(VERSIONS + 1)
    ]

    moves = asyncio.run(under_load(replicas, model, bodies, expected))

    assert moves.done == 1 + 3 * TURNS
    assert moves.answers >= 3 * TURNS * ANSWERS_BETWEEN


async def under_load(
    replicas: tuple[Live, Live], model: str, bodies: list[bytes], expected: list[list[bytes]]
) -> Moves:
    moves, limits = Moves([VERSIONS]), httpx.Limits(max_connections=None)
    one, other = (
        httpx.AsyncClient(base_url=str(live.client.base_url), timeout=60.0, limits=limits) for live in replicas
    )

    async def caller(number: int) -> None:
        client = (one, other)[number // 2 % 2]
        while not moves.is_over:
            done = moves.done
            headers = {"Content-Type": "application/json"}
            answer = await client.post(f"{model}/predictions", content=bodies[number], headers=headers)
            assert answer.status_code == 200, answer.text
            version = answer.json()["version"]
            assert version in moves.possible_since(done)
            assert answer.content == expected[version][number]
            moves.answered()

    async def mover() -> None:
        for turn in range(TURNS):
            client = (one, other)[turn % 2]
            for version in (2, 1, VERSIONS):
                await moves.wait_for_answers()
                moves.begun.append(version)
                if version == VERSIONS:
                    answer = await client.put(f"{model}/aliases/head", json={"version": version})
                else:
                    answer = await client.post(f"{model}/rollback", json={"to": version})
                assert answer.status_code == 200, answer.text
                moves.done += 1
        await moves.wait_for_answers()
        moves.is_over = True

    async with one, other, asyncio.TaskGroup() as tasks:
        tasks.create_task(mover())
        for number in range(CALLERS):
            tasks.create_task(caller(number))
    return moves
