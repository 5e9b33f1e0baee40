"""Forgetting by division: computed and measured here, at once. It is not exact, and no deletion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from bayes import (
    Difference,
    FamilyMismatch,
    InvalidInputs,
    Model,
    Posterior,
    Prediction,
    kl_divergence,
    paired,
    predict,
    score,
    unlearn,
)
from bayes.pooling import POOLED
from service.house import House
from service.keeping import discard, keep_and_name
from store.blobs import digest_of
from store.dividing import ROWS_MAX, Divided, Division
from store.errors import ApproximationImpossible, ApproximationOvertaken, BlobMissing, ForgetBusy, HeadUndecided

ATTEMPTS_MAX = 3
"""Head may move while it is divided; then the new one is."""

Json = dict[str, Any]


def forget_by_division(house: House, model: str, batches: Sequence[int], *, actor: str, reason: str) -> int:
    """What head learned of these batches is divided out of it, and the result is head; the number of the forget.

    Raises:
        BatchNotFound: there is no such batch.
        ForgetBusy: another forget of the model is under way.
        HeadUndecided: a version waits for head to be moved by hand.
        ApproximationImpossible: the model, or what head learned of them, cannot be divided so.
        ApproximationOvertaken: head moved, each time.
    """
    for _ in range(ATTEMPTS_MAX - 1):
        with suppress(ApproximationOvertaken):
            return _forget_once(house, model, batches, actor=actor, reason=reason)
    return _forget_once(house, model, batches, actor=actor, reason=reason)


def _forget_once(house: House, model: str, batches: Sequence[int], *, actor: str, reason: str) -> int:
    division = house.dividing.plan(model, batches)
    if not division.steps:
        return house.dividing.finish(division, None, actor=actor, reason=reason)
    with house.computing:
        house.must_go_on()
        posterior = divided(house, division)
        found = measured(house, division, posterior)
    data = posterior.to_bytes()
    report = {"approximation": found, "warnings": [_caveat(division)], "torch": torch.__version__}

    def write(digests: list[str]) -> int:
        made = Divided(digests[0], found["kl_nats"]["total"], report)
        return house.dividing.finish(division, made, actor=actor, reason=reason)

    try:
        return keep_and_name(house.blobs, house.ledger, [data], write)
    except (ApproximationOvertaken, ForgetBusy, HeadUndecided):
        discard(house.collecting, [digest_of(data)])
        raise


def divided(house: House, division: Division) -> Posterior:
    """Head, divided by what each step learned beyond the version before it, the newest first.

    Raises:
        ApproximationImpossible: the family or the recipe does not allow it, or nothing sensible is left.
    """
    model = Model.from_description(house.history.model(division.model).description)
    if model.family not in POOLED:
        raise _impossible(division, f"family {model.family} has no natural parameters; {' and '.join(POOLED)} have")
    if model.recipe.prior_power != 1.0:
        raise _impossible(division, "its updates forget (prior_power below 1), so what was learned faded since")
    posterior = house.loaded.posterior(division.head_digest)
    for step in division.steps:
        house.must_go_on()
        before, after = (house.loaded.posterior(digest) for digest in (step.before_digest, step.digest))
        try:
            posterior = unlearn(posterior, before, after)
        except FamilyMismatch as error:
            raise _impossible(division, str(error)) from None
    if posterior.chunks == 0:
        oldest = division.steps[-1]
        raise _impossible(division, f"it has learned from nothing else; roll back to version {oldest.before}")
    if not all(bool(tensor.isfinite().all()) for tensor in posterior.tensors.values()):
        raise _impossible(division, "what is left of it is not finite")
    return posterior


def measured(house: House, division: Division, posterior: Posterior) -> Json:
    """How far the posterior is from head, and how it predicts the rows that are still here.

    `kept`: rows that head has learned from and goes on knowing, the newest; differences are of the posterior less head.
    `forgotten`: the divided rows, by head, by the posterior, and by the version before any of them was learned, which
    is younger and knows less. Either is None where no row is here, or none has a finite prediction.
    """
    head = house.loaded.posterior(division.head_digest)
    layers = kl_divergence(posterior, head, check=house.must_go_on)
    before = house.loaded.posterior(division.steps[-1].before_digest)
    return {
        "kl_nats": {"total": sum(layers.values()), "layers": layers},
        "kept": _on_kept(house, division.kept, posterior, head),
        "forgotten": _on_forgotten(house, division, {"head": head, "divided": posterior, "before": before}),
    }


def _on_kept(house: House, digests: Sequence[str], posterior: Posterior, head: Posterior) -> Json | None:
    if (rows := _rows(house, digests)) is None:
        return None
    try:
        ours, theirs = (_predicted(house, one, rows[0]) for one in (posterior, head))
    except InvalidInputs:
        return None
    differences = paired(ours, theirs, rows[1])
    return {"rows": len(rows[1]), "differences": {name: _plain(found) for name, found in differences.items()}}


def _on_forgotten(house: House, division: Division, asked: dict[str, Posterior]) -> Json | None:
    if (rows := _rows(house, division.forgotten)) is None:
        return None
    try:
        nll = {name: score(_predicted(house, one, rows[0]), rows[1])["nll"] for name, one in asked.items()}
    except InvalidInputs:
        return None
    finite = {name: value if math.isfinite(value) else None for name, value in nll.items()}
    return {"rows": len(rows[1]), "nll": finite, "before": division.steps[-1].before}


def _rows(house: House, digests: Sequence[str]) -> tuple[Tensor, Tensor] | None:
    """Inputs and labels of the first `ROWS_MAX` rows of these batches; None where there are none."""
    batches = []
    for digest in digests:
        # Retention may have removed it since.
        with suppress(BlobMissing):
            batches.append(safetensors.torch.load(house.blobs.get(digest)))
    if not batches:
        return None
    inputs, labels = (torch.cat([batch[name] for batch in batches])[:ROWS_MAX] for name in ("x", "y"))
    return inputs, labels


def _predicted(house: House, posterior: Posterior, inputs: Tensor) -> Prediction:
    return predict(posterior, inputs, check=house.must_go_on)


def _plain(found: Difference) -> Json:
    return {name: value if math.isfinite(value) else None for name, value in asdict(found).items()}


def _caveat(division: Division) -> str:
    batches = division.divided
    named = ", ".join(map(str, batches))
    said = f"Batches {named} were" if len(batches) > 1 else f"Batch {named} was"
    return (
        f"{said} divided out of version {division.head}. That is not exact, and no deletion: "
        "what came later was learned from weights that knew the rows, and they stay in the evidence."
    )


def _impossible(division: Division, reason: str) -> ApproximationImpossible:
    named = ", ".join(map(str, division.batches))
    return ApproximationImpossible(batches=named, model=division.model, head=division.head, reason=reason)
