"""The labeled rows that one update absorbs."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import assert_never

import torch
from torch import Tensor

from bayes.errors import InvalidChunk, InvalidInputs
from bayes.inputs import Input
from bayes.outputs import Categorical, Gaussian, Output


@dataclass(frozen=True, eq=False)
class Chunk:
    """Rows of inputs [rows, *shape] as they arrived, and their labels: int64 [rows] or float32 [rows, dims].

    A row of weight w counts as w rows; without weights every row counts once.

    Raises:
        InvalidChunk: there is no row, or the parts differ in rows or are no tensors, or a weight is negative or not
            finite, or all are 0.
    """

    inputs: Tensor
    labels: Tensor
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("inputs", "labels", "weights"):
            part: object = getattr(self, name)
            if isinstance(part, Tensor):
                object.__setattr__(self, name, part.detach())
            elif name != "weights" or part is not None:
                kind = f"{type(part).__module__}.{type(part).__qualname__}"
                raise InvalidChunk(f"{name} are a {kind}; give a tensor, such as torch.as_tensor makes of an array")
        if self.inputs.dim() == 0 or self.labels.dim() == 0 or len(self.inputs) != len(self.labels):
            raise InvalidChunk(f"inputs {list(self.inputs.shape)} and labels {list(self.labels.shape)} do not pair up")
        if self.rows == 0:
            raise InvalidChunk("there are no rows")
        if self.weights is None:
            return
        if self.weights.dtype != torch.float32 or self.weights.shape != (self.rows,):
            raise InvalidChunk(
                f"weights are {self.weights.dtype} {list(self.weights.shape)}; not float32 [{self.rows}]"
            )
        if not bool(torch.isfinite(self.weights).all() and (self.weights >= 0).all() and self.weights.sum() > 0):
            raise InvalidChunk("weights must be finite, none negative, and not all 0")

    @property
    def rows(self) -> int:
        return len(self.inputs)

    @cached_property
    def digest(self) -> str:
        """A name for the content: `sha256:` and 64 hexadecimal digits."""
        parts = {"inputs": self.inputs, "labels": self.labels}
        if self.weights is not None:
            parts["weights"] = self.weights
        sha = hashlib.sha256()
        for name, tensor in parts.items():
            sha.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
            sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return f"sha256:{sha.hexdigest()}"

    def check(self, rows: Input, output: Output) -> None:
        """The rows fit a model with this input and output.

        Raises:
            InvalidChunk: they do not.
        """
        try:
            rows.check(self.inputs)
        except InvalidInputs as fault:
            raise InvalidChunk(str(fault)) from fault
        labels = self.labels
        match output:
            case Categorical(classes):
                if labels.dtype != torch.int64 or labels.dim() != 1:
                    raise InvalidChunk(f"labels are {labels.dtype} {list(labels.shape)}; the model takes int64 [rows]")
                if int(labels.min()) < 0 or int(labels.max()) >= classes:
                    raise InvalidChunk(f"labels must be class indices from 0 to {classes - 1}")
            case Gaussian(dims):
                if labels.dtype != torch.float32 or labels.shape[1:] != (dims,):
                    found = f"{labels.dtype} {list(labels.shape)}"
                    raise InvalidChunk(f"labels are {found}; the model takes float32 [rows, {dims}]")
                if not bool(torch.isfinite(labels).all()):
                    raise InvalidChunk("labels contain NaN or infinity")
            case _:
                assert_never(output)
