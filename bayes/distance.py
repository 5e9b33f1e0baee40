"""How far two predictions of the same rows are from each other."""

from typing import assert_never

import torch
from torch import Tensor

from bayes.calibration import entropy
from bayes.errors import InvalidInputs
from bayes.prediction import CategoricalPrediction, GaussianPrediction, Prediction


def distance(one: Prediction, other: Prediction) -> Tensor:
    r"""The distance of each row, float64 [rows]; 0 where both say the same, and the same in either order.

    Of classes the Jensen-Shannon divergence of the probabilities in nats, at most log 2:

    .. math:: H\left(\tfrac12 (p + q)\right) - \tfrac12 (H(p) + H(q))

    Of numbers the difference of the means in standard deviations, as the root mean square over the dimensions:

    .. math:: (\mu_1 - \mu_2) / \sqrt{\tfrac12 (\sigma_1^2 + \sigma_2^2)}

    Raises:
        InvalidInputs: the two are of different kinds or shapes.

    Source: Lin 1991, "Divergence Measures Based on the Shannon Entropy", eq. 4.1 with equal weights.
    """
    match one:
        case CategoricalPrediction(probabilities):
            if not isinstance(other, CategoricalPrediction) or other.probabilities.shape != probabilities.shape:
                raise InvalidInputs("the predictions are not of the same rows and classes")
            middle = (probabilities + other.probabilities) / 2
            apart = entropy(middle) - (entropy(probabilities) + entropy(other.probabilities)) / 2
            # Rounding makes a little less than nothing of two that are the same.
            return apart.clamp(min=0.0)
        case GaussianPrediction():
            if not isinstance(other, GaussianPrediction) or other.mean.shape != one.mean.shape:
                raise InvalidInputs("the predictions are not of the same rows and dimensions")
            spread = torch.sqrt((one.std.square() + other.std.square()) / 2)
            return ((one.mean - other.mean) / spread).square().mean(1).sqrt()
        case _:
            assert_never(one)
