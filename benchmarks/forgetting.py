"""A chunk divided out beside one that was never learned: `python -m benchmarks.forgetting --data <root>`.

It writes results/forgetting.json. MNIST, LeNet-5, family ffg, the automatic recipe, five chunks of 500 rows drawn
without replacement; seeds 1, 2, 3 choose the rows. The second chunk is forgotten: exactly, by learning chunks 3 to 5
again upon the version before it, and approximately, by dividing the fifth version by what the second learned beyond the
first. Beside them stand the head before that, the version before the chunk, and the exact forget done with another
seed of the recipe, which says how far two runs are from each other that never saw the chunk.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

import bayes
from benchmarks import mnist, record
from benchmarks.figures import Claim, Figure, figure
from benchmarks.mnist import Rows

SEEDS, CHUNKS, CHUNK_ROWS, FORGOTTEN = (1, 2, 3), 5, 500, 2
FULL, REPLAY, DIVISION, OTHER, BEFORE = "head", "exact", "divided", "exact, another seed", "before"
ASKED = (FULL, REPLAY, DIVISION, OTHER, BEFORE)

Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that has MNIST, or gets it")
    given = parser.parse_args()
    train, test = (mnist.read(given.data, train=of) for of in (True, False))
    model = bayes.Model.from_description({**mnist.DESCRIPTION, "family": "ffg", "chunk": {"rows": CHUNK_ROWS}})
    measured = []
    for seed in track(SEEDS, description="seeds"):
        chunks, _ = mnist.stream(train, seed, chunks=CHUNKS, chunk_rows=CHUNK_ROWS)
        measured.append(measure(model, chunks, test, forgotten=FORGOTTEN))
    result = {
        "what": "LeNet-5 on MNIST, family ffg, recipe auto: a chunk forgotten exactly and by division",
        "seeds": list(SEEDS),
        "chunks": CHUNKS,
        "chunk_rows": CHUNK_ROWS,
        "forgotten": FORGOTTEN,
        "recipe": model.recipe.to_description(),
        **record.surroundings(),
        **gathered(measured),
    }
    record.write("forgetting", result)
    for claim in claims(result):
        print(f"{claim.words}: {claim.figure}")


def measure(model: bayes.Model, chunks: list[Rows], test: Rows, *, forgotten: int) -> Json:
    """What each posterior says of the test rows and of the forgotten ones; how far it is from the exact one."""
    line = learned([bayes.root(model)], chunks, model.recipe)
    before, after = line[forgotten - 1], line[forgotten]
    others = chunks[forgotten:]
    asked = {
        FULL: line[-1],
        REPLAY: learned([before], others, model.recipe)[-1],
        DIVISION: bayes.unlearn(line[-1], before, after),
        OTHER: learned([before], others, replace(model.recipe, seed=model.recipe.seed + 1))[-1],
        BEFORE: before,
    }
    return {
        "test": {name: scored(one, test) for name, one in asked.items()},
        "forgotten_nll": {name: scored(one, chunks[forgotten - 1])["nll"] for name, one in asked.items()},
        "distance": {name: distance(one, asked[REPLAY]) for name, one in asked.items()},
        "least_precise_share": least_precise_share(line[-1], before, after),
    }


def learned(line: list[bayes.Posterior], chunks: list[Rows], recipe: bayes.Recipe) -> list[bayes.Posterior]:
    """The line, with the versions that learn these chunks one after the other."""
    found = list(line)
    for rows in chunks:
        posterior, _ = bayes.absorb(found[-1], bayes.Chunk(rows.images, rows.labels), recipe)
        found.append(posterior)
    return found


def scored(posterior: bayes.Posterior, rows: Rows) -> dict[str, float]:
    found = bayes.score(bayes.predict(posterior, rows.images), rows.labels)
    return {name: found[name] for name in ("accuracy", "nll")}


def distance(one: bayes.Posterior, other: bayes.Posterior) -> float:
    """Between the means of all weights."""
    return float((means(one) - means(other)).norm())


def means(posterior: bayes.Posterior) -> Tensor:
    return torch.cat([of.double().flatten() for key, of in sorted(posterior.tensors.items()) if key.endswith(".mu")])


def least_precise_share(posterior: bayes.Posterior, before: bayes.Posterior, after: bayes.Posterior) -> float:
    """The share of the weights that division leaves less precision than any had, so that the least precise stands."""
    kept, gone, known = (precisions(one) for one in (posterior, after, before))
    least = torch.stack([kept, gone, known]).amin(0)
    return float((kept + (known - gone) < least).double().mean())


def precisions(posterior: bayes.Posterior) -> Tensor:
    named = sorted(posterior.tensors.items())
    return torch.cat([(-2 * of.double().flatten()).exp() for key, of in named if key.endswith(".log_sigma")])


def gathered(measured: list[Json]) -> Json:
    """The figures of all seeds, side by side; distances as parts of that of the head before."""
    return {
        "accuracy": {name: [one["test"][name]["accuracy"] for one in measured] for name in ASKED},
        "nll": {name: [one["test"][name]["nll"] for one in measured] for name in ASKED},
        "forgotten_nll": {name: [one["forgotten_nll"][name] for one in measured] for name in ASKED},
        "distance_to_exact": {
            name: [one["distance"][name] / one["distance"][FULL] for one in measured] for name in ASKED
        },
        "least_precise_share": [one["least_precise_share"] for one in measured],
    }


def claims(result: Mapping[str, Any]) -> list[Claim]:
    words = f"Chunk {result['forgotten']} of {result['chunks']} forgotten exactly and by division, LeNet-5, MNIST: "
    return [
        Claim(f"{words}test accuracy", _of_each(result["accuracy"], percent=True)),
        Claim(f"{words}test nll", _of_each(result["nll"])),
        Claim(f"{words}nll of the forgotten rows", _of_each(result["forgotten_nll"])),
        Claim(
            f"{words}distance of the means from the exact one's, as a part of the head's",
            f"{_of_each({name: result['distance_to_exact'][name] for name in (DIVISION, OTHER)})}; weights left with "
            f"the least precise term {_percent(figure(result['least_precise_share']))} %",
        ),
    ]


def _of_each(found: Mapping[str, list[float]], *, percent: bool = False) -> str:
    said = {name: figure(values) for name, values in found.items()}
    return "; ".join(f"{name} {_percent(of) + ' %' if percent else _plain(of)}" for name, of in said.items())


def _percent(of: Figure) -> str:
    return f"{100 * of.middle:.2f} ({100 * of.least:.2f} to {100 * of.most:.2f})"


def _plain(of: Figure) -> str:
    return f"{of.middle:.3f} ({of.least:.3f} to {of.most:.3f})"


if __name__ == "__main__":
    main()
