"""Weight draws beyond what memory is given for: refused, or drawn in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

import bayes
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, TINY, Live, running

SAFETENSORS = {"Content-Type": "application/x-safetensors"}


def test_more_draws_than_allowed_are_refused(narrow: Live) -> None:
    model = narrow.create()

    answers = [
        narrow.client.post(f"{model}/predictions", json=INPUTS | {"samples": 9}),
        narrow.client.post(f"{model}/predictions", json=INPUTS | {"samples": 8}),
        narrow.client.post(f"{model}/predictions", json=INPUTS | {"samples": 9, "method": "mean"}),
    ]

    assert [answer.status_code for answer in answers] == [422, 200, 200]
    assert answers[0].json()["code"] == "samples-too-many"


def test_draws_that_do_not_fit_in_memory_are_refused(tmp_path: Path) -> None:
    with running(tmp_path, loaded_bytes_max=4 * 21 * 10) as live:
        model = live.create()

        answers = [live.client.post(f"{model}/predictions", json=INPUTS | {"samples": n}) for n in (10, 11)]

    assert [answer.status_code for answer in answers] == [200, 422]
    assert "at most 10 at a time" in answers[1].json()["detail"]


def test_a_small_memory_never_makes_fewer_draws_in_silence(tmp_path: Path) -> None:
    with running(tmp_path, loaded_bytes_max=4 * 21 * 10) as live:
        model = live.create()

        answer = live.client.post(f"{model}/predictions?method=ensemble", json=INPUTS)

    assert expect_problem(answer, "samples-too-many")["detail"].startswith("16 draws")


def test_draws_of_a_graph_that_do_not_fit_in_memory_come_in_turn_and_answer_the_same(tmp_path: Path) -> None:
    described = TINY | {"net": {"kind": "torchvision", "name": "squeezenet1_1"}, "input": {"shape": [3, 32, 32]}}
    images = np.random.default_rng(1).standard_normal((2, 3, 32, 32)).astype(np.float32)
    with running(tmp_path, loaded_bytes_max=2 * 4 * 1_000_000) as live:
        model = live.create(described)
        answer = live.client.post(f"{model}/predictions?samples=4", content=save({"x": images}), headers=SAFETENSORS)

        posterior = bayes.Posterior.from_bytes(live.house.blobs.get(answer.json()["digest"]))

    held = bayes.draw(posterior, samples=4)
    expected = bayes.ask(held, torch.tensor(images))
    assert isinstance(expected, bayes.CategoricalPrediction)
    assert held.nbytes > 2 * 4 * 1_000_000
    assert [row["probabilities"] for row in answer.json()["outputs"]] == expected.probabilities.tolist()
