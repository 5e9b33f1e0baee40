"""Weights of a regression bring the units of their labels along, and old rows weigh by the noise that was learned."""

import pytest
import safetensors.torch
import torch
from torch import Tensor

from bayes import (
    Chunk,
    GaussianPrediction,
    InvalidDescription,
    Model,
    Posterior,
    Pretrained,
    absorb,
    predict,
    root,
    weights_of,
)
from bayes.laplace import log_sigma_after
from bayes.likelihoods import log_noise
from bayes.outputs import Gaussian

FEATURES = 3


def described(noise: float | None = None, **prior: object) -> Model:
    return Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": []},
            "input": {"shape": [FEATURES]},
            "output": {"kind": "gaussian", "dims": 1, "noise": noise},
            "prior": prior or {"kind": "gaussian"},
            "recipe": {"beta": 1.0, "epochs": 5},
        }
    )


def rows(count: int = 60, *, location: float = 100.0, scale: float = 7.0) -> Chunk:
    stream = torch.Generator().manual_seed(count)
    x = torch.randn((count, FEATURES), generator=stream)
    noise = 0.1 * torch.randn((count, 1), generator=stream)
    return Chunk(x, location + scale * (x.sum(1, keepdim=True) + noise))


@pytest.fixture(scope="module")
def parent() -> Posterior:
    model = described()
    return absorb(root(model), rows(), model.recipe)[0]


def given(parent: Posterior, **prior: object) -> tuple[Model, Pretrained]:
    pretrained = Pretrained.of(weights_of(parent))
    return described(None, kind="weights", sigma=1e-6, **pretrained.digests, **prior), pretrained


def test_a_kept_head_predicts_in_the_label_units_it_was_learned_in(parent: Posterior) -> None:
    x = rows(9).inputs

    prior = root(*given(parent))

    torch.testing.assert_close(means(prior, x), means(parent, x))


def test_these_units_stay_whatever_the_labels_of_the_first_chunk(parent: Posterior) -> None:
    model, pretrained = given(parent)

    posterior, _ = absorb(root(model, pretrained), rows(20, location=-5.0, scale=0.1), model.recipe)

    for key in ("output.location", "output.scale"):
        assert torch.equal(posterior.tensors[key], parent.tensors[key])


def test_a_fresh_head_takes_its_units_from_the_first_chunk(parent: Posterior) -> None:
    model, pretrained = given(parent, head="fresh")
    first = rows(20, location=-5.0, scale=0.1)

    posterior, _ = absorb(root(model, pretrained), first, model.recipe)

    torch.testing.assert_close(posterior.tensors["output.location"], first.labels.mean(0))


def test_old_rows_weigh_by_the_noise_that_was_learned_with_the_weights(parent: Posterior) -> None:
    pretrained = Pretrained.of(weights_of(parent), rows().inputs)
    model = described(None, kind="laplace", **pretrained.digests)

    prior = root(model, pretrained)

    noise = log_noise(Gaussian(1), parent.layer("output")).exp() / parent.tensors["output.scale"]
    information = (rows().inputs.double().square() / noise.double().square()).sum(0)
    vague = torch.full((1, FEATURES), 2 / FEATURES**0.5).log()
    expected = log_sigma_after(information.unsqueeze(0), vague, 1.0)
    assert float(noise) < 0.95
    torch.testing.assert_close(prior.tensors["dense1.weight.log_sigma"], expected)


def test_a_batch_is_measured_on_evenly_spaced_rows_that_count(parent: Posterior) -> None:
    some, others = rows(512).inputs, 9 * rows(8).inputs
    unread = {"x": torch.cat([others, some]), "weights": torch.cat([torch.zeros(8), torch.ones(512)])}

    widths = []
    for batch in ({"x": some}, {"x": some.repeat_interleave(3, 0)}, unread):
        pretrained = Pretrained(Pretrained.of(weights_of(parent)).weights, safetensors.torch.save(batch))
        prior = root(described(None, kind="laplace", rows=10, **pretrained.digests), pretrained)
        widths.append(prior.tensors["dense1.weight.log_sigma"])

    torch.testing.assert_close(widths[1], widths[0])
    torch.testing.assert_close(widths[2], widths[0])


def test_a_scale_that_is_none_is_refused(parent: Posterior) -> None:
    pretrained = Pretrained.of({**weights_of(parent), "output.scale": torch.zeros(1)})

    with pytest.raises(InvalidDescription, match="not above 0"):
        root(described(None, kind="weights", sigma=1.0, **pretrained.digests), pretrained)


def means(posterior: Posterior, x: Tensor) -> Tensor:
    prediction = predict(posterior, x, method="mean")
    assert isinstance(prediction, GaussianPrediction)
    return prediction.mean
