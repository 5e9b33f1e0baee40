r"""Draws of a large dense layer that share their noise up to signs, so that one matrix is read for several of them.

.. math:: W_s = \mu + E_g \circ (r_s c_s^T)

E_g is a draw of N(0, sigma^2) for each group g of draws, r_s and c_s are random signs. As a Gaussian around 0 is its
own mirror image, every W_s has exactly the distribution of the weights; the weights of different draws are
uncorrelated, and of different groups independent. What several draws make of one row then costs little more than what
one does.

Source: Wen et al. 2018, "Flipout: Efficient Pseudo-Independent Weight Perturbations on Mini-Batches", eq. 3, there with
signs for each row of a minibatch; here they belong to the net, which stays the same for all rows.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.by_row import aligned, dense_by_row
from bayes.families.parts import LayerWeights, WeightMoments
from bayes.layers import Dense, Weighted
from bayes.packed import dense, packed_for, packed_matrix

GROUP_DRAWS = 8
"""So many draws share their noise."""
WEIGHTS_LEAST, DRAWS_LEAST, ROUGH_LEAST = 2**14, 3, 2**17
"""Of smaller layers and of fewer draws it would be no gain."""


@dataclass(frozen=True, eq=False)
class Flipped:
    """Draws of a dense layer with `inputs` and `units`."""

    mean: Tensor  # [units, inputs]
    noise: Tensor  # [groups, units, inputs]
    inputs: Tensor  # signs, [groups, draws of a group, inputs]
    units: Tensor  # signs, [draws, units]
    bias: Tensor  # [draws, units], or [draws, 0]
    packed: tuple[Tensor, ...] = ()  # the noise of each group as `dense` takes it, or nothing
    packed_mean: Tensor | None = None  # the mean as `dense` takes it, for one row of each draw

    @property
    def nbytes(self) -> int:
        parts = (self.mean, self.noise, self.inputs, self.units, self.bias, *self.packed, self.packed_mean)
        return sum(part.nbytes for part in parts if part is not None)

    def net(self, index: int) -> LayerWeights:
        """The weights of one draw, without an axis for draws."""
        groups, draws, inputs = self.inputs.shape
        signs = self.inputs.view(groups * draws, inputs)[index]
        moved = self.noise[index // draws] * signs
        return LayerWeights(torch.addcmul(self.mean, moved, self.units[index].unsqueeze(1)), self.bias[index])

    def outputs(self, x: Tensor, *, by_row: bool) -> Tensor:
        """What every draw makes of rows x [rows, 1 or draws, inputs], [rows, draws, units].

        `by_row` computes each row as if it were alone, to the bit.
        """
        if by_row and len(x) > 1:
            return torch.cat([self.outputs(aligned(row), by_row=True) for row in torch.split(x, 1)])
        rows, own, inputs = x.shape
        groups, draws, _ = self.inputs.shape
        if own == 1:
            mean = dense_by_row(x[:, 0], self.mean, None) if by_row else F.linear(x[:, 0], self.mean)
            mean, signed = mean.unsqueeze(1), x.unsqueeze(1) * self.inputs
        else:
            matrix = self.mean if self.packed_mean is None else self.packed_mean
            mean = dense(x.reshape(rows * own, inputs), matrix, None).view(rows, own, -1)
            filled = F.pad(x, (0, 0, 0, groups * draws - own)) if groups * draws > own else x
            signed = filled.view(rows, groups, draws, inputs) * self.inputs
        by_group = signed.transpose(0, 1).reshape(groups, rows * draws, inputs)
        moved = [
            dense(own, matrix, None).view(rows, draws, -1)
            for own, matrix in zip(by_group, self.packed or self.noise, strict=True)
        ]
        each = torch.cat(moved, 1)[:, : len(self.units)]
        outputs = torch.addcmul(mean, each, self.units)
        return outputs.add_(self.bias) if self.bias.numel() else outputs

    def on(self, device: torch.device | str) -> "Flipped":
        """The same on the device."""
        parts = (self.mean, self.noise, self.inputs, self.units, self.bias)
        mean, noise, inputs, units, bias = (aligned(part.to(device)) for part in parts)
        return Flipped(mean, noise, inputs, units, bias, _packed(noise), packed_for(len(units), mean))


def is_worth_flipping(layer: Weighted, known: WeightMoments | None, samples: int) -> bool:
    """True where the layer's weights are independent Gaussians, many, and drawn several times."""
    is_large = isinstance(layer.layer, Dense) and layer.fan_in * layer.layer.units >= WEIGHTS_LEAST
    return is_large and samples >= DRAWS_LEAST and known is not None and known.variance is not None


def flipped(weights: WeightMoments, *, samples: int, generator: torch.Generator) -> Flipped:
    """So many draws of independent weights with these moments."""
    mean, variance = weights.mean, weights.variance
    assert variance is not None
    assert weights.bias_variance is not None
    units, inputs = mean.shape
    groups = -(-samples // GROUP_DRAWS)
    draws = -(-samples // groups)
    noise = torch.randn((groups, units, inputs), generator=generator).mul_(variance.sqrt())
    biases = torch.randn((samples, *weights.bias_mean.shape), generator=generator)
    return Flipped(
        mean=mean,
        noise=noise,
        inputs=_signs((groups, draws, inputs), generator),
        units=_signs((samples, units), generator),
        bias=biases.mul_(weights.bias_variance.sqrt()).add_(weights.bias_mean),
    )


def _packed(noise: Tensor) -> tuple[Tensor, ...]:
    """Roughly: nobody sees the digits of noise."""
    packed = [packed_matrix(group, least=ROUGH_LEAST) for group in noise]
    return tuple(packed) if packed[0].is_mkldnn else ()


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator).mul_(2).sub_(1).float()
