"""Weights in the layout that the processor's library computes with: torch's own calls lay them out anew each time.

Rough ones are rounded to bfloat16 (8 bits, the exponents of float32), where the processor multiplies it faster.
"""

import platform
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.devices import CAPABILITIES

Operator = Callable[..., Tensor]

# What torch's compiler calls for weights that stay the same, tried on one kind of processor. Others compute as ever, as
# does a torch without these.
IS_LIBRARY_THERE: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
IS_THERE = IS_LIBRARY_THERE and platform.machine() in {"x86_64", "AMD64"}
_PACK_KERNELS = cast("Operator | None", getattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", None))
_CONVOLUTION = cast("Operator | None", getattr(torch.ops.mkldnn, "_convolution_pointwise", None))
_PACK_MATRIX = cast("Operator | None", getattr(torch.ops.mkldnn, "_reorder_linear_weight", None))
_PRODUCT = cast("Operator | None", getattr(torch.ops.mkldnn, "_linear_pointwise", None))
ALONE: tuple[str, list[float], str] = "none", [], ""
"""Nothing else is done in the same step."""

IS_ROUGH_FAST = bool(CAPABILITIES.get("avx512_bf16") or CAPABILITIES.get("amx_bf16"))
ROUGH_KERNELS_MIN, ROUGH_MATRIX_MIN = 2**14, 10**6
"""Of fewer weights, rounding inputs and outputs takes longer than it saves."""


def packed_kernels(
    weight: Tensor, *, stride: int = 1, padding: int = 0, groups: int = 1, is_rough: bool = False
) -> Tensor:
    """The kernels [filters, channels, height, width] for `conv2d`; themselves where they cannot be packed."""
    if _PACK_KERNELS is None or _CONVOLUTION is None or not _is_packable(weight):
        return weight
    if is_rough and IS_ROUGH_FAST and weight.numel() >= ROUGH_KERNELS_MIN:
        weight = weight.to(torch.bfloat16)
    return _PACK_KERNELS(weight.to_mkldnn(), (padding, padding), (stride, stride), (1, 1), groups)


def packed_matrix(weight: Tensor, *, least: int = ROUGH_MATRIX_MIN) -> Tensor:
    """The weights [units, inputs] of a dense layer for `dense`, roughly; the same where they are fewer or cannot be."""
    if not IS_ROUGH_FAST or weight.numel() < least:
        return weight
    return packed_for(1, weight, torch.bfloat16)


def packed_for(rows: int, weight: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The weights [units, inputs] of a dense layer for `dense` of so many rows; the same where they cannot be."""
    if _PACK_MATRIX is None or _PRODUCT is None or not _is_packable(weight):
        return weight
    return _PACK_MATRIX(weight.to(dtype), rows)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """As torch's own, also with `packed_kernels`; of rough ones the outputs are rounded too."""
    if not weight.is_mkldnn:
        return F.conv2d(x, weight, bias, stride, padding, groups=groups)
    assert _CONVOLUTION is not None
    sizes = (padding, padding), (stride, stride), (1, 1), groups
    if weight.dtype == x.dtype:
        return _CONVOLUTION(x, weight, bias, *sizes, *ALONE)
    return _CONVOLUTION(x.to(weight.dtype), weight, bias, *sizes, *ALONE).to(x.dtype)


def dense(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As torch's own `linear`, also with a `packed_matrix`, of which the products are rounded."""
    if not weight.is_mkldnn:
        return F.linear(x, weight, bias)
    assert _PRODUCT is not None
    product = _PRODUCT(x.to(weight.dtype), weight, None, *ALONE).to(x.dtype)
    return product if bias is None else product.add_(bias)


def _is_packable(weight: Tensor) -> bool:
    return IS_THERE and weight.device.type == "cpu" and weight.dtype == torch.float32
