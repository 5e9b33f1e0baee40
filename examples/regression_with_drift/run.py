"""Regression on a stream that a broken sensor visits and that then drifts: intervals, surprise, rollback, forgetting.

`python examples/regression_with_drift/run.py` starts a service of its own and leaves nothing running.
"""

import argparse
import sys
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from client import Client
from client.demo.place import run_example
from client.demo.report import Report
from client.values_of_decisions import BatchMetrics

NOISE = 0.2
OFFSET = 2.0
"""What the broken sensor adds to every label."""
INTERVAL = 0.9
HELD_OUT = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Batches of so many rows; in one the sensor is broken, and from another on the world turns."""

    rows: int
    clean: int
    after: int
    drifting: int

    @property
    def broken(self) -> int:
        return self.clean + 1

    @property
    def drift(self) -> int:
        """The first batch of the turned world."""
        return self.broken + self.after + 1

    @property
    def batches(self) -> int:
        return self.drift + self.drifting - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running service; without, one of its own")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=100, help="rows of a batch")
    parser.add_argument("--clean", type=int, default=7, help="batches before the sensor breaks")
    parser.add_argument("--after", type=int, default=2, help="batches between the broken one and the drift")
    parser.add_argument("--drifting", type=int, default=8, help="batches of the turned world")
    asked = parser.parse_args()
    plan = Plan(asked.rows, asked.clean, asked.after, asked.drifting)
    title = "Regression with drift: y = sin(3a) + b·c + noise, then y = sin(3a) - b·c + noise"
    return run_example(title, lambda client, report: perform(client, report, plan, seed=asked.seed), url=asked.url)


def perform(client: Client, report: Report, plan: Plan, *, seed: int) -> None:
    """The stream was learned, the broken batch taken back, and the drift followed."""
    generator = np.random.default_rng(seed)
    model = client.create_model(description(plan)).name
    held_out = stream(HELD_OUT, generator, sign=1.0)
    clean = [stream(plan.rows, generator, sign=1.0) for _ in range(plan.clean)]
    inputs, labels = stream(plan.rows, generator, sign=1.0)
    after = [stream(plan.rows, generator, sign=1.0) for _ in range(plan.after)]
    learn(client, model, clean)
    before = rmse(client, model, held_out)
    learn(client, model, [(inputs, labels + OFFSET)])

    report.title(f"Batch {plan.broken}: the sensor adds {OFFSET} to every label, and nobody has noticed")
    broken = rmse(client, model, held_out)
    report.say(f"  rmse on {HELD_OUT} held-out rows: {before:.3f} before it was learned, {broken:.3f} after")
    back = client.rollback(model, steps=1, reason="the sensor was broken")
    again = rmse(client, model, held_out)
    report.say(f"  rollback to version {back.head}: {again:.3f}, from the next request on")
    report.check(holds=again == before, claim="the answers are those of before, bit for bit")
    client.set_alias(model, "head", back.previous, reason="as if the sensor had not been noticed yet")
    learn(client, model, after)
    later = rmse(client, model, held_out)
    take_back(client, report, model, plan)
    report.say(f"  rmse {later:.3f} with it, {rmse(client, model, held_out):.3f} without")
    compare(client, report, model, plan=plan, rows=[*clean, *after])

    learn(client, model, [stream(plan.rows, generator, sign=-1.0) for _ in range(plan.drifting)])
    show_stream(client, report, model, plan)


def take_back(client: Client, report: Report, model: str, plan: Plan) -> None:
    """The broken batch is on no line of head any more; what followed it was learned again."""
    report.title(f"{plan.after} batches later, batch {plan.broken} is forgotten")
    forget = client.wait_forget(model, client.forget(model, plan.broken, reason="broken sensor").forget)
    report.say(f"  {forget.steps.all} chunks were learned again, aside; then head moved to version {forget.head}")


def compare(client: Client, report: Report, model: str, *, plan: Plan, rows: list[tuple[Floats, Floats]]) -> None:
    """A model that never saw the broken batch has, to the byte, the posterior of the one that forgot it."""
    other = client.create_model(description(plan)).name
    learn(client, other, rows)
    digests = {name: client.version(name, client.model(name).head).digest for name in (model, other)}
    report.check(
        holds=digests[model] == digests[other],
        claim=f"head is to the byte that of a model that never saw the batch: {digests[model][:19]}…",
    )


def show_stream(client: Client, report: Report, model: str, plan: Plan) -> None:
    """Each batch as the head of its time predicted it, before anything learned from it; and what holds of them."""
    batches = client.metrics(model).batches
    report.title(f"batch  what it was      rmse   in the {INTERVAL:.0%} interval   surprise z")
    for one in batches:
        score, z = measured(one), surprise(one)
        mark = "  surprising" if is_surprising(one) else ""
        said = f"{z:10.1f}{mark}" if z is not None else "         -"
        kind = "drifted" if one.batch >= plan.drift else "broken sensor" if one.batch == plan.broken else "clean"
        report.say(f"{one.batch:5d}  {kind:<14} {score['rmse']:6.3f} {score['coverage']:16.0%}     {said}")
    report.say()
    found = {one.batch for one in batches if is_surprising(one)}
    clean = [one for one in batches if one.batch < plan.broken]
    first, last = (next(one for one in batches if one.batch == number) for number in (plan.drift, plan.batches))
    settled = [measured(one) for one in clean[len(clean) // 2 :]]
    inside = float(np.mean([score["coverage"] for score in settled]))
    report.check(holds=plan.broken in found, claim="the broken sensor was surprising when it came")
    report.check(holds=plan.drift in found, claim="the drift was surprising when it came")
    report.check(holds=not found & {one.batch for one in clean}, claim=f"none of {len(clean)} clean batches before was")
    report.check(holds=0.8 <= inside <= 0.99, claim=f"of the later ones, {inside:.0%} of labels lie in 90% intervals")
    report.check(
        holds=measured(last)["rmse"] < 0.6 * measured(first)["rmse"],
        claim=f"rmse falls from {measured(first)['rmse']:.3f} to {measured(last)['rmse']:.3f} as the drift is learned",
    )


def stream(rows: int, generator: np.random.Generator, *, sign: float) -> tuple[Floats, Floats]:
    """Rows (a, b, c) uniform between -1 and 1, and y = sin(3a) ± b·c with noise of standard deviation 0.2."""
    x = generator.uniform(-1, 1, (rows, 3))
    y = np.sin(3 * x[:, 0]) + sign * x[:, 1] * x[:, 2] + NOISE * generator.normal(size=rows)
    return x, y


def description(plan: Plan) -> dict[str, object]:
    return {
        "name": f"drift-{uuid4().hex[:8]}",
        "net": {"kind": "mlp", "hidden": [32]},
        "input": {"shape": [3], "std": 0.577},
        "output": {"kind": "gaussian"},
        "recipe": {"prior_power": 0.8},
        "chunk": {"rows": plan.rows, "seconds": None},
    }


def learn(client: Client, model: str, batches: list[tuple[Floats, Floats]]) -> None:
    """Each batch was a chunk, and is learned; head has predicted it before."""
    for inputs, labels in batches:
        client.ingest(model, inputs.astype(np.float32), labels.astype(np.float32))
        client.settle(model)


def rmse(client: Client, model: str, rows: tuple[Floats, Floats]) -> float:
    said = client.predict(model, rows[0].astype(np.float32)).mean[:, 0]
    return float(np.sqrt(((said - rows[1]) ** 2).mean()))


def measured(batch: BatchMetrics) -> dict[str, float]:
    """The scores of a batch that has rows: all of them are numbers."""
    assert batch.metrics is not None
    return {name: value for name, value in batch.metrics.items() if value is not None}


def surprise(batch: BatchMetrics) -> float | None:
    z = None if batch.surprise is None else batch.surprise["z"]
    return None if z is None else float(z)


def is_surprising(batch: BatchMetrics) -> bool:
    return batch.surprise is not None and bool(batch.surprise["is_surprising"])


if __name__ == "__main__":
    sys.exit(main())
