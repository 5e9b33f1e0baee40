"""Where tensors live: the device that a name stands for, tried out before anything depends on it."""

import torch

from bayes.errors import DeviceUnusable

# Torch before 2.12 does not tell.
CAPABILITIES: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
"""What the processor can, by torch's names."""


def usable(name: str) -> str:
    """The device of this name, on which a tensor was made; `auto` is CUDA where there is one, else the CPU.

    Raises:
        DeviceUnusable: no tensor can be made there.
    """
    device = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DeviceUnusable(f"device {name!r} cannot be used here: {reason}") from error
    return device
