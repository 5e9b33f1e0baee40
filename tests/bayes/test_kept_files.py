"""Posterior files of every released format stay readable, and say what they said when they were written.

`python -m tests.bayes.kept_files` wrote them.
"""

from __future__ import annotations

import hashlib
import re

import pytest
import safetensors.torch
import torch

import bayes
from bayes.posterior import FORMAT
from tests.bayes.kept_files import FAMILIES, FOLDER, file_of, model_of

KEPT = sorted(FOLDER.glob("posterior-*.safetensors"))
WRITTEN = {
    "posterior-1-cfg": "7c2a8606aa46c3ace5fc7c8a103abd035505474f0808ef10cc6428201ab59f9e",
    "posterior-1-ffg": "3555b5c86143536829b3236ae9d466de307fa51e41602cda562dfff619cd2a50",
    "posterior-1-mnf": "e9aa3c2cee8c1bd16362f89bd6bfb487b887cf2968a1210fdb1242225b55f2ac",
    "posterior-1-point": "9d1ef7508e6e14decc17adc44572add5aa1572b4f08037e5bc87189927ecac46",
}
"""The sha256 of each, so that none is written anew by mistake."""
IMAGES = torch.arange(64, dtype=torch.uint8).reshape(4, 1, 4, 4) % 17
ANSWERED = {
    "posterior-1-cfg": [0.000119, 0.000423, 0.000049, 0.000074],
    "posterior-1-ffg": [0.320518, 0.338396, 0.513725, 0.137911],
    "posterior-1-mnf": [0.576238, 0.588801, 0.565832, 0.542376],
    "posterior-1-point": [0.002152, 0.003176, 0.048865, 0.192778],
}
"""The probabilities of the first class for these images, by the mean weights."""


def named(name: str) -> bayes.Posterior:
    return bayes.Posterior.from_bytes((FOLDER / f"{name}.safetensors").read_bytes())


def test_every_format_so_far_has_a_file_of_each_family() -> None:
    assert sorted(file_of(family, number) for family in FAMILIES for number in range(1, FORMAT + 1)) == KEPT
    assert WRITTEN.keys() == ANSWERED.keys() == {path.stem for path in KEPT}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_kept_file_is_the_one_that_was_written(name: str) -> None:
    assert hashlib.sha256((FOLDER / f"{name}.safetensors").read_bytes()).hexdigest() == WRITTEN[name]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_kept_file_is_read_as_what_it_is(name: str) -> None:
    posterior = named(name)
    family = re.fullmatch(r"posterior-\d+-(.+)", name)
    assert family is not None

    assert (posterior.family, posterior.chunks) == (family[1], 1)
    assert posterior.net == bayes.root(model_of(family[1])).net
    assert posterior.output == model_of(family[1]).output
    tensors = safetensors.torch.load((FOLDER / f"{name}.safetensors").read_bytes())
    assert all(torch.equal(posterior.tensors[tensor], value) for tensor, value in tensors.items())


@pytest.mark.parametrize("name", WRITTEN)
def test_a_kept_file_predicts_as_it_did(name: str) -> None:
    prediction = bayes.predict(named(name), IMAGES, method="mean")

    assert isinstance(prediction, bayes.CategoricalPrediction)
    assert prediction.probabilities[:, 0].tolist() == pytest.approx(ANSWERED[name], abs=1e-5)


@pytest.mark.parametrize("name", WRITTEN)
def test_an_update_goes_on_from_a_kept_file(name: str) -> None:
    prior = named(name)
    chunk = bayes.Chunk(inputs=IMAGES, labels=torch.tensor([0, 1, 2, 0]))

    posterior, report = bayes.absorb(prior, chunk, model_of(prior.family).recipe)

    assert posterior.chunks == 2
    assert report.steps > 0
