"""Labels that arrive in random order, some twice, some for nothing: `python -m benchmarks.delayed_labels`.

It writes results/delayed_labels.json. One service on SQLite without workers. In each round a new model of two inputs
answers 5,000 predictions of one row, no two alike, to sixteen connections, first without keeping them, then again
kept. Then sixteen connections post the labels of the kept ones in random order, 1 to 39 in a request: 700 of them
twice, 300 once more with another label, 200 for ids that never were; and every tenth request is sent twice, by two
connections. At the end the bytes of the model's batches are read, and must hold each input once, with its label.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from rich.progress import track
from safetensors.numpy import load

from benchmarks import record
from benchmarks.figures import Claim, figure
from benchmarks.live import report
from benchmarks.live.connections import JSON, Connection, request
from benchmarks.live.processes import Server, service
from client.client import Client

ROUNDS, KEPT, CLIENTS, SEED = 5, 5_000, 16, 0
TWICE, CONTRADICTED, UNKNOWN = 0.14, 0.06, 0.04
"""As parts of those that are kept."""
MODEL: dict[str, Any] = {
    "net": {"kind": "mlp", "hidden": [8]},
    "input": {"shape": [2]},
    "output": {"kind": "categorical", "classes": 3},
    "chunk": {"rows": 1_000_000, "seconds": None},
}
WRONG = ("missing", "doubled", "mislabeled", "unknown_unnamed")

Json = dict[str, Any]


def main() -> None:
    quick = report.is_quick("How labels that arrive later are counted, and how many a second.")
    rounds, kept = (1, 500) if quick else (ROUNDS, KEPT)
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as server:
        turns = track(range(rounds), description="rounds")
        measured = [measure(server, Path(folder), f"late-{turn}", kept=kept, seed=SEED + turn) for turn in turns]
    result = {
        "what": "predictions and labels a second over HTTP on loopback, embedded SQLite; rows that are wrong",
        "rounds": rounds,
        "kept": kept,
        "clients": CLIENTS,
        "seed": SEED,
        **record.surroundings(),
        **{name: [one[name] for one in measured] for name in measured[0]},
    }
    report.finish("delayed_labels", result, claims(result), quick=quick)


def measure(server: Server, data_dir: Path, name: str, *, kept: int, seed: int) -> Json:
    """The rates of one round, and how many rows are wrong after it."""
    with Client(server.url) as client:
        client.create_model({"name": name} | MODEL)
    path = f"/v1/models/{name}"
    plain, _, _ = asked(server, f"{path}/predictions", [{"inputs": [[n, -n]]} for n in range(kept)])
    keeping, answers, _ = asked(
        server, f"{path}/predictions", [{"inputs": [[n, -n]], "keep": True} for n in range(kept)]
    )
    ids = [answer["prediction"] for answer in answers]
    requests, unknown = in_random_order(ids, Random(seed))  # noqa: S311
    labels = sum(map(len, requests))
    _, said, seconds = asked(server, f"{path}/labels", requests)
    with Client(server.url) as client:
        digests = [batch.digest for batch in client.batches(name)]
    rows = rows_of(data_dir, digests)
    named = {id_ for answer in said for id_ in answer["unknown"]}
    return {
        "predictions_per_second": plain,
        "kept_per_second": keeping,
        "labels_per_second": round(labels / seconds, 1),
        "requests": len(requests),
        "labels": labels,
        "rows": len(rows),
        **wrong(rows, kept),
        "unknown_unnamed": len(unknown - named),
    }


def asked(server: Server, path: str, bodies: Sequence[object]) -> tuple[float, list[Json], float]:
    """How many a second were answered, the answers in the order of the bodies, and the seconds."""
    sent = [request("POST", path, json.dumps(body).encode(), JSON) for body in bodies]
    began = time.perf_counter()
    answers = asyncio.run(answered(server.port, sent))
    seconds = time.perf_counter() - began
    return round(len(bodies) / seconds, 1), answers, seconds


async def answered(port: int, sent: Sequence[bytes]) -> list[Json]:
    answers: list[Json] = [{}] * len(sent)
    turns = iter(range(len(sent)))

    async def one() -> None:
        async with Connection(port) as connection:
            for turn in turns:
                answers[turn] = (await connection.ask(sent[turn])).json()

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return answers


def in_random_order(ids: Sequence[str], choose: Random) -> tuple[list[list[Json]], set[str]]:
    """Requests with the labels of all; and the ids in them that never were."""
    unknown = {id_[:12] + id_[:11:-1] for id_ in choose.sample(list(ids), int(UNKNOWN * len(ids)))}
    given = [(id_, number % 3) for number, id_ in enumerate(ids)]
    given += given[: int(TWICE * len(ids))]
    given += [(id_, (label + 1) % 3) for id_, label in given[: contradicted(len(ids))]]
    given += [(id_, 0) for id_ in sorted(unknown)]
    choose.shuffle(given)
    labels = [{"prediction": id_, "label": label} for id_, label in given]
    requests, start = [], 0
    while start < len(labels):
        size = choose.randrange(1, 40)
        requests += [labels[start : start + size]] * (2 if choose.random() < 0.1 else 1)
        start += size
    return requests, unknown


def contradicted(kept: int) -> int:
    return int(CONTRADICTED * kept)


def rows_of(data_dir: Path, digests: Sequence[str]) -> list[tuple[float, int]]:
    """The first input and the label of every row, as the files of the batches say."""
    found = []
    for digest in digests:
        name = digest.removeprefix("sha256:")
        [file] = (data_dir / "blobs").rglob(f"*{name}")
        tensors = load(file.read_bytes())
        found += list(zip(tensors["x"][:, 0].tolist(), tensors["y"].tolist(), strict=True))
    return found


def wrong(rows: Sequence[tuple[float, int]], kept: int) -> Json:
    """How many predictions have no row, or more than one, and how many rows a label that nobody posted for them."""
    count = Counter(number for number, _ in rows)
    other = contradicted(kept)
    return {
        "missing": sum(float(number) not in count for number in range(kept)),
        "doubled": sum(rows_ > 1 for rows_ in count.values()),
        "mislabeled": sum(
            label != number % 3 and not (number < other and label == (number + 1) % 3) for number, label in rows
        ),
    }


def claims(result: Mapping[str, Any]) -> list[Claim]:
    found = [sum(result[name]) for name in WRONG]
    kept = result["kept"] * result["rounds"]
    words = (
        "Labels in random order, some twice, some contradicted, some for unknown ids: predictions without a row, with "
    )
    return [
        Claim(
            f"{words}more than one, rows with a label of none, unknown ids that are not named",
            f"{', '.join(map(str, found))} of {kept:,} kept predictions and {sum(result['labels']):,} labels",
            "0, 0, 0, 0",
            not any(found) and sum(result["rows"]) == kept,
        ),
        Claim(
            f"Labels a second, 1 to 39 in a request, {result['clients']} at once, SQLite",
            f"{figure(result['labels_per_second'])}",
        ),
        Claim(
            f"Predictions of one row kept a second, {result['clients']} at once, SQLite",
            f"{figure(result['kept_per_second'])}; not kept: {figure(result['predictions_per_second'])}",
        ),
    ]


if __name__ == "__main__":
    main()
