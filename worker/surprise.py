"""How surprising the batches of a claim are to its prior, and which are parked for it."""

from __future__ import annotations

from collections.abc import Sequence

import bayes
from bayes.surprise import THRESHOLD
from store.history import History
from store.values import Claim, Scored
from worker.reading import Reading

REFERENCES_MAX = 640
"""So many earlier batches are looked at: even of single rows they are as many groups as a surprise rests on."""

PARKED = "head predicts these rows worse than it expects to: they may have drifted, or bear wrong labels"


def weigh(claim: Claim, reading: Reading, history: History) -> list[Scored]:
    """The scores of each batch of the claim, and how surprising it is beside what the line has learned from before."""
    earlier = [
        bayes.Scores.from_json(scores)
        for scores in history.scores_on_line(claim.model, claim.prior, limit=REFERENCES_MAX)
    ]
    threshold = claim.description.get("surprise", {}).get("threshold", THRESHOLD)
    return [
        Scored(batch, None)
        if scores is None
        else Scored(batch, scores.to_json(), bayes.surprise(scores, earlier, threshold=threshold).to_json())
        for batch, scores in zip(claim.batches, reading.scores, strict=True)
    ]


def to_park(claim: Claim, scored: Sequence[Scored]) -> list[Scored]:
    """The batches that are not to be learned from before somebody has decided; none, where the model parks none.

    What was released is not parked again, and the steps of a forget learn what was learned before.
    """
    if claim.forget is not None or not claim.description.get("surprise", {}).get("park", False):
        return []
    return [
        one
        for one in scored
        if one.batch not in claim.released and one.surprise is not None and one.surprise["is_surprising"]
    ]
