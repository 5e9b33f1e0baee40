"""Tables about what is learned from: parked batches, forgets, and how well batches were predicted."""

from collections.abc import Iterable, Mapping

from client.columns import Fitted, extra, prose, table, times
from client.tables import moment, number
from client.values import Json
from client.values_of_decisions import Decision, Forget, Metrics, Parked

SHOWN = ("accuracy", "rmse", "nll", "ece", "brier", "coverage")


def parked_table(parked: Iterable[Parked]) -> Fitted:
    rows = ((p.batch, p.rows, p.chunk, _z(p.surprise), p.parked_by, p.reason, moment(p.parked_at)) for p in parked)
    return table(
        ("batch", "rows", extra("chunk"), "surprise, z", extra("parked by"), prose("reason"), times("parked")), rows
    )


def decisions_table(decisions: Iterable[Decision]) -> Fitted:
    rows = ((d.seq, d.kind, _z(d.surprise), d.decided_by, d.reason, moment(d.decided_at)) for d in decisions)
    return table(("seq", "decision", "surprise, z", extra("by"), prose("reason"), times("when")), rows)


def forgets_table(forgets: Iterable[Forget]) -> Fitted:
    rows = (
        (
            f.forget, f.state, ", ".join(map(str, f.batches)), f.base, f"{f.steps.published}/{f.steps.all}", f.head,
            f.asked_by, f.error.message if f.error else f.reason, moment(f.created_at),
        )
        for f in forgets
    )  # fmt: skip
    titles = ("forget", "state", prose("batches"), "from version", "steps", "head", extra("asked by"))
    return table((*titles, prose("remarks"), times("asked")), rows)


def approximation_table(found: Json) -> Fitted:
    """What was measured of a division, one row for each figure."""
    rows: list[tuple[object, ...]] = [("KL(new || old), nats", number(found["kl_nats"]["total"], 4), "", "")]
    if (kept := found["kept"]) is not None:
        rows += [
            (f"{name}, new less old, rows kept", number(of["mean"], 4), number(of["standard_error"], 4), of["rows"])
            for name, of in kept["differences"].items()
        ]
    if (gone := found["forgotten"]) is not None:
        of_whom = {"head": "old", "divided": "new", "before": f"version {gone['before']}"}
        rows += [
            (f"nll of {of_whom[name]}, rows divided out", number(value, 4), "", gone["rows"])
            for name, value in gone["nll"].items()
        ]
    return table(("measured", "value", "standard error", "rows"), rows)


def metrics_table(found: Metrics) -> Fitted:
    """One row for each batch: its own scores, and those of the window."""
    names = [name for name in SHOWN if any(name in (one.metrics or {}) for one in found.batches)]
    rows = (
        (
            one.batch, one.version, one.rows, *_values(one.metrics, names), *_values(one.windowed, names),
            _z(one.surprise), "!" if (one.surprise or {}).get("is_surprising") else "",
        )
        for one in found.batches
    )  # fmt: skip
    windowed = [f"{name} of {found.window}" for name in names]
    return table(("batch", "under version", "rows", *map(extra, (*names, *windowed)), "surprise, z", ""), rows)


def _values(metrics: Mapping[str, float | None] | None, names: Iterable[str]) -> list[str]:
    return [number((metrics or {}).get(name), 4) for name in names]


def _z(surprise: Mapping[str, object] | None) -> str:
    z = (surprise or {}).get("z")
    return f"{z:.2f}" if isinstance(z, float) else ""
