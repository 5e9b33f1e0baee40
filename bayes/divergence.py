"""How far one posterior is from another."""

import torch

from bayes import likelihoods
from bayes.determinism import generator, standard_normal
from bayes.errors import FamilyMismatch
from bayes.families.parts import Check
from bayes.likelihoods import OWN
from bayes.posterior import Posterior, is_alike

ROWS = 1024


@torch.no_grad()
def kl_divergence(q: Posterior, p: Posterior, *, check: Check = lambda: None) -> dict[str, float]:
    """KL(q || p) of each layer in nats, computed in float64; their sum is that of the posteriors.

    A learned noise is told as the layer "output". Fixed scales and the units of the labels, which no update draws, have
    no part in it: of lines with first chunks of their own it compares the weights, not what they predict.

    For a family with auxiliary variables it is that of the joint distributions, estimated with as many draws of
    them as 1,024 rows get, which depend on q and p alone. `check` is called before every layer, and between draws of a
    large one; what it raises ends the work.

    Raises:
        FamilyMismatch: the two differ in family, net, input or output.
    """
    if q.family != p.family:
        raise FamilyMismatch(f"a posterior of family {q.family!r} cannot be measured against one of {p.family!r}")
    if not is_alike(q, p):
        raise FamilyMismatch("the two posteriors belong to different nets, or differ in their inputs or outputs")
    noise = standard_normal(generator("cpu", q.digest, p.digest, "kl"))
    kl_nats = {}
    for layer in q.network.weighted:
        check()
        ours, theirs = _double(q, layer.name), q.rules.ready(_double(p, layer.name))
        kl_nats[layer.name] = float(q.rules.kl_in_turn(ours, theirs, noise=noise, rows=ROWS, check=check))
    learned = likelihoods.kl(_double(q, OWN), _double(p, OWN))
    return kl_nats if learned is None else {**kl_nats, OWN: float(learned)}


def _double(posterior: Posterior, layer: str) -> dict[str, torch.Tensor]:
    return {key: tensor.double() for key, tensor in posterior.layer(layer).items()}
