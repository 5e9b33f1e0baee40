"""From Gaussian outputs to probabilities and entropies: points that stand for draws, beside very many draws."""

import pytest
import torch
from torch import Tensor

from bayes import Categorical, CategoricalPrediction, Gaussian
from bayes.moment_rules import Moment
from bayes.prediction import join
from bayes.reduction import LOGIT_DRAWS, logit_points, of_draws, of_moments, softmax
from tests.bayes.predictions import classes, numbers

ROWS, NUMBERS = 12, 2_000_000


def logits(units: int, spread: float, variance: float) -> Moment:
    """Rows of means so spread, and variances about this one."""
    stream = torch.Generator().manual_seed(17)
    mean = spread * torch.randn(ROWS, units, generator=stream, dtype=torch.float64)
    return Moment(mean, variance * (0.5 * torch.randn(ROWS, units, generator=stream, dtype=torch.float64)).exp())


def drawn(moment: Moment) -> CategoricalPrediction:
    """What very many draws say, row by row."""
    assert moment.variance is not None
    stream, answers = torch.Generator().manual_seed(5), []
    for mean, variance in zip(moment.mean, moment.variance, strict=True):
        noise = torch.randn(min(100_000, NUMBERS // len(mean)), len(mean), generator=stream, dtype=torch.float64)
        outputs = (mean + variance.sqrt() * noise).unsqueeze(0)
        answers.append(classes(of_draws(Categorical(len(mean)), {}, outputs, "ensemble")))
    return classes(join(answers))


def said(moment: Moment) -> CategoricalPrediction:
    return classes(of_moments(Categorical(moment.mean.shape[1]), {}, moment))


SIZES = [(1.0, 0.01), (3.0, 0.1), (3.0, 1.0), (3.0, 5.0), (5.0, 20.0)]


@pytest.mark.parametrize(("spread", "variance"), SIZES)
@pytest.mark.parametrize("units", [2, 10, 100])
def test_probabilities_and_information_are_near_what_very_many_draws_say(
    units: int, spread: float, variance: float
) -> None:
    moment = logits(units, spread, variance)

    few, many = said(moment), drawn(moment)

    off = (few.probabilities - many.probabilities).abs().amax(1)
    deviation = variance**0.5
    mean_most, most = {2: (0.006, 0.018), 10: (0.08, 0.14), 100: (0.01 * deviation, 0.02 * deviation)}[units]
    assert float(off.mean()) < min(mean_most, 0.04 * deviation)
    assert float(off.max()) < min(most, 0.06 * deviation)
    assert float(few.mutual_information.mean() / many.mutual_information.mean()) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize(("spread", "variance"), SIZES)
@pytest.mark.parametrize("units", [2, 3, 10, 100])
def test_entropy_is_that_of_the_probabilities_and_the_sum_of_its_parts(
    units: int, spread: float, variance: float
) -> None:
    prediction = said(logits(units, spread, variance))

    probabilities = prediction.probabilities
    torch.testing.assert_close(probabilities.sum(1), torch.ones(ROWS, dtype=torch.float64), rtol=1e-14, atol=0)
    torch.testing.assert_close(prediction.entropy, torch.special.entr(probabilities).sum(1), rtol=1e-13, atol=1e-15)
    total = prediction.aleatoric + prediction.mutual_information
    torch.testing.assert_close(prediction.entropy, total, rtol=1e-13, atol=1e-15)
    assert bool((prediction.mutual_information >= 0).all())
    assert prediction.method == "moments"


def test_what_all_logits_have_in_common_says_nothing() -> None:
    moment = logits(4, 3.0, 1.0)

    one, other = said(moment), said(Moment(moment.mean + 1000.0, moment.variance))

    torch.testing.assert_close(one.probabilities, other.probabilities, rtol=1e-9, atol=1e-12)


def test_a_doubtful_logit_does_not_lose_to_a_sure_one_below_it() -> None:
    moment = Moment(torch.tensor([[100.0, 99.0]]).double(), torch.tensor([[25.0, 0.0]]).double())

    prediction = said(moment)

    # A logit above another by 1 with deviation 5 is the greater one with probability Phi(1 / 5).
    assert float(prediction.probabilities[0, 0]) == pytest.approx(0.579, abs=0.02)


def test_sure_logits_give_their_softmax_and_no_mutual_information() -> None:
    mean = logits(10, 3.0, 1.0).mean

    for variance in (None, torch.zeros_like(mean)):
        prediction = said(Moment(mean, variance))

        torch.testing.assert_close(prediction.probabilities, mean.softmax(1), rtol=1e-13, atol=1e-16)
        assert float(prediction.mutual_information.max()) < 1e-14


def test_the_error_of_the_probabilities_vanishes_with_the_variance_and_not_with_the_deviation() -> None:
    moment = logits(10, 1.0, 1e-4)

    prediction = said(moment)

    assert moment.variance is not None
    p, v = moment.mean.softmax(1), moment.variance
    bend = v * (1 - 2 * p) + (v * (2 * p.square() - p)).sum(1, keepdim=True)
    torch.testing.assert_close(prediction.probabilities, p + p * bend / 2, rtol=0, atol=2e-5)


def test_two_classes_have_mackays_probability_of_their_difference() -> None:
    mean, variance = logits(2, 3.0, 2.0)
    assert variance is not None

    prediction = said(Moment(mean, variance))

    scale = (1 + torch.pi * variance.sum(1) / 8).sqrt()
    expected = torch.sigmoid((mean[:, 0] - mean[:, 1]) / scale)
    torch.testing.assert_close(prediction.probabilities[:, 0], expected, rtol=1e-13, atol=1e-16)


def test_logits_of_which_nothing_is_known_make_all_classes_equally_probable() -> None:
    nothing = Moment(torch.zeros(3, 10).double(), torch.full((3, 10), 1e6).double())

    prediction = said(nothing)

    torch.testing.assert_close(
        prediction.probabilities, torch.full((3, 10), 0.1, dtype=torch.float64), rtol=1e-14, atol=0
    )
    assert bool((prediction.mutual_information > 2.0).all())


@pytest.mark.parametrize("units", [1, 2, 10, 1000, 30_000])
def test_logit_points_have_mean_0_and_variance_1_in_every_dimension_for_ever(units: int) -> None:
    points = logit_points(units)

    assert points.shape == (LOGIT_DRAWS, units)
    torch.testing.assert_close(points.mean(0), torch.zeros(units, dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(points.square().mean(0), torch.ones(units, dtype=torch.float64))
    assert torch.equal(points, logit_points.__wrapped__(units))


def test_numbers_have_the_mean_and_the_variance_of_the_outputs_in_label_units() -> None:
    own = {"location": torch.tensor([50.0, -3.0]), "scale": torch.tensor([9.0, 0.5])}
    moment = Moment(torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[0.25, 4.0]]).double())

    prediction = numbers(of_moments(Gaussian(2, noise=3.0), own, moment))

    by_hand: dict[str, list[float]] = {
        "mean": [59.0, -2.0],
        "epistemic_std": [4.5, 1.0],
        "noise_std": [3.0, 3.0],
        "std": [(4.5**2 + 9) ** 0.5, 10**0.5],
    }
    for name, expected in by_hand.items():
        part: Tensor = vars(prediction)[name]
        torch.testing.assert_close(part, torch.tensor([expected]).double())


@pytest.mark.parametrize("shape", [(1, 3), (7, 5, 10), (3, 129)])
def test_the_softmax_is_torchs_to_the_rounding(shape: tuple[int, ...]) -> None:
    outputs = 30 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    torch.testing.assert_close(softmax(outputs), outputs.softmax(-1), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("nets", [1, 2, 3, 5, 16, 64])
@pytest.mark.parametrize("units", [1, 2, 3, 5, 8, 10, 17, 100])
def test_the_softmax_of_a_row_does_not_depend_on_the_others_to_the_bit(nets: int, units: int) -> None:
    outputs = 3 * torch.randn(23, nets, units, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alone = torch.cat([softmax(row) for row in torch.split(outputs, 1)])

    for count in range(1, 24):
        assert torch.equal(softmax(outputs[:count]), alone[:count])
