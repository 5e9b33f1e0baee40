"""`python -m bayes`: the weights of a torchvision model as a safetensors file, for priors to start from."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from bayes.errors import InvalidDescription
from bayes.model import Model
from bayes.posterior import digest_of
from bayes.weights import head_of, read_star

SHAPE = (3, 224, 224)
"""Any that every model takes: only the names and shapes of the layers are asked for."""
FOLDED = ("weight", "bias", "running_mean", "running_var")
"""What of a BatchNorm becomes its fixed scale and shift."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the file, and tells its digest, which is how a prior names it.

    Raises:
        SystemExit: no prior could read the file, and nothing is written; one line says why, and the status is 2.
    """
    parser = argparse.ArgumentParser(prog="python -m bayes", description=__doc__)
    parser.add_argument("model", help="a classification model of torchvision, such as resnet18")
    parser.add_argument("file", type=Path, help="the safetensors file to write")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--weights", default="DEFAULT", help="torchvision's name of the weights, which it downloads")
    source.add_argument("--state", type=Path, help="a state_dict of yours, saved by torch.save, instead")
    stated = parser.parse_args(arguments)
    try:
        model = _model(stated.model)
        state = _downloaded(stated.model, stated.weights) if stated.state is None else _loaded(stated.state)
        data = weights(model, state)
        stated.file.write_bytes(data)
    except (InvalidDescription, OSError) as fault:
        parser.exit(2, f"{parser.prog}: {' '.join(str(fault).split())}\n")
    sys.stdout.write(f"{digest_of(data)}  {stated.file}\n")


def weights(model: Model, state: Mapping[str, object]) -> bytes:
    """What of a state_dict the model's net computes with, as safetensors under just these names; a prior reads it.

    Raises:
        InvalidDescription: it is another net's; only its last layer may have any shape, or be missing.
    """
    network = model.network
    names = {layer.name for layer in network.weighted} | {layer.name for layer in network.affine}
    parts = {name.partition(".")[0] for name in names}
    found = {}
    for key, tensor in state.items():
        if key.rpartition(".")[0] in names and isinstance(tensor, Tensor):
            found[key] = tensor.contiguous()
        elif key.partition(".")[0] in parts and not key.startswith(f"{head_of(network).name}."):
            raise InvalidDescription("the state_dict", f"has {key!r}, for which this net has no place")
    needed = [f"{layer.name}.weight" for layer in network.weighted[:-1]]
    needed += [f"{layer.name}.{part}" for layer in network.affine for part in FOLDED]
    for key in needed:
        if key not in found:
            raise InvalidDescription("the state_dict", f"has no tensor {key!r}")
    data = safetensors.torch.save(found)
    try:
        read_star(model, data, with_head=False)
    except InvalidDescription as fault:
        raise InvalidDescription("the state_dict", fault.message) from fault
    return data


def _model(name: str) -> Model:
    output = {"kind": "categorical", "classes": 1000}
    return Model.from_description(
        {"net": {"kind": "torchvision", "name": name}, "input": {"shape": SHAPE}, "output": output}
    )


def _downloaded(name: str, weights: str) -> dict[str, object]:
    import torchvision  # noqa: PLC0415 - Not needed to read what this module says.

    known = torchvision.models.get_model_weights(name)
    if weights.removeprefix(f"{known.__name__}.") not in known.__members__:
        raise InvalidDescription("--weights", f"of {name} must be one of {', '.join(known.__members__)}; not {weights}")
    try:
        return dict(torchvision.models.get_model(name, weights=weights).state_dict())
    except (OSError, RuntimeError) as fault:
        raise InvalidDescription("--weights", f"cannot be downloaded, so use --state: {fault}") from fault


def _loaded(file: Path) -> dict[str, object]:
    """The state_dict in the file: also a checkpoint's `state_dict`, and without the `module.` of DataParallel."""
    with file.open("rb") as opened:
        try:
            loaded = torch.load(opened, map_location="cpu", weights_only=True)
        except Exception as fault:  # What is raised depends on the bytes.
            first = str(fault).partition("\n")[0]
            raise InvalidDescription("--state", f"{file} holds no tensors that torch.load reads: {first}") from fault
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise InvalidDescription("--state", f"{file} holds no state_dict")
    prefix = "module." if all(key.startswith("module.") for key in state) else ""
    return {key.removeprefix(prefix): value for key, value in state.items()}


if __name__ == "__main__":
    main()
