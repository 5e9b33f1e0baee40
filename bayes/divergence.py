"""How far one posterior is from another."""

import torch

from bayes.errors import FamilyMismatch
from bayes.posterior import Posterior, shapes


@torch.no_grad()
def kl_divergence(q: Posterior, p: Posterior) -> dict[str, float]:
    """KL(q || p) of each layer in nats, computed in float64; their sum is that of the nets.

    Raises:
        FamilyMismatch: the two differ in family, or in the names or shapes of their tensors.
    """
    if q.family != p.family:
        raise FamilyMismatch(f"a posterior of family {q.family!r} cannot be measured against one of {p.family!r}")
    if shapes(q) != shapes(p):
        raise FamilyMismatch("the two posteriors belong to different nets")
    return {
        layer.name: float(q.rules.kl(_double(q, layer.name), _double(p, layer.name))) for layer in q.network.weighted
    }


def _double(posterior: Posterior, layer: str) -> dict[str, torch.Tensor]:
    return {key: tensor.double() for key, tensor in posterior.layer(layer).items()}
