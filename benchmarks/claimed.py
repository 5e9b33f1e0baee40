"""What the results say whose scripts hold them to no bound of their own, or keep it in the result."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from benchmarks.figures import Claim, Figure

Result = Mapping[str, Any]

STEPS = (
    "posterity ffg",
    "posterity ffg, ivon",
    "posterity cfg",
    "plain torch",
    "bayesian-torch",
    "torch-blue",
    "posteriors",
)
OUT_OF_THE_BOX = (
    "posterity ffg, auto",
    "fine-tuning (point), auto",
    "posteriors, rate decays as ours, images moved as ours",
)
PREDICTED = ("posterity, moments", "posterity, means", "posterity, 8 nets", "posterity, 32 nets")


def rollback(result: Result) -> list[Claim]:
    of = result["rollback_and_prediction"]
    figure = f"{of['median_ms']} ms (5 % under {of['p5_ms']}, 5 % over {of['p95_ms']})"
    return [Claim("From asking for a rollback to the first prediction that it changed, one client", figure)]


def step(result: Result) -> list[Claim]:
    """One row for each size of the batches."""
    return [
        Claim(
            f"One training step of {rows} rows beside that of a point, LeNet-5",
            "; ".join(f"{name} {_times_point(of[name])}" for name in STEPS if name in of),
        )
        for rows, of in result["batch_rows"].items()
    ]


def out_of_the_box(result: Result) -> list[Claim]:
    ours, *others = (name for name in OUT_OF_THE_BOX if name in result["scores"])
    accuracy = {name: _percent(result["scores"][name]["accuracy"]["seeds"]) for name in (ours, *others)}
    return [
        Claim(
            "MNIST after ten chunks of 600 rows by the automatic recipe, test accuracy, beside others tuned by hand",
            "; ".join(f"{name} {figure} %" for name, figure in accuracy.items()),
        )
    ]


def predict(result: Result) -> list[Claim]:
    """One row for each number of rows predicted at once."""
    return [
        Claim(
            f"A prediction of {rows} rows beside plain torch's, LeNet-5, in one process",
            "; ".join(
                f"{name.removeprefix('posterity, ')} {of[name]['to_plain']}x" for name in PREDICTED if name in of
            ),
        )
        for rows, of in result["lenet5"].items()
    ]


def quality(result: Result) -> list[Claim]:
    """One row for each score that the moments are held to."""
    found = []
    for name, (least, most) in result["bounds"].items():
        differences = [of["difference"][name] for of in result["posteriors"].values()]
        bound = f"≥ {least:+g}" if most >= 1 else f"≤ {most:+g}" if least <= -1 else f"within {least:+g} and {most:+g}"
        figure = f"{mean(differences):+.4f} ({min(differences):+.4f} to {max(differences):+.4f})"
        words = f"{name} of one pass of moments less that of 32 drawn nets, MNIST"
        found.append(Claim(words, figure, bound, result["holds"][name]))
    return found


def _times_point(of: Mapping[str, float]) -> str:
    return f"{of['to_point']:.2f} ({of['to_point_least']:.2f} to {of['to_point_most']:.2f})x"


def _percent(seeds: list[float]) -> str:
    of = Figure(mean(seeds), min(seeds), max(seeds))
    return f"{100 * of.middle:.2f} ({100 * of.least:.2f} to {100 * of.most:.2f})"
