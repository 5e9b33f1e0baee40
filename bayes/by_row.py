"""What a row becomes to the bit, whichever other rows are computed with it; on the CPU.

A product of many rows at once takes its sums in another order than that of one row; so does one of numbers that lie
elsewhere in memory, unless the address is a multiple of 64 bytes; and torch computes convolutions of small kernels by
other code where there are few rows or few numbers in them.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.layers import Softplus, Weighted, apply, plain
from bayes.packed import conv2d, dense

ALIGNED_BYTES = 64
SPLIT_WEIGHTS_MIN = 2**17
"""Dense layers of so many weights are read in two halves; fewer come from a near cache, and would gain nothing."""
KERNEL_ALONE_MAX = 3
"""Kernels of up to this side are applied to one row after the other."""


def apply_by_row(layer: Weighted, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As `layers.apply`, each row as if it were alone."""
    return apply(layer, x, weight, bias, dense_by_row, conv_by_row)


def dense_by_row(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The outputs of a dense layer for rows x [rows, inputs]."""
    if weight.is_mkldnn:
        products = [dense(row, weight, bias) for row in torch.split(x, 1)]
        return products[0] if len(products) == 1 else torch.cat(products)
    fill = -x.shape[1] % (ALIGNED_BYTES // x.element_size())
    apart = F.pad(x, (0, fill))[:, : x.shape[1]] if fill and x.shape[0] > 1 else aligned(x.contiguous())
    product = _in_halves(apart, weight) if _is_worth_splitting(weight) else _product(apart, weight)
    return product if bias is None else product.add_(bias)


def _product(x: Tensor, weight: Tensor) -> Tensor:
    return torch.bmm(x.unsqueeze(1), weight.mT.expand(x.shape[0], -1, -1)).squeeze(1)


def _in_halves(x: Tensor, weight: Tensor) -> Tensor:
    """The same from one half of the units and the other, so that two threads can read the weights of a single row."""
    units, inputs = weight.shape
    halves = weight.view(2, units // 2, inputs)
    if x.shape[0] == 1:
        return torch.bmm(x.expand(2, 1, inputs), halves.mT).view(1, units)
    return torch.cat([_product(x, half) for half in halves], 1)


def _is_worth_splitting(weight: Tensor) -> bool:
    return weight.numel() >= SPLIT_WEIGHTS_MIN and weight.shape[0] % 2 == 0 and weight.is_contiguous()


def conv_by_row(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """The outputs of a convolution for rows x [rows, channels, height, width]."""
    rows = [x] if weight.shape[-1] > KERNEL_ALONE_MAX else torch.split(x, 1)
    outputs = [conv2d(aligned(row), weight, bias, stride=stride, padding=padding, groups=groups) for row in rows]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def aligned(x: Tensor) -> Tensor:
    """The tensor, moved where it does not lie at such an address."""
    return x if x.data_ptr() % ALIGNED_BYTES == 0 else x.clone()


def steady(step: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    """As `layers.plain`; without gradients."""
    return softplus_of(args[0]) if isinstance(step, Softplus) else plain(step, *args, **kwargs)


def softplus_of(x: Tensor) -> Tensor:
    """log(1 + e^x), whose rounding, unlike that of torch's own, does not depend on where in the tensor x is."""
    return torch.abs(x).neg_().exp_().log1p_().add_(x.clamp(min=0.0))
