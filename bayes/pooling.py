"""Posteriors combined by their natural parameters: learned side by side, or taken back, without the rows."""

from collections.abc import Sequence
from dataclasses import replace

from bayes import likelihoods
from bayes.errors import FamilyMismatch, InvalidDescription
from bayes.families.natural import Terms
from bayes.fixed import FIXED
from bayes.likelihoods import LABEL_UNITS, OWN
from bayes.posterior import Posterior, is_alike, join

POOLED = ("ffg", "cfg")


def merge(parent: Posterior, learned: Sequence[Posterior], *, damping: float = 1.0) -> Posterior:
    r"""What the parent would have learned of all the chunks that these posteriors learned of side by side.

    .. math:: \eta = \eta_{parent} + \rho \sum_k (\eta_k - \eta_{parent})

    with natural parameters eta and damping rho. Exact where the posteriors are: on a conjugate model it is the
    posterior after one chunk upon the other. Of nets it is an approximation, and undamped it goes too far: each of the
    K makes most of the step that all of them have in common. Try dampings between 1 / K and 1 on rows held out. The
    parent of a merge should have learned: from a blank root every first update starts at random means of its own, and
    hidden units of different nets do not add up.

    Raises:
        FamilyMismatch: there are none, or with no more chunks than the parent; they differ from it in family, net,
            input or output, or in fixed scales or units of the labels; or the family has no natural parameters.
        InvalidDescription: the damping is not above 0 and at most 1.

    Source: Bui et al. 2018, "Partitioned Variational Inference", with factors of one round.
    """
    if not 0.0 < damping <= 1.0:
        raise InvalidDescription("damping", f"must be above 0 and at most 1, not {damping}")
    if not learned or any(one.chunks <= parent.chunks for one in learned):
        raise FamilyMismatch("a merge needs posteriors that learned, with more chunks than their parent")
    chunks = parent.chunks + sum(one.chunks - parent.chunks for one in learned)
    powers = [1 - damping * len(learned), *[damping] * len(learned)]
    return _pooled([parent, *learned], powers, chunks)


def unlearn(posterior: Posterior, before: Posterior, after: Posterior) -> Posterior:
    r"""The posterior without what its ancestor `after` learned beyond that one's parent `before`.

    .. math:: \eta = \eta_{posterior} - (\eta_{after} - \eta_{before})

    Exact where the posteriors are, and none between forgot (a `prior_power` below 1). Of nets it is an approximation,
    and no deletion: what was learned later was learned from weights that knew the rows. To delete rows, go back to
    `before` and absorb the later chunks again.

    Raises:
        FamilyMismatch: as for `merge`, or `after` has not more chunks than `before`, or so many more that the posterior
            has not as many.
    """
    chunks = posterior.chunks - (after.chunks - before.chunks)
    if not 0 <= chunks < posterior.chunks:
        raise FamilyMismatch(
            f"of {posterior.chunks} chunks those between {before.chunks} and {after.chunks} cannot be taken back"
        )
    return _pooled([posterior, after, before], [1.0, -1.0, 1.0], chunks)


def _pooled(given: Sequence[Posterior], powers: Sequence[float], chunks: int) -> Posterior:
    _check(given)
    first = given[0]

    def terms(layer: str) -> Terms:
        return [(power, one.layer(layer)) for power, one in zip(powers, given, strict=True)]

    layers = {layer.name: first.rules.pool(terms(layer.name)) for layer in first.network.weighted}
    own = likelihoods.pool(terms(OWN))
    return replace(first, tensors={**first.tensors, **join({**layers, OWN: own})}, chunks=chunks)


def _check(given: Sequence[Posterior]) -> None:
    first = given[0]
    if first.family not in POOLED:
        raise FamilyMismatch(f"posteriors of family {first.family!r} have no natural parameters to add up")
    if not all(is_alike(one, first) for one in given):
        raise FamilyMismatch("the posteriors belong to different families or nets, or differ in inputs or outputs")
    for name, kept in ((FIXED, None), (OWN, LABEL_UNITS)):
        tensors = [one.layer(name) for one in given]
        for key in tensors[0] if kept is None else (key for key in kept if key in tensors[0]):
            if any(not bool((one[key] == tensors[0][key]).all()) for one in tensors):
                raise FamilyMismatch(f"the posteriors differ in {name}.{key}, which only a line's first update sets")
