"""What an update has to say for itself: how far it is, and how it went."""

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass

from bayes.objective import Parts
from bayes.posterior import Posterior
from bayes.recipe import Recipe

PRUNED_SNR = 0.1
PRUNED_SIGMA = 0.8
REACH_LEAST = 1.0


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` done; `elbo`: the mean of the bound in nats since the progress before, tempered by beta.

    Under ivon, whose steps need no KL, it is that of the data alone.
    """

    step: int
    steps: int
    elbo: float


@dataclass(frozen=True)
class Bound:
    """The bound of the chunk after the update, in nats: elbo = data_nats - beta * kl_nats."""

    elbo: float
    data_nats: float
    kl_nats: float
    beta: float


@dataclass(frozen=True)
class Choice:
    """The sigma that the first chunk chose from a prior's, and the mean NLL of each in nats on rows held out for that.

    The NLL is None where the update with that sigma diverged.
    """

    sigma: float
    held_out_rows: int
    nll: dict[str, float | None]


@dataclass(frozen=True)
class Report:
    """How an update went. Per layer: KL to the prior, median |mu| / sigma, mean |move of log sigma| from its start."""

    elbo: Bound
    kl_nats: dict[str, float]
    snr_median: dict[str, float]
    log_sigma_moved: dict[str, float]
    steps: int
    epochs: int
    rows: int
    seconds: float
    device: str
    warnings: tuple[str, ...]
    choice: Choice | None = None

    @property
    def is_finite(self) -> bool:
        """Every number of the bound and of the layers is finite, as JSON can tell no others."""
        of_layers = (self.kl_nats, self.snr_median, self.log_sigma_moved)
        numbers = [*astuple(self.elbo), *(number for layers in of_layers for number in layers.values())]
        return all(math.isfinite(number) for number in numbers)

    def to_dict(self) -> dict[str, object]:
        """The report as JSON."""
        return {**asdict(self), "warnings": list(self.warnings)}


def describe(q: Posterior, p: Posterior, start: Parts) -> dict[str, dict[str, float]]:
    """What the family says of each layer of q, whose prior was p and whose update started at `start`."""
    return {
        layer.name: q.rules.describe(q.layer(layer.name), p.layer(layer.name), start[layer.name])
        for layer in q.network.weighted
    }


def fact_of(described: Mapping[str, Mapping[str, float]], fact: str) -> dict[str, float]:
    """One fact of each layer whose family has any to tell."""
    return {layer: facts[fact] for layer, facts in described.items() if facts}


def warnings_of(
    described: dict[str, dict[str, float]], prior: Posterior, recipe: Recipe, steps: int
) -> tuple[str, ...]:
    """Plain sentences about what looks wrong, with what to do about it."""
    widths = {layer: facts for layer, facts in described.items() if facts}
    warnings = [
        f"Layer {layer} looks over-pruned: its median |mu|/sigma is {facts['snr_median']:.3f} and its sigma is "
        f"{facts['sigma_to_prior_median']:.2f} of the prior's, so it is mostly noise. Lower beta (now {recipe.beta:g})."
        for layer, facts in widths.items()
        if facts["snr_median"] < PRUNED_SNR and facts["sigma_to_prior_median"] > PRUNED_SIGMA
    ]
    knob, value, reach = _knob_of_sigma(recipe, steps)
    if widths and prior.chunks == 0 and reach < REACH_LEAST:
        warnings.append(
            f"Sigma is mostly what it started as: {steps} steps at {knob} {value:g} can widen log sigma by {reach:.2f} "
            f"at most. {'Lower' if recipe.optimizer == 'ivon' else 'Raise'} {knob}, or raise epochs."
        )
    return tuple(warnings)


def _knob_of_sigma(recipe: Recipe, steps: int) -> tuple[str, float, float]:
    """The field of the recipe that bounds how far so many steps widen log sigma, its value, and how far."""
    if recipe.optimizer == "ivon":
        return "curvature_decay", recipe.curvature_decay, steps * (1 - recipe.curvature_decay) / 2
    return "lr_log_sigma", recipe.lr_log_sigma, steps * recipe.lr_log_sigma
