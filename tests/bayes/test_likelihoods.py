import pytest
import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Normal

from bayes import Categorical, Chunk, Gaussian
from bayes.likelihoods import nll, root, start

OUTPUTS = torch.tensor([[0.5, -1.0], [2.0, 0.0], [0.0, 0.0]], dtype=torch.float64)


def test_the_categorical_nll_is_that_of_torch_distributions() -> None:
    labels = torch.tensor([1, 0, 1])

    rows = nll(Categorical(2), {}, OUTPUTS, labels)

    expected = -TorchCategorical(logits=OUTPUTS).log_prob(labels)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(rows, expected)


@pytest.mark.parametrize("noise", [0.5, None])
def test_the_gaussian_nll_is_that_of_torch_distributions_in_label_units(noise: float | None) -> None:
    labels = torch.tensor([[150.0, -1.0], [90.0, 0.5], [120.0, 0.0]], dtype=torch.float64)
    own = {
        "location": torch.tensor([100.0, 0.0], dtype=torch.float64),
        "scale": torch.tensor([40.0, 2.0], dtype=torch.float64),
        "log_noise.mu": torch.tensor([-0.3, 0.2], dtype=torch.float64),
        "log_noise.log_sigma": torch.full((2,), -torch.inf, dtype=torch.float64),
    }
    sigma = own["scale"] * own["log_noise.mu"].exp() if noise is None else torch.tensor(noise, dtype=torch.float64)

    rows = nll(Gaussian(2, noise), own, OUTPUTS, labels)

    mean = own["location"] + own["scale"] * OUTPUTS
    expected = -Normal(mean, sigma).log_prob(labels).sum(1)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(rows, expected)


def test_the_first_chunk_gives_location_and_scale_of_its_weighted_labels() -> None:
    output = Gaussian(1)
    rows = torch.tensor([[0.0], [4.0], [4.0], [100.0]])
    chunk = Chunk(torch.zeros(4, 1), rows, torch.tensor([1.0, 0.5, 0.5, 0.0]))

    own = start(output, root(output), chunk)

    assert (float(own["location"]), float(own["scale"])) == (2.0, 2.0)


def test_labels_that_do_not_vary_keep_the_scale_one() -> None:
    output = Gaussian(1, noise=1.0)

    own = start(output, root(output), Chunk(torch.zeros(3, 1), torch.full((3, 1), 0.1)))

    assert float(own["scale"]) == 1.0
