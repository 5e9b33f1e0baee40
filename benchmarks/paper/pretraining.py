"""Weights w* learned on old classes, and the old rows that a Laplace prior is measured on."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import safetensors.torch

import bayes
from bayes.weights import weights_of
from benchmarks.paper.images import Rows, cache_folder
from benchmarks.paper.lines import Line


def pretrained(line: Line, old: Rows, *, device: str) -> bayes.Pretrained:
    """What the prior of the line is made of: w*, and for a Laplace prior some of the rows it was learned from.

    w* is fine-tuned on the first `old_rows` of the old rows, which come shuffled. It is learned once and then kept in
    the cache folder, so that all lines of a seed start from the same.
    """
    rows = old.at(slice(0, line.old_rows))
    learned = bayes.Chunk(rows.images, rows.labels)
    model = bayes.Model.from_description(line.old_description())
    kept = _place(learned, model)
    if not kept.exists():
        posterior, _ = bayes.absorb(bayes.root(model), learned, model.recipe, device=device)
        _keep(kept, safetensors.torch.save(weights_of(posterior)))
    batch = safetensors.torch.save({"x": rows.images[: line.old_batch_rows].contiguous()})
    return bayes.Pretrained(kept.read_bytes(), batch if line.prior == "laplace" else None)


def _place(rows: bayes.Chunk, model: bayes.Model) -> Path:
    content = json.dumps([rows.digest, model.to_description()], sort_keys=True)
    return cache_folder() / "pretrained" / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.safetensors"


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
