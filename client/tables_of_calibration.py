"""What the command line prints of a version's calibration."""

from collections.abc import Iterable

from client.calibrating import Calibration
from client.columns import Fitted, table
from client.tables import number


def calibration_of(found: Calibration) -> Iterable[Fitted | str]:
    """Of which rows it tells, their scores, and confidence beside what became of it; bins without rows are left out."""
    yield f"{found.model} version {found.version}: {_rows(found)}"
    if found.metrics is None:
        return
    errors = found.standard_errors or {}
    scores = ((name, number(value, 4), number(errors.get(name), 4)) for name, value in found.metrics.items())
    yield table(("score", "value", "standard error"), scores)
    ends = ("95 % from", "to")
    if found.bins is not None:
        held = (one for one in found.bins if one.rows)
        rows = (
            (
                number(one.lower, 3), number(one.upper, 3), one.rows, number(one.confidence, 4),
                number(one.accuracy, 4), number(one.low, 4), number(one.high, 4),
            )
            for one in held
        )  # fmt: skip
        yield table(("confidence above", "up to", "rows", "mean confidence", "accuracy", *ends), rows)
    if found.levels is not None:
        shares = (
            (f"{one.level:g}", number(one.share, 4), number(one.low, 4), number(one.high, 4)) for one in found.levels
        )
        yield table(("intervals of probability", "hold of the labels", *ends), shares)


def _rows(found: Calibration) -> str:
    if found.source == "rows":
        return f"{found.rows:,} rows, {found.method}"
    if found.source == "kept":
        if not found.rows:
            return "it predicted no batch as head; name batches or a file with labels, to have these predicted"
        return f"{found.rows:,} rows that it predicted as head, before anything learned from them"
    batches = found.batches or ()
    learned = [str(one.batch) for one in batches if one.learned]
    named = f"batch{'es' if len(batches) > 1 else ''} {', '.join(str(one.batch) for one in batches)}"
    warning = f"; it has learned from {', '.join(learned)}, so this is no fair test" if learned else ""
    return f"{found.rows:,} rows of {named}, {found.method}{warning}"
