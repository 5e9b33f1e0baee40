"""Models whose rows can be told from each other, versions of them, and many callers at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np
import torch

import bayes
from tests.service.live import TINY, Json, Live

CALLERS = 32

TEN: Json = {"kind": "categorical", "classes": 10}
LENET: Json = TINY | {"net": {"kind": "lenet5"}, "input": {"shape": [1, 28, 28], "dtype": "uint8"}, "output": TEN}
MODELS: dict[str, Json] = {
    "lenet5": LENET,
    "lenet5 by cfg": LENET | {"family": "cfg"},
    "3conv3fc": TINY | {"net": {"kind": "3conv3fc"}, "input": {"shape": [3, 32, 32], "dtype": "uint8"}, "output": TEN},
    "an mlp of odd sizes": TINY | {"net": {"kind": "mlp", "hidden": [37, 5]}, "input": {"shape": [7]}},
    "numbers": TINY | {"net": {"kind": "mlp", "hidden": [13]}, "output": {"kind": "gaussian", "dims": 3, "noise": 0.5}},
}
WAYS: tuple[Json, ...] = (
    *({}, {}, {}, {"method": "moments"}, {"method": "mean"}, {"samples": 3}, {"samples": 3}),
    *({"samples": 3, "seed": 5}, {"method": "ensemble", "samples": 2}),
)


@dataclass(frozen=True)
class Asked:
    """A request for a prediction, by its path and body."""

    path: str
    body: bytes


def learned(described: Json, seed: int) -> bayes.Posterior:
    """A posterior of the model whose means are far from zero, as those of learned ones are; another with each seed."""
    root = bayes.root(bayes.Model.from_description(described))
    stream = torch.Generator().manual_seed(seed)

    def moved(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if not name.endswith(".mu"):
            return tensor
        scale = max(1, tensor[:1].numel()) ** -0.5
        return tensor.add(torch.randn(tensor.shape, generator=stream), alpha=scale)

    return replace(root, tensors={name: moved(name, tensor) for name, tensor in root.tensors.items()})


def with_versions(live: Live, described: Json, versions: int = 2) -> str:
    """A new model with so many versions beside its root, and an alias of the first."""
    model = live.create(described)
    for number in range(1, versions + 1):
        assert live.publish(model, learned(described, number)) == number
    live.client.put(f"{model}/aliases/review", json={"version": 1}).raise_for_status()
    return model


def inputs(described: Json, rows: int, chance: np.random.Generator) -> list[Any]:
    """So many rows for the model, like no others."""
    shape = (rows, *described["input"]["shape"])
    if described["input"].get("dtype") == "uint8":
        return list(chance.integers(0, 256, shape).tolist())
    return list(chance.standard_normal(shape).astype(np.float32).tolist())


def requests(model: str, described: Json, count: int, *, seed: int) -> list[Asked]:
    """Requests of 1 to 6 rows by mixed ways, to head, an alias and versions by their numbers; no two alike."""
    chance = np.random.default_rng(seed)
    paths = (
        "predictions",
        "predictions",
        "predictions?alias=review",
        "versions/1/predictions",
        "predictions?version=0",
    )
    found = []
    for _ in range(count):
        way, path = WAYS[chance.integers(len(WAYS))], paths[chance.integers(len(paths))]
        body = {"inputs": inputs(described, int(chance.integers(1, 7)), chance)} | way
        found.append(Asked(f"{model}/{path}", json.dumps(body).encode()))
    return found


def one_by_one(live: Live, asked: Sequence[Asked]) -> list[bytes]:
    """The answers to requests of which each is sent when the one before it is answered."""
    headers = {"Content-Type": "application/json"}
    return [_content(live.client.post(one.path, content=one.body, headers=headers)) for one in asked]


def at_once(live: Live, asked: Sequence[Asked]) -> list[bytes]:
    """The answers to the same requests by 32 callers, each of whom sends its next when it has an answer."""
    return asyncio.run(_at_once(str(live.client.base_url), asked))


async def _at_once(url: str, asked: Sequence[Asked]) -> list[bytes]:
    limits, answers = httpx.Limits(max_connections=CALLERS), [b""] * len(asked)
    async with httpx.AsyncClient(base_url=url, timeout=60.0, limits=limits) as client:

        async def caller(first: int) -> None:
            for index in range(first, len(asked), CALLERS):
                headers = {"Content-Type": "application/json"}
                answer = await client.post(asked[index].path, content=asked[index].body, headers=headers)
                answers[index] = _content(answer)

        await asyncio.gather(*map(caller, range(CALLERS)))
    return answers


def _content(answer: httpx.Response) -> bytes:
    assert answer.status_code == 200, answer.text
    return answer.content
