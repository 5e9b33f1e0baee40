"""Kernels of convolutions in the layout that the processor's library computes with: torch's own calls make it anew."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.devices import CAPABILITIES

Operator = Callable[..., Tensor]

# What torch's compiler calls for a convolution whose kernels stay the same. A torch without it computes as ever.
IS_THERE: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
_REORDER = cast("Operator | None", getattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", None) if IS_THERE else None)
_CONVOLUTION = cast("Operator | None", getattr(torch.ops.mkldnn, "_convolution_pointwise", None))
ROUGH_WEIGHTS_MIN = 2**14
"""Of fewer weights, rounding inputs and outputs takes longer than it saves."""
IS_ROUGH_FAST = bool(CAPABILITIES.get("avx512_bf16") or CAPABILITIES.get("amx_bf16"))


def packed(weight: Tensor, *, stride: int = 1, padding: int = 0, groups: int = 1, is_rough: bool = False) -> Tensor:
    """The kernels [filters, channels, height, width] for `conv2d` to compute with, on the CPU; no copy where it can't.

    Rough ones are rounded to bfloat16 (8 bits, the exponents of float32), where the processor multiplies it faster.
    """
    if _REORDER is None or _CONVOLUTION is None:
        return weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return weight
    kernels = (
        weight.to(torch.bfloat16) if is_rough and IS_ROUGH_FAST and weight.numel() >= ROUGH_WEIGHTS_MIN else weight
    )
    return _REORDER(kernels.to_mkldnn(), (padding, padding), (stride, stride), (1, 1), groups)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """As torch's own, also with `packed` kernels; of rough ones the outputs are rounded too."""
    if not weight.is_mkldnn:
        return F.conv2d(x, weight, bias, stride, padding, groups=groups)
    assert _CONVOLUTION is not None
    sizes = (padding, padding), (stride, stride), (1, 1), groups
    if weight.dtype == x.dtype:
        return _CONVOLUTION(x, weight, bias, *sizes, "none", [], "")
    return _CONVOLUTION(x.to(weight.dtype), weight, bias, *sizes, "none", [], "").to(x.dtype)
