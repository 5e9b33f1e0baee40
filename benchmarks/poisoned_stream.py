"""Ten batches of MNIST, the seventh with shuffled labels: `python -m benchmarks.poisoned_stream --data <folder>`.

A service and its worker, two processes, over HTTP. Ten batches of 500 rows, each of them a chunk, are posted one after
the other to a gated model, to one that always publishes, and to a gated one that never gets the seventh: MLPs with 100
hidden units, or LeNet-5 (`--net lenet5`, an hour and more). After every batch the 10,000 test rows are predicted by
head. Then the seventh batch is forgotten, where head has learned from it. Three orders of the rows and of the shuffled
labels, by seed. Writes results/poisoned_stream.json.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from benchmarks import mnist, record
from benchmarks.figures import Claim
from benchmarks.live import report
from benchmarks.live.processes import service
from client.client import Client

BATCHES, BATCH_ROWS, POISONED = 10, 500, 7
SEEDS = (0, 1, 2)
PREDICTED_AT_ONCE = 1000
POINTS_MAX = 2.0
GATED, ALWAYS, CLEAN = "gated", "always", "clean"
Net = dict[str, Any]
NETS: dict[str, Net] = {"mlp": {"kind": "mlp", "hidden": [100]}, "lenet5": {"kind": "lenet5"}}
PUBLISH = {GATED: "gated", ALWAYS: "always", CLEAN: "gated"}


def main() -> None:
    parser = argparse.ArgumentParser(description="What a poisoned batch does with the gate on and off.")
    parser.add_argument("--data", type=Path, required=True, help="the folder that has MNIST")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--net", choices=tuple(NETS), default="mlp")
    asked = parser.parse_args()
    rows, test = mnist.read(asked.data, train=True), mnist.read(asked.data, train=False)
    found = [performed(rows, test, seed, net=NETS[asked.net]) for seed in asked.seeds]
    result = {
        "what": "head's accuracy on 10,000 test rows after each of ten batches, the seventh with shuffled labels",
        "batches": BATCHES,
        "rows": BATCH_ROWS,
        "poisoned": POISONED,
        "net": NETS[asked.net],
        "seeds": list(asked.seeds),
        **record.surroundings(),
        "streams": found,
    }
    report.finish("poisoned_stream", result, claims(result), quick=False)


def performed(rows: mnist.Rows, test: mnist.Rows, seed: int, *, net: Net) -> dict[str, Any]:
    """The three streams of one seed, and what forgetting came to."""
    batches, _ = mnist.stream(rows, seed, chunks=BATCHES, chunk_rows=BATCH_ROWS)
    poisoned = batches[POISONED - 1]
    shuffled = torch.randperm(BATCH_ROWS, generator=torch.Generator().manual_seed(1000 + seed))
    batches[POISONED - 1] = poisoned._replace(labels=poisoned.labels[shuffled])
    with (
        tempfile.TemporaryDirectory() as folder,
        service(Path(folder), workers=1, threads=2) as server,
        Client(server.url) as client,
    ):
        streams = {name: streamed(client, name, batches, test, seed=seed, net=net) for name in PUBLISH}
        forgotten = {name: forget(client, name) for name in (GATED, ALWAYS)}
        digests = {name: client.version(name, client.model(name).head).digest for name in (GATED, CLEAN)}
        always = client.version(ALWAYS, client.model(ALWAYS).head)
        without = unseen(client, batches, seed=seed, net=net)
        return {
            "seed": seed,
            "streams": streams,
            "forgotten": forgotten,
            "digest_is_that_of_a_run_without": digests[GATED] == digests[CLEAN],
            "digest_without_gate_is_that_of_a_run_without": always.digest == without,
            "evidence_lacks_it": POISONED not in (always.evidence.batches or ()),
        }


def streamed(
    client: Client, name: str, batches: Sequence[mnist.Rows], test: mnist.Rows, *, seed: int, net: Net
) -> list[dict[str, Any]]:
    """What head says of the test rows after each batch, and how surprising the batch was."""
    create(client, name, PUBLISH[name], net)
    steps = []
    for number, batch in track(list(enumerate(batches, start=1)), description=f"seed {seed}, {name}"):
        if name == CLEAN and number == POISONED:
            continue
        client.ingest(name, batch.images.numpy(), batch.labels.numpy(), key=f"batch {number}")
        client.settle(name)
        newest = client.versions(name)[-1]
        surprise = client.metrics(name).batches[-1].surprise or {}
        steps.append(
            {
                "batch": number,
                "head": client.model(name).head,
                "accuracy": accuracy(client, name, test),
                "newest": newest.version,
                "publication": newest.publication,
                "gate": (newest.report or {}).get("gate"),
                "z": surprise.get("z"),
                "nats": surprise.get("nats"),
            }
        )
    return steps


def unseen(client: Client, batches: Sequence[mnist.Rows], *, seed: int, net: Net) -> str:
    """The digest of head of a model that always publishes and never got the seventh batch."""
    create(client, "unseen", "always", net)
    for number, batch in track(list(enumerate(batches, start=1)), description=f"seed {seed}, unseen"):
        if number != POISONED:
            client.ingest("unseen", batch.images.numpy(), batch.labels.numpy())
            client.settle("unseen")
    return client.version("unseen", client.model("unseen").head).digest


def create(client: Client, name: str, publish: str, net: Net) -> None:
    chunk = {"rows": BATCH_ROWS, "seconds": None}
    client.create_model({"name": name, **mnist.DESCRIPTION, "net": net, "chunk": chunk, "publish": publish})


def forget(client: Client, name: str) -> dict[str, Any]:
    """The seventh batch is forgotten."""
    asked = client.forget(name, POISONED, reason="its labels are shuffled")
    done = client.wait_forget(name, asked.forget)
    return {"state": done.state, "steps": done.steps.all, "base": done.base, "head": done.head}


def accuracy(client: Client, name: str, test: mnist.Rows) -> float:
    """The part of the test rows that head predicts rightly, by moments."""
    right = 0
    for first in range(0, len(test.labels), PREDICTED_AT_ONCE):
        chosen = slice(first, first + PREDICTED_AT_ONCE)
        said = client.predict(name, test.images[chosen].numpy())
        right += int((said.labels == test.labels[chosen].numpy()).sum())
    return right / len(test.labels)


def claims(result: Mapping[str, Any]) -> list[Claim]:
    falls = {name: [fall(stream["streams"][name]) for stream in result["streams"]] for name in (GATED, ALWAYS)}
    above = [margin(stream["streams"][ALWAYS]) for stream in result["streams"]]
    same = [stream["digest_is_that_of_a_run_without"] for stream in result["streams"]]
    open_same = [stream["digest_without_gate_is_that_of_a_run_without"] for stream in result["streams"]]
    lacks = all(stream["evidence_lacks_it"] for stream in result["streams"])
    worst = max(falls[GATED])
    return [
        Claim(
            "With the gate on, head never serves a version whose accuracy fell by more than 2 points; the most it fell",
            f"{100 * worst:.2f} points ({100 * max(falls[ALWAYS]):.1f} with the gate off)",
            f"{POINTS_MAX:.0f}",
            100 * worst <= POINTS_MAX,
        ),
        Claim(
            "Forgetting the shuffled batch gives the digest of a run that never saw it, gate on and off",
            f"{sum(same)} and {sum(open_same)} of {len(same)}",
            "all",
            all(same) and all(open_same) and lacks,
        ),
        Claim(
            "With the gate off, the shuffled batch surprises more than every clean one; least z above the next",
            f"{min(above):.1f}",
            "above 0",
            min(above) > 0,
        ),
    ]


def fall(steps: Sequence[Mapping[str, Any]]) -> float:
    """By how much head's accuracy fell the most from one batch to the next."""
    accuracies = [float(step["accuracy"]) for step in steps]
    return max(before - after for before, after in pairwise(accuracies))


def margin(steps: Sequence[Mapping[str, Any]]) -> float:
    """The z of the shuffled batch above the highest of a clean one."""
    of = {step["batch"]: step["z"] for step in steps}
    return float(of.pop(POISONED) - max(of.values()))


if __name__ == "__main__":
    main()
