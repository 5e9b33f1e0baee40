"""A thread that has never computed gives the same bytes as one that has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch

from bayes import Model, Posterior, ask, ready, root

CLASSES = {"kind": "categorical", "classes": 3}
ROWS = torch.randn(7, 7, generator=torch.Generator().manual_seed(3))


@pytest.fixture(autouse=True)
def one_thread_each() -> Iterator[None]:
    """Fewer than there are cores, which is what a new thread begins with."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def posterior(described: dict[str, Any]) -> Posterior:
    return root(Model.from_description(described | {"recipe": {"epochs": 1}, "chunk": {"rows": 9, "seconds": None}}))


def odd(family: str) -> Posterior:
    net = {"kind": "mlp", "hidden": [37, 5]}
    return posterior({"net": net, "input": {"shape": [7]}, "output": CLASSES, "family": family})


def in_a_new_thread(compute: Callable[[], bytes]) -> bytes:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(compute).result()


@pytest.mark.parametrize("rows", range(1, 8))
@pytest.mark.parametrize("how", [{"method": "moments"}, {"method": "mean"}, {"samples": 3}], ids=str)
def test_the_first_prediction_of_a_thread_has_the_bytes_of_its_later_ones(how: dict[str, Any], rows: int) -> None:
    using = ready(odd("ffg"), **how)

    def compute() -> bytes:
        said = vars(ask(using, ROWS[:rows]))
        return b"".join(part.numpy().tobytes() for part in said.values() if isinstance(part, torch.Tensor))

    assert {in_a_new_thread(compute) for _ in range(3)} == {compute()}


@pytest.mark.parametrize("family", ["ffg", "cfg", "mnf"])
def test_what_a_new_thread_makes_ready_says_what_others_say(family: str) -> None:
    net = {"kind": "layers", "layers": [{"kind": "conv", "filters": 37, "kernel": 3}, {"kind": "flatten"}]}
    described = {"net": net, "input": {"shape": [3, 7, 7]}, "output": CLASSES, "family": family}
    of, rows = posterior(described), torch.randn(3, 3, 7, 7, generator=torch.Generator().manual_seed(4))

    def compute(samples: int) -> bytes:
        said = vars(ask(ready(of, samples=samples), rows))
        return b"".join(part.numpy().tobytes() for part in said.values() if isinstance(part, torch.Tensor))

    for samples in (1, 3, 6):
        assert in_a_new_thread(partial(compute, samples)) == compute(samples)
