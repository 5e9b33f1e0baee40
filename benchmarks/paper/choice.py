"""Which lines of a set are asked for, and variants of them to choose a recipe from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from benchmarks.paper.lines import Line
from benchmarks.paper.sets import Experiment, Row
from benchmarks.paper.sizes import on_validation


def chosen(experiments: Sequence[Experiment], asked: argparse.Namespace) -> tuple[Experiment, ...]:
    """The experiments with the rows, seeds and variants that were asked for; those without any row are left out."""
    named = [e for e in experiments if not asked.only or e.name in asked.only]
    cut = [replace(e, rows=tuple(_rows(e, asked))) for e in named]
    return tuple(e for e in cut if e.rows)


def _rows(experiment: Experiment, asked: argparse.Namespace) -> Iterator[Row]:
    for row in experiment.rows:
        if asked.methods and row.label not in asked.methods:
            continue
        for variant in _variants(asked.set):
            named = " ".join(f"{field}={value}" for field, value in variant.items())
            yield Row(f"{row.label} {named}".strip(), tuple(_lines(row, asked, variant)))


def _lines(row: Row, asked: argparse.Namespace, variant: Mapping[str, str | float]) -> Iterator[Line]:
    seeds = asked.seeds or [line.seed for line in row.lines]
    for seed in seeds:
        line = replace(row.lines[0], seed=seed)
        line = replace(line, recipe={**line.recipe, **variant})
        if asked.tune:
            line = on_validation(line)
        # Of joint training, whose one part is all rows, a part of the parts is none.
        yield replace(line, parts=min(line.parts, asked.parts)) if asked.parts else line


def _variants(given: Sequence[str]) -> Iterator[Mapping[str, str | float]]:
    """Every combination of the values, given as field=value,value for each field."""
    fields = [field for field, _, _ in (text.partition("=") for text in given)]
    values = [text.partition("=")[2].split(",") for text in given]
    for combination in product(*values):
        yield dict(zip(fields, map(_value, combination), strict=True))


def _value(text: str) -> str | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
