"""A posterior made ready to predict: its moments, its mean weights, or nets drawn from it."""

from typing import assert_never, get_args

import torch

from bayes.determinism import deterministic
from bayes.draws import Draws, draw, mean_draw
from bayes.errors import InvalidInputs
from bayes.families import FamilyName
from bayes.layers import Network
from bayes.moments import Moments, moments
from bayes.posterior import Posterior
from bayes.prediction import Method
from bayes.survey import obstacle

Ready = Draws | Moments

SAMPLES, SEED = 16, 0


def ready(
    posterior: Posterior,
    *,
    method: Method | None = None,
    samples: int | None = None,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    consume: bool = False,
) -> Ready:
    """What `predict` needs of the posterior, made once for any number of rows.

    Without a method it is the ensemble where samples or seed are stated, else moments; its own `method` is the one that
    `usable_method` makes of that. A posterior that may be consumed is of no use afterwards.

    Raises:
        InvalidInputs: there is no such method, or samples or seed are none.
    """
    with deterministic(torch.device(device)):
        match usable_method(posterior.family, posterior.network, method or default_method(samples, seed)):
            case "moments":
                return moments(posterior, device=device, consume=consume)
            case "ensemble":
                samples, seed = draws_meant(samples, seed)
                return draw(posterior, samples=samples, seed=seed, device=device)
            case "mean":
                return mean_draw(posterior, device=device)
            case unknown:
                assert_never(unknown)


def draws_meant(samples: int | None, seed: int | None) -> tuple[int, int]:
    """Samples and seed of an ensemble of which these were stated.

    Raises:
        InvalidInputs: samples is no whole number of at least 1, or seed no whole number.
    """
    samples, seed = SAMPLES if samples is None else samples, SEED if seed is None else seed
    if type(samples) is not int or samples < 1:
        raise InvalidInputs(f"samples must be a whole number of at least 1, not {samples!r}")
    if type(seed) is not int:
        raise InvalidInputs(f"seed must be a whole number, not {seed!r}")
    return samples, seed


def default_method(samples: int | None, seed: int | None) -> Method:
    """What is meant where no method is stated: whoever chooses draws wants an ensemble of them."""
    return "moments" if samples is None and seed is None else "ensemble"


def usable_method(family: FamilyName, network: Network, method: Method) -> Method:
    """The method itself; the ensemble in place of moments that cannot pass through the net.

    Raises:
        InvalidInputs: there is no such method.
    """
    if method not in get_args(Method):
        raise InvalidInputs(f"method must be one of {', '.join(get_args(Method))}, not {method!r}")
    return "ensemble" if method == "moments" and obstacle(family, network) else method
