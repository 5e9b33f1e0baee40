"""`python -m bayes`: the weights of a torchvision model as a safetensors file, for priors to start from."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from bayes.posterior import digest_of

SHAPE = (3, 224, 224)
"""Any that every model takes: only the names of the layers are asked for."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the file, and tells its digest, which is how a prior names it."""
    parser = argparse.ArgumentParser(prog="python -m bayes", description=__doc__)
    parser.add_argument("model", help="a classification model of torchvision, such as resnet18")
    parser.add_argument("file", type=Path, help="the safetensors file to write")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--weights", default="DEFAULT", help="torchvision's name of the weights, which it downloads")
    source.add_argument("--state", type=Path, help="a state_dict of yours, saved by torch.save, instead")
    stated = parser.parse_args(arguments)
    data = safetensors.torch.save(weights(stated.model, _state(stated.model, stated.weights, stated.state)))
    stated.file.write_bytes(data)
    sys.stdout.write(f"{digest_of(data)}  {stated.file}\n")


def weights(model: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a state_dict the net of this name computes with; a prior reads it under just these names."""
    from bayes import torchvision_nets  # noqa: PLC0415 - Not needed to read what this module says.

    network = torchvision_nets.trace(model, SHAPE, 1000)
    names = {layer.name for layer in network.weighted} | {layer.name for layer in network.affine}
    return {key: tensor.contiguous() for key, tensor in state.items() if key.rpartition(".")[0] in names}


def _state(model: str, weights: str, file: Path | None) -> dict[str, Tensor]:
    import torchvision  # noqa: PLC0415 - As above.

    if file is not None:
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    return dict(torchvision.models.get_model(model, weights=weights).state_dict())


if __name__ == "__main__":
    main()
