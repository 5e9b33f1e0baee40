"""A prior that has forgotten part of what its line learned, for streams that drift."""

from dataclasses import replace

from bayes import likelihoods
from bayes.errors import FamilyMismatch
from bayes.families.natural import Terms
from bayes.likelihoods import OWN
from bayes.posterior import Posterior, is_alike, join


def forgotten(prior: Posterior, root: Posterior | None, power: float) -> Posterior:
    r"""The prior proportional to prior^power root^(1 - power); the prior itself for power 1, or where it is a root.

    Each update then forgets: evidence from k updates ago counts power^k as much as new evidence, and what no evidence
    holds goes back to the root.

    Raises:
        FamilyMismatch: the root is missing, or is of another family or net.

    Source: the power prior of Ibrahim and Chen 2000, between the line's posterior and its root.
    """
    if power == 1.0 or prior.chunks == 0:
        return prior
    if root is None:
        raise FamilyMismatch("an update that forgets needs the root of its prior's line, to go back to")
    if not is_alike(root, prior):
        raise FamilyMismatch("the root belongs to another family or net than the prior")

    def terms(layer: str) -> Terms:
        return [(power, prior.layer(layer)), (1 - power, root.layer(layer))]

    layers = {layer.name: prior.rules.pool(terms(layer.name)) for layer in prior.network.weighted}
    own = likelihoods.pool(terms(OWN))
    return replace(prior, tensors={**prior.tensors, **join({**layers, OWN: own})})
