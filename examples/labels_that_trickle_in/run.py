"""Labels that arrive later, for kept predictions: the rows that a model doubts are asked first, against rows at random.

`python examples/labels_that_trickle_in/run.py` starts a service of its own and leaves nothing running.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from client import Client
from client.demo.place import run_example
from client.demo.report import Report

HELD_OUT = 597
TOGETHER = 10
"""Labels of one request: they come in parts, and in no order."""

Rows = NDArray[np.int64]
Choose = Callable[[NDArray[np.float64], np.random.Generator], Rows]


@dataclass(frozen=True)
class Digits:
    """Images that come without labels, and others to measure with."""

    images: NDArray[np.uint8]
    truths: NDArray[np.int64]
    held_out: NDArray[np.uint8]
    held_out_truths: NDArray[np.int64]


@dataclass(frozen=True)
class Course:
    """How much is labeled: so many rows at random to begin with, then rounds of so many."""

    first: int
    per_round: int
    rounds: int

    @property
    def rows(self) -> list[int]:
        """Rows labeled after each round."""
        return [self.first + self.per_round * number for number in range(self.rounds + 1)]


def by_doubt(mutual_information: NDArray[np.float64], generator: np.random.Generator) -> Rows:
    """An order in which the chance of each row to come next is in proportion to its mutual information.

    The rows with the most of it, taken all at once, are of a few classes and much alike: a chunk of them teaches less
    than one at random.

    Source: Kirsch et al. 2023, *Stochastic Batch Acquisition: A Simple Baseline for Deep Active Learning* (PowerBALD).
    """
    weights = np.log(np.clip(mutual_information, 1e-12, None))
    return np.argsort(-(weights + generator.gumbel(size=len(weights))))


def by_chance(mutual_information: NDArray[np.float64], generator: np.random.Generator) -> Rows:
    return generator.permutation(len(mutual_information))


ARMS: dict[str, Choose] = {"doubt": by_doubt, "chance": by_chance}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running service; without, one of its own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--first", type=int, default=100, help="rows labeled at random to begin with")
    parser.add_argument("--per-round", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=6)
    asked = parser.parse_args()
    course = Course(asked.first, asked.per_round, asked.rounds)
    title = "Labels that trickle in: scikit-learn's handwritten digits"
    return run_example(title, lambda client, report: compare(client, report, asked.seeds, course), url=asked.url)


def compare(client: Client, report: Report, seeds: list[int], course: Course) -> None:
    """Both ways of choosing rows were followed with every seed; the table, and what holds of it, is printed."""
    report.say(
        f"{course.first} rows are labeled at random, then {course.per_round} a round; {HELD_OUT} others are held out."
    )
    curves = {
        arm: np.array([follow(client, digits(seed), course, choose=choose, seed=seed) for seed in seeds])
        for arm, choose in ARMS.items()
    }
    report.title("labels   accuracy, rows asked by doubt       accuracy, rows asked by chance      difference")
    report.say("         mean   (least to most)            mean   (least to most)")
    for place, rows in enumerate(course.rows):
        doubt, chance = (curves[arm][:, place] for arm in ARMS)
        report.say(f"{rows:6d}   {spread(doubt)}            {spread(chance)}          {(doubt - chance).mean():+.4f}")
    last = {arm: curve[:, -1] for arm, curve in curves.items()}
    gained = curves["doubt"][:, 1:].mean() - curves["chance"][:, 1:].mean()
    wrong = {arm: float(1 - curve.mean()) for arm, curve in last.items()}
    report.say()
    report.check(
        holds=bool(gained > 0),
        claim=f"asking by doubt is ahead by {100 * gained:.2f} points on average over the rounds",
    )
    report.check(
        holds=wrong["doubt"] < wrong["chance"],
        claim=f"with {course.rows[-1]} labels it is wrong on {100 * wrong['doubt']:.2f}% of the held-out rows, "
        f"by chance on {100 * wrong['chance']:.2f}% (means of {len(seeds)} seeds)",
    )


def follow(client: Client, rows: Digits, course: Course, *, choose: Choose, seed: int) -> list[float]:
    """The accuracy on the held-out rows after each round of labels.

    Every image is predicted once, when it comes, and kept; its label is posted under the name of that prediction,
    whichever version answered then. Which image is asked for next, head says anew in each round.
    """
    generator = np.random.default_rng(seed)
    model = client.create_model(description(course)).name
    kept = np.array(client.predict(model, rows.images, keep=True).row_ids)
    asked = generator.permutation(len(kept))[: course.first]
    unlabeled = np.setdiff1d(np.arange(len(kept)), asked)
    accuracy = []
    for remaining in reversed(range(course.rounds + 1)):
        post(client, model, [(str(kept[row]), int(rows.truths[row])) for row in asked], generator)
        client.settle(model)
        said = client.predict(model, rows.held_out)
        accuracy.append(float((said.labels == rows.held_out_truths).mean()))
        if remaining:
            doubt = client.predict(model, rows.images[unlabeled]).mutual_information
            asked = unlabeled[choose(doubt, generator)[: course.per_round]]
            unlabeled = np.setdiff1d(unlabeled, asked)
    assert client.model(model).rows == course.rows[-1]
    return accuracy


def post(client: Client, model: str, labels: list[tuple[str, int]], generator: np.random.Generator) -> None:
    """The labels were posted in parts, in no order, and some of them twice; each counts once."""
    order = generator.permutation(len(labels))
    for at in range(0, len(labels), TOGETHER):
        part = [labels[place] for place in order[at : at + TOGETHER]]
        came = client.label(model, part)
        again = client.label(model, part[:1])
        assert len(came.labeled) == len(part), came
        assert (again.rows, len(again.already)) == (0, 1), again


def description(course: Course) -> dict[str, object]:
    return {
        "name": f"trickle-{uuid4().hex[:8]}",
        "net": {"kind": "mlp", "hidden": [64]},
        "input": {"shape": [64], "dtype": "uint8", "std": 16},
        "output": {"kind": "categorical", "classes": 10},
        "chunk": {"rows": course.per_round, "seconds": None},
    }


def digits(seed: int) -> Digits:
    """The digits in an order of this seed's."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    images, truths = x[order].astype(np.uint8), y[order].astype(np.int64)
    return Digits(images[HELD_OUT:], truths[HELD_OUT:], images[:HELD_OUT], truths[:HELD_OUT])


def spread(accuracy: NDArray[np.float64]) -> str:
    return f"{accuracy.mean():.4f} ({accuracy.min():.4f} to {accuracy.max():.4f})"


if __name__ == "__main__":
    sys.exit(main())
