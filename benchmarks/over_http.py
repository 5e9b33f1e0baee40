"""What a prediction costs over HTTP: `python -m benchmarks.over_http` writes results/over_http.json.

One image of 28x28 bytes as JSON. A service process without workers answers it by moments (what a request gets that asks
for nothing else), by the mean weights and by an ensemble of 16 nets. A bare route of FastAPI, run by uvicorn in the
same environment without a log, answers with the deterministic net of the same mean weights (benchmarks/bare.py). One
thread of torch each. wrk posts 64 images in turn, over 1 and over 32 connections; all take turns, in another order each
round. Every answer has to be a success, and the first answers of each are compared with what the library computes here.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import torch
from rich.progress import track
from safetensors.torch import save_file

import bayes
from bayes.ready import SAMPLES
from benchmarks import record
from benchmarks.figures import Claim, Figure, figure, ratio
from benchmarks.live import digits, report, wrk
from benchmarks.live.processes import Server, running, service
from benchmarks.peers.lenet import lenet5

ROUNDS, SECONDS = 7, 5.0
CONNECTIONS = (1, 32)
IMAGES, SEED = 64, 0
METHODS: tuple[bayes.Method, ...] = ("moments", "mean", "ensemble")
BARE = "bare route"
PREDICTIONS = f"/v1/models/{digits.NAME}/predictions"
QUERIES = {"moments": "", "mean": "?method=mean", "ensemble": "?method=ensemble"}

P50_MAX, P99_MAX = 2.0, 3.0
"""Of the moments at one connection: times the bare route's median, and times their own."""
PER_SECOND_LEAST = {"moments": 1.2, "mean": 2.0}
"""Times the bare route's, at 32 connections."""


def main() -> None:
    wrk.require()
    quick = report.is_quick("Latency and throughput of predictions over HTTP, beside a bare route.")
    rounds, seconds = (2, 1.0) if quick else (ROUNDS, SECONDS)
    images, _ = digits.rows(IMAGES, SEED + 1)
    with tempfile.TemporaryDirectory() as folder:
        digits.learned(Path(folder) / "data", chunks=1, seed=SEED)
        with contenders(Path(folder)) as urls:
            compare_answers(urls, images)
            measured = measure(urls, digits.bodies(images), rounds=rounds, seconds=seconds)
    result = {
        "what": "wrk, one thread: milliseconds and answers per second of each round, by contender and connections",
        "rounds": rounds,
        "seconds": seconds,
        "seed": SEED,
        **record.surroundings(),
        "measured": measured,
    }
    report.finish("over_http", result, claims(result), quick=quick)


@contextmanager
def contenders(folder: Path) -> Iterator[dict[str, str]]:
    """Where each contender is asked; one process answers by all methods, another is the bare route."""
    with service(folder / "data", threads=1) as ours:
        with httpx.Client(base_url=ours.url, timeout=60.0) as client:
            posterior = bayes.Posterior.from_bytes(client.get(f"/v1/models/{digits.NAME}/versions/1/posterior").content)
        with bare(posterior, folder) as route:
            urls = {BARE: f"{route.url}/predict"}
            yield urls | {method: f"{ours.url}{PREDICTIONS}{query}" for method, query in QUERIES.items()}


@contextmanager
def bare(posterior: bayes.Posterior, folder: Path) -> Iterator[Server]:
    """The bare route with the posterior's mean weights."""
    names = lenet5().state_dict()
    means = (posterior.layer(of.name)[f"{part}.mu"] for of in posterior.network.weighted for part in ("weight", "bias"))
    weights = folder / "bare.safetensors"
    save_file(dict(zip(names, means, strict=True)), weights)
    command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--port", "0", "--no-access-log"]
    environment = os.environ | {"BARE_WEIGHTS": str(weights), "BARE_THREADS": "1"}
    with running(command, environment, log=folder / "bare.log") as server:
        yield server


def compare_answers(urls: Mapping[str, str], images: digits.Bytes, *, most: int = 8) -> None:
    """Each contender says of the first images what the library computes in this process; else there is no figure."""
    with httpx.Client(timeout=60.0) as client:
        said = {name: [client.post(url, content=body, headers={"Content-Type": "application/json"})
                       for body in digits.bodies(images[:most])] for name, url in urls.items()}  # fmt: skip
        base = urls["moments"].removesuffix("/predictions")
        posterior = bayes.Posterior.from_bytes(client.get(f"{base}/versions/1/posterior").content)
    for method in METHODS:
        expected = bayes.predict(posterior, torch.from_numpy(images[:most]), method=method)
        assert isinstance(expected, bayes.CategoricalPrediction)
        answers = [answer.json() for answer in said[method]]
        assert all(answer["method"] == method for answer in answers)
        found = torch.tensor([answer["outputs"][0]["probabilities"] for answer in answers], dtype=torch.float64)
        torch.testing.assert_close(found, expected.probabilities.double(), rtol=1e-3, atol=1e-5)
        if method == "mean":
            plain = torch.tensor([answer.json()["probabilities"][0] for answer in said[BARE]], dtype=torch.float64)
            torch.testing.assert_close(plain, found, rtol=1e-3, atol=1e-5)


def measure(urls: Mapping[str, str], posts: Sequence[bytes], *, rounds: int, seconds: float) -> dict[str, Any]:
    """Of each contender and number of connections what the rounds saw, after one that warms up."""
    order = Random(SEED)  # noqa: S311
    measured: dict[str, Any] = {
        name: {str(count): {"p50_ms": [], "p99_ms": [], "per_second": []} for count in CONNECTIONS} for name in urls
    }
    for url in urls.values():
        for count in CONNECTIONS:
            wrk.load(url, posts, connections=count, seconds=min(2.0, seconds))
    for _ in track(range(rounds), description="rounds"):
        for count in CONNECTIONS:
            for name in order.sample(sorted(urls), len(urls)):
                seen = wrk.load(urls[name], posts, connections=count, seconds=seconds)
                kept = measured[name][str(count)]
                kept["p50_ms"].append(round(seen.p50_ms, 3))
                kept["p99_ms"].append(round(seen.p99_ms, 3))
                kept["per_second"].append(round(seen.per_second, 1))
    return measured


def claims(result: Mapping[str, Any]) -> list[Claim]:
    """Which bounds the measurement keeps."""
    of: Mapping[str, Any] = result["measured"]
    alone = {name: of[name]["1"] for name in of}
    many = {name: of[name]["32"]["per_second"] for name in of}
    latency = ratio(alone["moments"]["p50_ms"], alone[BARE]["p50_ms"])
    tail, other = (ratio(alone[name]["p99_ms"], alone[name]["p50_ms"]) for name in ("moments", BARE))
    ours, theirs = (figure(alone[name]["p50_ms"]) for name in ("moments", BARE))
    found = [
        Claim(
            "A prediction with its uncertainty, one client: median beside a bare FastAPI route's plain net",
            f"{latency}x: {ours.middle:.2f} ms, the route {theirs.middle:.2f} ms",
            f"≤ {P50_MAX:g}x",
            latency.middle <= P50_MAX,
        ),
        Claim(
            "Its 99th percentile beside its median",
            f"{tail}x: {figure(alone['moments']['p99_ms']).middle:.2f} ms; the route's {other}x",
            f"≤ {P99_MAX:g}x",
            tail.middle <= P99_MAX,
        ),
    ]
    for method, least in PER_SECOND_LEAST.items():
        rate = ratio(many[method], many[BARE])
        words = f"Answers per second at 32 connections by {method}, beside the bare route"
        found.append(Claim(words, f"{rate}x: {_rates(many, method)}", f"≥ {least:g}x", rate.middle >= least))
    return [*found, _ensemble(alone, many)]


def _ensemble(alone: Mapping[str, Any], many: Mapping[str, Any]) -> Claim:
    latency: Figure = figure(alone["ensemble"]["p50_ms"])
    words = f"The same by an ensemble of {SAMPLES} nets, where one is asked for"
    return Claim(words, f"{latency} ms; {_rates(many, 'ensemble')}")


def _rates(many: Mapping[str, Sequence[float]], name: str) -> str:
    return f"{figure(many[name]).middle:,.0f}/s, the route {figure(many[BARE]).middle:,.0f}/s"


if __name__ == "__main__":
    main()
