"""The posterior before any rows: version 0 of every model."""

from bayes import likelihoods
from bayes.families import FAMILIES
from bayes.model import Model
from bayes.posterior import Posterior, join


def root(model: Model) -> Posterior:
    """The model's prior as a posterior of no chunks; the same model always gives the same bytes."""
    rules = FAMILIES[model.family]
    layers = {layer.name: rules.root(layer, model.prior.sigma) for layer in model.network.weighted}
    return Posterior(
        family=model.family,
        net=model.net,
        input=model.input,
        output=model.output,
        tensors=join({**layers, likelihoods.OWN: likelihoods.root(model.output)}),
        chunks=0,
    )
