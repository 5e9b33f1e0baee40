"""Tables of what became of labels that arrived later, and of what was kept for them."""

from collections.abc import Iterable, Sequence

from client.columns import Fitted, extra, prose, table, times
from client.labels import KeptPrediction, Labeled
from client.tables import moment

SHOWN = 5
"""Predictions that are named of many."""


def labels_table(answers: Sequence[Labeled]) -> Fitted:
    """One row for each kind of thing that became of labels, and which predictions they were for."""
    found = {
        "labeled": [one for answer in answers for one in answer.labeled],
        "labeled before": [one for answer in answers for one in answer.already],
        "labeled otherwise before": [one for answer in answers for one in answer.conflicting],
        "expired": [one for answer in answers for one in answer.expired],
        "unknown": [one for answer in answers for one in answer.unknown],
        "refused": [f"{one.prediction}: {one.message}" for answer in answers for one in answer.refused],
    }
    batches = ", ".join(str(answer.batch) for answer in answers if answer.batch is not None)
    rows = ((what, len(ids), _first(ids)) for what, ids in found.items() if ids)
    return table(
        ("became", "how many", prose("which")), rows, caption=f"batches: {batches}" if batches else "no new rows"
    )


def kept_table(predictions: Iterable[KeptPrediction]) -> Fitted:
    rows = (
        (
            p.prediction, p.version, moment(p.predicted_at), p.predicted_by, moment(p.kept_until),
            ", ".join(f"row {one.row}: {one.label} (batch {one.batch})" for one in p.labels),
        )
        for p in predictions
    )  # fmt: skip
    return table(("prediction", "version", times("predicted"), extra("by"), times("kept until"), prose("labels")), rows)


def _first(ids: Sequence[str]) -> str:
    more = len(ids) - SHOWN
    return "; ".join(ids[:SHOWN]) + (f"; and {more:,} more" if more > 0 else "")
