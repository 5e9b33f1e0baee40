"""Layers so large that their second moments are not held: they say the same, in less memory."""

import sys
from math import prod

import pytest
import torch
from torch import Tensor

from bayes import Model, Moments, Posterior, ask, ready, root
from bayes.moments import propagate
from tests.bayes.predictions import is_same

MOMENTS = sys.modules["bayes.moments"]
UNITS = 30


@pytest.fixture(params=["ffg", "cfg"])
def posterior(request: pytest.FixtureRequest) -> Posterior:
    """Two layers of 600 and 900 weights, and a small last one."""
    described = {
        "family": request.param,
        "net": {"kind": "mlp", "hidden": [UNITS, UNITS]},
        "input": {"shape": [20]},
        "output": {"kind": "categorical", "classes": 3},
    }
    prior = root(Model.from_description(described))
    stream = torch.Generator().manual_seed(1)
    tensors = {
        name: torch.rand(tensor.shape, generator=stream) - (2.5 if "sigma" in name else 0.5)
        for name, tensor in prior.tensors.items()
    }
    return Posterior(prior.family, prior.net, prior.input, prior.output, tensors, chunks=1)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MOMENTS, "LARGE_WEIGHTS_MIN", 600)
    monkeypatch.setattr(MOMENTS, "SQUARES_AT_ONCE", 7 * UNITS)


def rows(count: int = 6) -> Tensor:
    return torch.randn(count, 20, generator=torch.Generator().manual_seed(2))


def copied(posterior: Posterior) -> Posterior:
    tensors = {name: tensor.clone() for name, tensor in posterior.tensors.items()}
    return Posterior(posterior.family, posterior.net, posterior.input, posterior.output, tensors, posterior.chunks)


def made(posterior: Posterior, *, consume: bool = False) -> Moments:
    using = ready(posterior, method="moments", consume=consume)
    assert isinstance(using, Moments)
    return using


def test_the_outputs_have_the_same_moments(posterior: Posterior, request: pytest.FixtureRequest) -> None:
    expected = propagate(made(posterior), rows())
    request.getfixturevalue("large")

    for by_row in (False, True):
        found = propagate(made(posterior), rows(), by_row=by_row)

        torch.testing.assert_close(found.mean, expected.mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.variance, expected.variance, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("large")
def test_a_row_gets_the_bytes_that_it_gets_alone(posterior: Posterior) -> None:
    using = made(posterior)

    together = propagate(using, rows(), by_row=True)

    for index, row in enumerate(torch.split(rows(), 1)):
        alone = propagate(using, row, by_row=True)
        assert torch.equal(alone.mean[0], together.mean[index])
        assert alone.variance is not None
        assert together.variance is not None
        assert torch.equal(alone.variance[0], together.variance[index])


@pytest.mark.usefixtures("large")
def test_no_more_memory_is_held_than_by_the_posterior(posterior: Posterior) -> None:
    using = made(posterior)

    for name in ("dense1", "dense2"):
        variance = using.layers[name].variance
        assert variance is not None
        assert variance.numel() == prod(posterior.tensors[f"{name}.weight.mu"].shape)
    # But for the last, small layer's second moments.
    assert using.nbytes == posterior.nbytes + 4 * 3 * UNITS


@pytest.mark.usefixtures("large")
def test_a_posterior_that_is_consumed_gives_its_memory_and_the_same_answers(posterior: Posterior) -> None:
    digest, own = posterior.digest, copied(posterior)
    sigmas = own.tensors["dense2.weight.log_sigma"]

    kept, using = made(posterior), made(own, consume=True)

    variance = using.layers["dense2"].variance
    assert variance is not None
    assert variance.data_ptr() == sigmas.data_ptr()
    assert is_same(ask(using, rows()), ask(kept, rows()))
    assert copied(posterior).digest == digest
