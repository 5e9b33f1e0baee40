"""Real data, learned chunk by chunk with the automatic recipe."""

import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor

from bayes import CategoricalPrediction, Chunk, Model, Posterior, absorb, accuracy, predict, root, score
from bayes.objective import Batch
from tests.bayes.conjugate import Belief, exact


def learn(model: Model, inputs: Tensor, labels: Tensor, chunk_rows: int) -> list[Posterior]:
    """The versions after each chunk."""
    versions = [root(model)]
    for rows in torch.split(torch.arange(len(inputs)), chunk_rows):
        versions.append(absorb(versions[-1], Chunk(inputs[rows], labels[rows]), model.recipe)[0])
    return versions[1:]


def test_digits_are_learned_chunk_by_chunk_and_noise_is_met_with_more_doubt() -> None:
    images, digits = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    inputs, labels = torch.tensor(images, dtype=torch.uint8)[order], torch.tensor(digits)[order]
    model = Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": [64]},
            "input": {"shape": [64], "dtype": "uint8", "std": 16},
            "output": {"kind": "categorical", "classes": 10},
            "chunk": {"rows": 150},
        }
    )

    versions = learn(model, inputs[:900], labels[:900], 150)

    held_out = [predict(version, inputs[900:]) for version in (versions[0], versions[-1])]
    noise = predict(versions[-1], torch.randint(0, 17, (300, 64), generator=torch.Generator().manual_seed(1)).byte())
    first, last = held_out
    assert isinstance(first, CategoricalPrediction)
    assert isinstance(last, CategoricalPrediction)
    assert isinstance(noise, CategoricalPrediction)
    assert accuracy(last.probabilities, labels[900:]) > 0.92
    assert accuracy(last.probabilities, labels[900:]) > accuracy(first.probabilities, labels[900:])
    assert float(noise.entropy.mean()) > float(last.entropy.mean())


def test_a_regression_in_raw_label_units_leaves_much_less_than_the_labels_spread() -> None:
    loaded = load_diabetes()
    order = torch.randperm(442, generator=torch.Generator().manual_seed(0))
    inputs = torch.tensor(loaded.data, dtype=torch.float32)[order]
    labels = torch.tensor(loaded.target, dtype=torch.float32).unsqueeze(1)[order]
    model = Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": [32]},
            "input": {"shape": [10], "dtype": "float32", "std": 0.0476},
            "output": {"kind": "gaussian"},
            "chunk": {"rows": 100},
        }
    )

    versions = learn(model, inputs[:300], labels[:300], 100)

    scores = score(predict(versions[-1], inputs[300:]), labels[300:])
    assert scores["rmse"] < 0.9 * float(labels[300:].std())


@pytest.mark.parametrize("beta", [1.0, 0.2])
def test_an_update_of_a_linear_model_comes_close_to_the_exact_posterior(beta: float) -> None:
    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    design = torch.kron(two, torch.kron(two, two))[:, 1:4].repeat(4, 1)
    labels = torch.randn(32, 1, generator=torch.Generator().manual_seed(0)) + design[:, :1]
    model = Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": []},
            "input": {"shape": [3], "dtype": "float32"},
            "output": {"kind": "gaussian", "noise": 0.9},
            "prior": {"kind": "gaussian", "sigma": 0.5},
            "recipe": {"epochs": 600, "batch_rows": 32, "beta": beta, "lr": 0.01, "log_sigma_start": -3.0},
        }
    )

    (posterior,) = learn(model, design, labels, 32)

    own = posterior.layer("output")
    standardized = (labels - own["location"]).double() / own["scale"]
    rows = Batch(design.double(), standardized, torch.ones(32, dtype=torch.float64))
    flat = torch.zeros(4, dtype=torch.float64)
    best = exact(Belief(flat, flat + 0.5), rows, beta, 0.9 / float(own["scale"]))
    layer = posterior.layer("dense1")
    mu = torch.cat([layer["weight.mu"][0], layer["bias.mu"]]).double()
    sigma = torch.cat([layer["weight.log_sigma"][0], layer["bias.log_sigma"]]).exp().double()
    assert bool(((mu - best.mu).abs() < 0.2 * best.sigma).all())
    torch.testing.assert_close(sigma, best.sigma, rtol=0.1, atol=0.0)
