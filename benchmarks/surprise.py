"""Poisoned and drifted batches told from clean ones: `python -m benchmarks.surprise --data <root>` writes its result.

MNIST, ten batches of 500 rows drawn without replacement, each a chunk of its own that the automatic recipe absorbs,
surprising or not. Of every seed there are these streams: a clean one; one of which a batch has its labels shuffled, and
is learned all the same; and for each angle one whose images are turned from a batch on, of which the first turned batch
is judged, as those after it are of a world that the model is learning. The place of that batch, third to tenth, is
drawn by the seed. The bounds are on all streams of the MLP at the default threshold; those of LeNet-5, which moves its
images as it learns and so minds a turn less, milder turns, and labels of which only some are shuffled have none. The
statistic and its threshold were chosen on the streams of the seeds 101 to 112, which are none of these.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torchvision.transforms.functional import InterpolationMode, rotate

import bayes
from bayes.surprise import REFERENCES_LEAST, THRESHOLD
from benchmarks import mnist, record
from benchmarks.figures import Claim, figure
from benchmarks.mnist import Rows

CHUNKS, CHUNK_ROWS = 10, 500
SEEDS: Mapping[str, Sequence[int]] = {"mlp": range(1, 21), "lenet5": range(1, 5)}
NETS: Mapping[str, Mapping[str, object]] = {"mlp": {"kind": "mlp", "hidden": [100]}, "lenet5": {"kind": "lenet5"}}
ANGLES, ANGLES_MILD = (30, 45, 90), (15, 20)
"""In degrees; the bound is on the first three."""
SHARES = (0.05, 0.2)
"""Of a batch's labels, shuffled among themselves."""
DETECTED_LEAST, FALSE_MOST = 0.95, 0.05


@dataclass(frozen=True)
class Streams:
    """The streams of one seed: z of every batch of two of them, and of the batch at `place` of the others."""

    seed: int
    place: int
    clean: list[float]
    poisoned: list[float]
    turned: dict[str, float]
    shuffled: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description="Detection and false alarms of the surprise of batches of MNIST.")
    parser.add_argument("--data", type=Path, required=True, help="the folder that has MNIST/raw, or is to have it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    train = mnist.read(given.data, train=True)
    result: dict[str, Any] = {
        "what": f"{CHUNKS} batches of {CHUNK_ROWS} rows of MNIST, one of them poisoned, or drifted from one on",
        "threshold": THRESHOLD,
        "bounds": {"detected_least": DETECTED_LEAST, "false_most": FALSE_MOST},
        "seeds": {name: list(seeds) for name, seeds in SEEDS.items()},
        **record.surroundings(),
        "nets": {},
    }
    for name, net in NETS.items():
        model = bayes.Model.from_description(
            {**mnist.DESCRIPTION, "net": net, "chunk": {"rows": CHUNK_ROWS}, "recipe": "auto"}
        )
        streams = [
            measured(model, mnist.stream(train, seed, chunks=CHUNKS, chunk_rows=CHUNK_ROWS)[0], seed)
            for seed in track(SEEDS[name], description=name)
        ]
        result["nets"][name] = {**summary(streams), "streams": [rounded(each) for each in streams]}
    record.write("surprise", result)
    print(json.dumps([claim.cells for claim in claims(result)], indent=2))


def measured(model: bayes.Model, batches: Sequence[Rows], seed: int) -> Streams:
    """All streams of one seed; they share their batches, and the versions before the first bad one."""
    stream = torch.Generator().manual_seed(seed)
    place = place_of(len(batches), stream)
    bad = batches[place]
    versions = list(line(model, bayes.root(model), batches[:-1]))
    clean = [scored(version, rows) for version, rows in zip(versions, batches, strict=True)]

    def z_of(rows: Rows) -> float:
        return bayes.surprise(scored(versions[place], rows), clean[:place]).z

    wrong = [shuffled(bad, 1.0, stream), *batches[place + 1 :]]
    after = line(model, versions[place], wrong[:-1])
    poisoned = [*clean[:place], *(scored(version, rows) for version, rows in zip(after, wrong, strict=True))]
    return Streams(
        seed=seed,
        place=place,
        clean=zs(clean),
        poisoned=zs(poisoned),
        turned={str(angle): z_of(turned(bad, angle)) for angle in (*ANGLES, *ANGLES_MILD)},
        shuffled={f"{share:.0%}": z_of(shuffled(bad, share, stream)) for share in SHARES},
    )


def place_of(batches: int, stream: torch.Generator) -> int:
    """Where the bad batch comes, from the third on."""
    return int(torch.randint(REFERENCES_LEAST, batches, (1,), generator=stream))


def line(model: bayes.Model, first: bayes.Posterior, batches: Sequence[Rows]) -> Iterable[bayes.Posterior]:
    """The first version, and the one after each of the batches, all of which are absorbed."""
    yield first
    for rows in batches:
        first, _ = bayes.absorb(first, bayes.Chunk(*rows), model.recipe)
        yield first


def scored(version: bayes.Posterior, rows: Rows) -> bayes.Scores:
    return bayes.Scores.of(bayes.predict(version, rows.images), rows.labels)


def zs(stream: Sequence[bayes.Scores]) -> list[float]:
    """Of every batch, beside those before it."""
    return [bayes.surprise(now, stream[:place]).z for place, now in enumerate(stream)]


def shuffled(rows: Rows, share: float, stream: torch.Generator) -> Rows:
    """The rows with so many of their labels, drawn at random, in random order among each other."""
    drawn = torch.randperm(len(rows.labels), generator=stream)[: round(share * len(rows.labels))]
    labels = rows.labels.clone()
    labels[drawn] = labels[drawn[torch.randperm(len(drawn), generator=stream)]]
    return Rows(rows.images, labels)


def turned(rows: Rows, angle: float) -> Rows:
    """The rows with their images turned by so many degrees."""
    return Rows(rotate(rows.images, angle, interpolation=InterpolationMode.BILINEAR), rows.labels)


def summary(streams: Sequence[Streams]) -> dict[str, Any]:
    """How many batches of each kind raised the alarm, and of which z."""
    drifted = {angle: counted([each.turned[angle] for each in streams]) for angle in streams[0].turned}
    return {
        "clean": counted([z for each in streams for z in each.clean[REFERENCES_LEAST:]]),
        "after_poison": counted([z for each in streams for z in each.poisoned[each.place + 1 :]]),
        "poisoned": counted([each.poisoned[each.place] for each in streams]),
        "poisoned_above_all": sum(max(each.poisoned) == each.poisoned[each.place] for each in streams),
        "turned": {"all": counted([each.turned[str(angle)] for each in streams for angle in ANGLES]), **drifted},
        "shuffled": {share: counted([each.shuffled[share] for each in streams]) for share in streams[0].shuffled},
    }


def counted(values: Sequence[float]) -> dict[str, Any]:
    """How many of these are alarms, with their median, least and most; none of which is where there is no value."""
    spread = {name: round(value, 2) for name, value in vars(figure(values)).items()} if values else {}
    return {"batches": len(values), "alarms": sum(z >= THRESHOLD for z in values), **spread}


def rounded(streams: Streams) -> dict[str, Any]:
    """The streams as JSON, two digits behind the point of every z."""
    made: dict[str, Any] = json.loads(json.dumps(vars(streams)), parse_float=lambda text: round(float(text), 2))
    return made


def claims(result: Mapping[str, Any]) -> list[Claim]:
    bounds, of, lenet = result["bounds"], result["nets"]["mlp"], result["nets"]["lenet5"]
    seeds, angles = len(result["seeds"]["mlp"]), _and([f"{angle}" for angle in ANGLES])
    detected, false = f"≥ {bounds['detected_least']:.0%}", f"≤ {bounds['false_most']:.0%}"
    poisoned, turned = of["poisoned"], of["turned"]["all"]
    are_few = [_part(of[name]) <= bounds["false_most"] for name in ("clean", "after_poison")]
    return [
        Claim(
            f"Batches with shuffled labels that surprise; {seeds} streams of ten batches of 500 rows of MNIST, an MLP",
            f"{_found(poisoned)}; above every clean batch of its stream: {of['poisoned_above_all']} of {seeds}",
            f"{detected}, and above all",
            _part(poisoned) >= bounds["detected_least"] and of["poisoned_above_all"] == seeds,
        ),
        Claim(
            f"First batches that are turned, by {angles} degrees, that surprise",
            _found(turned),
            detected,
            _part(turned) >= bounds["detected_least"],
        ),
        Claim(
            "Clean batches that surprise: of clean streams; after a poisoned batch that was learned",
            f"{_found(of['clean'])}; {_found(of['after_poison'])}",
            f"{false} of both",
            all(are_few),
        ),
        Claim(
            "How many batches surprise with some labels shuffled, and with images turned by so many degrees; the MLP",
            _milder(of),
        ),
        Claim(
            f"The same with LeNet-5, which learns from moved images, {len(result['seeds']['lenet5'])} streams",
            f"all shuffled {_alarms(lenet['poisoned'])}, {_milder(lenet)}, clean {_alarms(lenet['clean'])}",
        ),
    ]


def _milder(of: Mapping[str, Any]) -> str:
    shares = [f"{share} shuffled {_alarms(found)}" for share, found in of["shuffled"].items()]
    by_angle = {int(angle): found for angle, found in of["turned"].items() if angle != "all"}
    angles = [f"turned by {angle} {_alarms(by_angle[angle])}" for angle in sorted(by_angle)]
    return ", ".join([*shares, *angles])


def _found(of: Mapping[str, Any]) -> str:
    return f"{_alarms(of)}, z {of['middle']} ({of['least']} to {of['most']})"


def _alarms(of: Mapping[str, Any]) -> str:
    return f"{of['alarms']} of {of['batches']}"


def _part(of: Mapping[str, Any]) -> float:
    return float(of["alarms"] / of["batches"])


def _and(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


if __name__ == "__main__":
    main()
