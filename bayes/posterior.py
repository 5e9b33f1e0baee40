"""A posterior: an immutable value, and the bytes that are the same whenever it is."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BufferedIOBase, BytesIO
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from bayes import fixed, likelihoods
from bayes.errors import InvalidDescription, UnreadablePosterior
from bayes.families import FAMILIES, Family, FamilyName, family_names
from bayes.families.parts import Tensors
from bayes.fields import Fields
from bayes.fixed import FIXED
from bayes.inputs import Input, read_input, write_input
from bayes.layers import Network, Shape
from bayes.nets import Net, network, read_net, write_net
from bayes.outputs import Output, read_output, write_output

FORMAT = 1
METADATA_KEY = "posterity"
SAFETENSORS_METADATA = "__metadata__"
HEADER_BYTES_MAX = 2**26
NO_SAFETENSORS = (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError)


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is believed after `chunks` chunks (0: the root prior); its tensors are float32 on the CPU.

    A tensor's name is its layer's and its family's key, as in `conv1.weight.mu`; those of the likelihood are
    under `output`, scales and shifts that are never learned under `fixed`.
    """

    family: FamilyName
    net: Net
    input: Input
    output: Output
    tensors: Tensors
    chunks: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    @property
    def network(self) -> Network:
        return network(self.net, self.input.shape, self.output.units)

    @property
    def rules(self) -> Family:
        """The family's functions."""
        return FAMILIES[self.family]

    @property
    def nbytes(self) -> int:
        """The memory that its tensors hold, in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def layer(self, name: str) -> dict[str, Tensor]:
        """The tensors of one layer, or those under "output" or "fixed", by their key."""
        prefix = f"{name}."
        return {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}

    def to_bytes(self) -> bytes:
        """The posterior as safetensors with one metadata key; equal posteriors have equal bytes.

        There is one key because safetensors writes several in random order.
        """
        text = json.dumps(self._described(), sort_keys=True, separators=(",", ":"))
        return safetensors.torch.save(dict(self.tensors), metadata={METADATA_KEY: text})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Posterior":
        """The posterior whose `to_bytes` these are.

        Raises:
            UnreadablePosterior: they are not safetensors, of an unknown format, or not what they describe.
        """
        try:
            tensors = safetensors.torch.load(data)
        except NO_SAFETENSORS as fault:
            raise UnreadablePosterior(f"the bytes are not safetensors: {fault}") from fault
        posterior = cls._of(tensors, _metadata(_header(BytesIO(data))[0]))
        _check_finite(tensors)
        return posterior

    @classmethod
    def read(cls, file: BufferedIOBase) -> "Posterior":
        """The posterior whose `to_bytes` the file holds, each tensor in memory of its own.

        Whoever compares the file with its digest knows that the numbers are those that were written, and these were
        finite.

        Raises:
            UnreadablePosterior: as from `from_bytes`, but that numbers are not looked at.
            OSError: the file cannot be read.
        """
        try:
            header, begin = _header(file)
            return cls._of(_tensors(file, header, begin), _metadata(header))
        except NO_SAFETENSORS as fault:
            raise UnreadablePosterior(f"the bytes are not safetensors: {fault}") from fault

    @classmethod
    def _of(cls, tensors: Tensors, described: object) -> "Posterior":
        try:
            fields = Fields(described, "")
            fields.whole("format", least=FORMAT, most=FORMAT)
            posterior = cls(
                family=fields.choice("family", family_names()),
                net=read_net(fields.take("net")),
                input=read_input(fields.take("input")),
                output=read_output(fields.take("output")),
                chunks=fields.whole("chunks", least=0),
                tensors=tensors,
            )
            fields.close()
            expected = shapes(posterior)
            if posterior._described() != described:
                raise UnreadablePosterior("its description leaves something out")
        except InvalidDescription as fault:
            raise UnreadablePosterior(f"its description is not readable: {fault}") from fault
        _check(tensors, expected)
        return posterior

    def _described(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "family": self.family,
            "net": write_net(self.net),
            "input": write_input(self.input),
            "output": write_output(self.output),
            "chunks": self.chunks,
        }

    @cached_property
    def digest(self) -> str:
        """The digest of the posterior's bytes."""
        return digest_of(self.to_bytes())


def digest_of(data: bytes) -> str:
    """The name of these bytes: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def shapes(posterior: Posterior) -> dict[str, Shape]:
    """The tensors that a posterior of this net, family and output has."""
    layers = {layer.name: posterior.rules.shapes(layer) for layer in posterior.network.weighted}
    parts = {**layers, FIXED: fixed.shapes(posterior.network), likelihoods.OWN: likelihoods.shapes(posterior.output)}
    return {f"{name}.{key}": shape for name, keys in parts.items() for key, shape in keys.items()}


def is_alike(one: Posterior, other: Posterior) -> bool:
    """Both are of one family, and of one net with the same inputs and outputs."""
    return (one.family, one.net, one.input, one.output) == (other.family, other.net, other.input, other.output)


def join(parts: Mapping[str, Tensors]) -> dict[str, Tensor]:
    """Tensors by their full names, from the tensors of each layer."""
    return {f"{name}.{key}": tensor for name, tensors in parts.items() for key, tensor in tensors.items()}


def _header(file: BufferedIOBase) -> tuple[dict[str, Any], int]:
    """What safetensors say of themselves, and where the first tensor begins."""
    length = file.read(8)
    size = int.from_bytes(length, "little")
    if len(length) < 8 or not 0 < size <= HEADER_BYTES_MAX:
        raise UnreadablePosterior("the bytes are not safetensors: they do not begin with a header")
    header = json.loads(file.read(size))
    if not isinstance(header, dict):
        raise UnreadablePosterior("the bytes are not safetensors: their header is not an object")
    return header, 8 + size


def _tensors(file: BufferedIOBase, header: Mapping[str, Any], begin: int) -> dict[str, Tensor]:
    nbytes = file.seek(0, os.SEEK_END) - begin
    tensors: dict[str, Tensor] = {}
    for name, said in header.items():
        if name == SAFETENSORS_METADATA:
            continue
        first, end = said["data_offsets"]
        if said["dtype"] != "F32" or not 0 <= first <= end <= nbytes or prod(said["shape"]) * 4 != end - first:
            raise UnreadablePosterior(f"tensor {name!r} is {said}; it must be float32, and within the file")
        tensors[name] = torch.empty(said["shape"], dtype=torch.float32)
        file.seek(begin + first)
        _fill(file, tensors[name].numpy().reshape(-1).view(np.uint8).data)
    return tensors


def _fill(file: BufferedIOBase, data: memoryview) -> None:
    filled = 0
    while filled < len(data):
        count = file.readinto(data[filled:])
        if not count:
            raise UnreadablePosterior("the bytes end within a tensor")
        filled += count


def _metadata(header: Mapping[str, Any]) -> object:
    metadata = header.get(SAFETENSORS_METADATA, {})
    if list(metadata) != [METADATA_KEY]:
        raise UnreadablePosterior(f"its metadata has the keys {sorted(metadata)}; it must have one, {METADATA_KEY!r}")
    try:
        return json.loads(metadata[METADATA_KEY])
    except (json.JSONDecodeError, RecursionError) as fault:
        raise UnreadablePosterior(f"its metadata is not JSON: {fault}") from fault


def _check(tensors: Tensors, expected: Mapping[str, Shape]) -> None:
    for name in sorted(expected.keys() ^ tensors.keys()):
        raise UnreadablePosterior(f"tensor {name!r} is {'missing' if name in expected else 'not known'}")
    for name, shape in expected.items():
        tensor = tensors[name]
        if tensor.dtype != torch.float32 or tuple(tensor.shape) != shape:
            found = f"{tensor.dtype} {list(tensor.shape)}"
            raise UnreadablePosterior(f"tensor {name!r} is {found}; it must be float32 {list(shape)}")


def _check_finite(tensors: Tensors) -> None:
    for name, tensor in tensors.items():
        # Most sums of finite numbers are finite, and are known in a fraction of the time.
        if tensor.numel() and not bool(tensor.sum().isfinite()) and not bool(tensor.isfinite().all()):
            raise UnreadablePosterior(f"tensor {name!r} contains NaN or infinity")
