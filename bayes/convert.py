"""A posterior of the factorized Gaussian in a family that says more."""

from dataclasses import replace

from bayes.errors import FamilyMismatch
from bayes.families import FAMILIES, FamilyName
from bayes.families.parts import Gaussians, Tensors
from bayes.posterior import Posterior, join


def convert(posterior: Posterior, family: FamilyName) -> Posterior:
    """The posterior of family ffg, in family cfg or one of the mnf; its chunks are as many.

    To cfg it is the same distribution. To an mnf the weights given z = 1 have it, and the flow is the identity: the
    means are the same, and the variance of a weight mu is greater by 0.01 mu^2, as z ~ N(1, 0.1^2), or by
    0.0201 mu^2 in the convolutions of mnf-rank1, which have two z.

    Raises:
        FamilyMismatch: the posterior is of another family, or this one cannot hold it, or there is no such family.
    """
    if posterior.family != "ffg" or family not in FAMILIES or family in {"ffg", "point"}:
        raise FamilyMismatch(f"a posterior of family {posterior.family!r} does not convert to {family!r}")
    layers = {
        layer.name: FAMILIES[family].root(layer, _gaussians(posterior.layer(layer.name)))
        for layer in posterior.network.weighted
    }
    return replace(posterior, family=family, tensors={**posterior.tensors, **join(layers)})


def _gaussians(q: Tensors) -> Gaussians:
    return Gaussians(q["weight.mu"], q["weight.log_sigma"], q["bias.mu"], q["bias.log_sigma"])
