"""What a line sees: parts that arrive one after another, and rows it is scored on and never sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate

from bayes.determinism import generator
from benchmarks.paper.images import VALIDATION_ROWS, Dataset, Rows

StreamName = Literal["all", "new-classes", "rotation", "relabeling"]
HeldOutName = Literal["test", "validation"]

CLASSES = 10
OLD_CLASSES = 5
DEGREES_MOST = 90.0


@dataclass(frozen=True)
class Stream:
    """The parts in their order, the rows held out, and those that weights can be pretrained on."""

    name: StreamName
    parts: tuple[Rows, ...]
    held_out: Rows
    old: Rows | None

    @property
    def classes(self) -> int:
        return CLASSES - OLD_CLASSES if self.name == "new-classes" else CLASSES

    def held_out_at(self, part: int) -> Rows:
        """The rows held out, as the world looks when this part, counted from 0, arrives."""
        return _drifted(self.name, self.held_out, part, len(self.parts))


def stream(
    dataset: Dataset, name: StreamName, held_out: HeldOutName, *, parts: int, part_rows: int, seed: int
) -> Stream:
    """So many parts of so many rows, drawn without replacement; the seed chooses order and old classes.

    Fewer but larger parts of as many rows in all have the same rows. "all": every class; "new-classes": the classes
    that are not old, numbered anew; "rotation": all, turned from 0 to 90 degrees from the first part to the last;
    "relabeling": all, and in the second half of the parts every label is the next one's.
    """
    known, held = split(dataset, held_out)
    old = None
    if name == "new-classes":
        classes = torch.randperm(CLASSES, generator=generator("cpu", "paper classes", str(seed)))
        old = _shuffled(_only(known, classes[:OLD_CLASSES]), seed)
        known, held = (_only(rows, classes[OLD_CLASSES:]) for rows in (known, held))
    wanted = parts * part_rows
    assert wanted <= len(known.labels), f"{name} has {len(known.labels)} rows, not {parts} x {part_rows}"
    order = torch.randperm(len(known.labels), generator=generator("cpu", "paper rows", str(seed)))[:wanted]
    arriving = (known.at(index) for index in order.view(parts, part_rows))
    drifted = tuple(_drifted(name, rows, part, parts) for part, rows in enumerate(arriving))
    return Stream(name, drifted, held, old)


def split(dataset: Dataset, held_out: HeldOutName) -> tuple[Rows, Rows]:
    """The rows that parts are drawn from and the rows held out, which are disjoint."""
    match held_out:
        case "test":
            return dataset.train, dataset.test
        case "validation":
            first = len(dataset.train.labels) - VALIDATION_ROWS[dataset.name]
            return dataset.train.at(slice(0, first)), dataset.train.at(slice(first, None))
        case _:
            assert_never(held_out)


def _only(rows: Rows, classes: Tensor) -> Rows:
    """The rows of these classes, whose places in the list are their labels from now on."""
    place = torch.full((CLASSES,), -1)
    place[classes] = torch.arange(len(classes))
    labels = place[rows.labels]
    index = (labels >= 0).nonzero().squeeze(1)
    return Rows(rows.images[index], labels[index])


def _shuffled(rows: Rows, seed: int) -> Rows:
    return rows.at(torch.randperm(len(rows.labels), generator=generator("cpu", "paper old rows", str(seed))))


def _drifted(name: StreamName, rows: Rows, part: int, parts: int) -> Rows:
    match name:
        case "all" | "new-classes":
            return rows
        case "rotation":
            degrees = DEGREES_MOST * part / max(1, parts - 1)
            return Rows(rotate(rows.images, degrees, InterpolationMode.BILINEAR), rows.labels)
        case "relabeling":
            return rows if part < parts // 2 else Rows(rows.images, (rows.labels + 1) % CLASSES)
        case _:
            assert_never(name)
