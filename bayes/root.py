"""The posterior before any rows: version 0 of every model."""

from collections.abc import Callable

import torch

from bayes import fixed, likelihoods
from bayes.determinism import deterministic
from bayes.errors import InvalidDescription
from bayes.families import FAMILIES
from bayes.fixed import FIXED
from bayes.likelihoods import OWN
from bayes.model import Model
from bayes.posterior import Posterior, join
from bayes.pretrain import gaussians
from bayes.weights import Pretrained


def root(model: Model, pretrained: Pretrained | None = None, *, check: Callable[[], None] = lambda: None) -> Posterior:
    """The model's prior as a posterior of no chunks; the same model always gives the same bytes.

    `pretrained` holds the bytes that a prior of kind weights or laplace names by their digests. `check` is called now
    and then while the curvature of a Laplace prior is measured; what it raises ends the work.

    Raises:
        InvalidDescription: these are not the bytes that the prior names, they do not fit the model, or what they make
            of the prior is not finite.
    """
    rules = FAMILIES[model.family]
    with deterministic(torch.device("cpu")):
        by_layer, beside = gaussians(model, pretrained, check=check)
        layers = {layer.name: rules.root(layer, by_layer[layer.name]) for layer in model.network.weighted}
    blank = {FIXED: fixed.root(model.network), OWN: likelihoods.root(model.output)}
    others = {part: {**tensors, **beside[part]} for part, tensors in blank.items()}
    tensors = join({**layers, **others})
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise InvalidDescription("prior", f"gives a tensor {name!r} that is not finite in float32")
    return Posterior(
        family=model.family,
        net=model.net,
        input=model.input,
        output=model.output,
        tensors=tensors,
        chunks=0,
    )
