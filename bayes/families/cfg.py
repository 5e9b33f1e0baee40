r"""Gaussians with a full covariance inside every convolution kernel; dense layers are those of family ffg.

The weights w of one filter's kernel for one channel are mu + L epsilon, with L = diag(sigma) U and U lower triangular
with ones on its diagonal. Its entries below are stored row by row; where they are 0 the family is ffg.

Source: Kochurov et al. 2018, the channel-factorized Gaussian.
"""

import torch
from torch import Tensor

from bayes.families import ffg
from bayes.families.gaussian_kl import divergence
from bayes.families.kernels import covariance, squares_below, variance
from bayes.families.natural import Terms
from bayes.families.parts import Check, Gaussians, LayerWeights, Noise, Rate, Tensors, WeightMoments
from bayes.families.reparameterization import VARIANCE_FLOOR, variance_given
from bayes.layers import Conv, Shape, Weighted, apply

LOWER = "weight.unit_lower"
FACTOR = "weight.factor"
INVERSE = "weight.inverse"
GRADIENT_ROWS = 2
has_moments = True


def shapes(layer: Weighted) -> dict[str, Shape]:
    """Those of ffg; for kernels of n > 1 weights also the n (n - 1) / 2 entries of U below its diagonal."""
    match layer.layer:
        case Conv(filters, kernel) if kernel > 1:
            area = kernel**2
            return {**ffg.shapes(layer), LOWER: (filters, layer.weight_shape[1], area * (area - 1) // 2)}
        case _:
            return ffg.shapes(layer)


def rate(key: str) -> Rate | None:
    """As ffg; U is slow: at a greater rate its many entries wander from 0, where few rows say nothing of them."""
    return "lr_correlation" if key == LOWER else ffg.rate(key)


def root(layer: Weighted, gaussians: Gaussians) -> dict[str, Tensor]:
    """These Gaussians themselves: U is the identity."""
    return {
        **ffg.root(layer, gaussians),
        **{key: torch.zeros(shapes(layer)[key], dtype=torch.float32) for key in _lower_of(layer)},
    }


def start(prior: Tensors, weight: Tensor, log_sigma_start: float) -> dict[str, Tensor]:
    """As ffg, with the U of the prior."""
    lower = {LOWER: prior[LOWER].clone()} if LOWER in prior else {}
    return {**ffg.start(prior, weight, log_sigma_start), **lower}


def ready(p: Tensors) -> Tensors:
    """The prior with the inverse of every L."""
    return {**ffg.ready(p), INVERSE: _inverse(_factor(p))} if LOWER in p else ffg.ready(p)


def complete(q: Tensors, noise: Noise, rows: int) -> Tensors:  # noqa: ARG001
    """The posterior with every L unpacked; it has no auxiliary variables."""
    return {**q, FACTOR: _factor(q)} if LOWER in q else q


def linear(layer: Weighted, q: Tensors, x: Tensor, noise: Noise) -> Tensor:
    r"""One random output per row (and position), by Flipout; dense layers as in ffg.

    .. math:: x * \mu + r \cdot ((x \cdot s) * (L \varepsilon)) + \sigma_b \varepsilon_b, \quad r, s \in \{-1, 1\}

    with one draw of the kernels, signs s of each row's input channels, and r of its output channels and positions. So
    every position has the right distribution; positions lose the covariance that they owe to the kernel they share, as
    in ffg.

    The gradient of L is that of local reparameterization. With v the variance that L gives an output, and m its mean,
    it is by

    .. math:: \frac{d}{dv} E[f(m + \sqrt{v} \varepsilon)]
        = E\left[f'(m + \sqrt{v} \varepsilon) \frac{\varepsilon}{2 \sqrt{v}}\right]

    For all rows v would cost many times what the layer does. So it is taken at the first 2 rows, as many times as there
    are rows; and as control variate the same with the variance that the kernels would give if their weights were
    independent, which is cheap: it is added at all rows and taken off at the first, as many times. For rows in random
    order the expectation is Flipout's own, with a small part of its noise, as the epsilon of each weight is not in it;
    where U is the identity, sigma has the gradient of all rows.

    Source: Wen et al. 2018, "Flipout: Efficient Pseudo-Independent Weight Perturbations on Mini-Batches", eq. 4;
    Kingma, Salimans, Welling 2015, eq. 6.
    """
    if LOWER not in q:
        return ffg.linear(layer, q, x, noise)
    mean, factor = apply(layer, x, q["weight.mu"], q["bias.mu"]), q[FACTOR]
    moved, signs = _flipped(layer, factor.detach(), x, noise), noise(mean).sign_()
    output = torch.addcmul(mean, moved, signs)
    if factor.requires_grad:
        output += _gradient_of(factor, layer, x.detach(), (moved * signs).detach())
    if layer.is_biased:
        output += q["bias.log_sigma"].exp().view(-1, 1, 1) * noise(mean[:, :, :1, :1])
    return output


def kl(q: Tensors, p: Tensors) -> Tensor:
    r"""KL(q || p) in nats, summed over the layer's kernels and biases; a scalar.

    With L = diag(sigma) U of q, and K = diag(s) V, m of p, it is of each kernel of n weights

    .. math:: \sum_i \log\frac{s_i}{\sigma_i} + \frac12 \left( \|K^{-1} L\|_F^2 + \|K^{-1} (\mu - m)\|^2 - n \right)

    where the diagonal of the first norm is (sigma / s)^2, taken from the logarithms: q = p gives 0 to second order of
    the rounding.
    """
    if LOWER not in q:
        return ffg.kl(q, p)
    wider = _by_kernel(q["weight.log_sigma"] - p["weight.log_sigma"])
    moved = p[INVERSE] @ _by_kernel(q["weight.mu"] - p["weight.mu"]).unsqueeze(2)
    squares = squares_below(p[INVERSE], q[FACTOR]) + moved.square().sum()
    bias = divergence(q, p, "bias")
    return bias - wider.sum() + 0.5 * ((2 * wider).expm1().sum() + squares)


def kl_in_turn(q: Tensors, p: Tensors, *, noise: Noise, rows: int, check: Check) -> Tensor:  # noqa: ARG001
    """As `kl` of q with every L unpacked: there is nothing to draw."""
    return kl(complete(q, noise, rows), p)


def mean(q: Tensors) -> LayerWeights:
    """The means, stacked as one draw."""
    return ffg.mean(q)


def moments(q: Tensors, out: Tensor | None = None) -> WeightMoments | None:
    """As ffg, with the diagonals of every L L^T for variances, and all of them as covariance."""
    known = ffg.moments(q, out)
    if LOWER not in q or known is None:
        return known
    factor = _factor(q)
    return known._replace(
        variance=factor.square().sum(2).view_as(q["weight.mu"]), covariance=covariance(factor).contiguous()
    )


def draw(q: Tensors, samples: int, generator: torch.Generator) -> LayerWeights:
    """Independent draws mu + L epsilon."""
    if LOWER not in q:
        return ffg.draw(q, samples, generator)
    mu = q["weight.mu"]
    kernels = mu.shape[0] * mu.shape[1]
    noise = torch.randn((kernels, mu[0, 0].numel(), samples), generator=generator, device=mu.device, dtype=mu.dtype)
    off = (_unit(q) @ noise).permute(2, 0, 1).reshape(samples, *mu.shape)
    biases = torch.randn((samples, *q["bias.mu"].shape), generator=generator, device=mu.device, dtype=mu.dtype)
    return LayerWeights(
        off.mul_(q["weight.log_sigma"].exp()).add_(mu),
        biases.mul_(q["bias.log_sigma"].exp()).add_(q["bias.mu"]),
    )


def pool(terms: Terms) -> dict[str, Tensor]:
    r"""The Gaussians proportional to the product of q_k^w_k, kernel by kernel, computed in float64.

    .. math:: \Lambda = \sum_k w_k \Sigma_k^{-1}, \quad \Lambda m = \sum_k w_k \Sigma_k^{-1} \mu_k

    Where powers below 0 leave a kernel with a direction less precise than any is in any term, the kernel of the term
    that is least precise in all stands for all.
    """
    factorized, q = ffg.pool(terms), terms[0][1]
    if LOWER not in q:
        return factorized
    naturals = [(power, *_natural(one)) for power, one in terms]
    precision = torch.stack([power * one for power, one, _ in naturals]).sum(0)
    pull = torch.stack([power * one for power, _, one in naturals]).sum(0)
    if min(power for power, _ in terms) < 0:
        precisions, pulls = (torch.stack(parts) for parts in ([of[1] for of in naturals], [of[2] for of in naturals]))
        is_sure, at = _sureness(precision, precisions)
        kernels = torch.arange(len(at), device=at.device)
        precision = torch.where(is_sure, precision, precisions[at, kernels])
        pull = torch.where(is_sure, pull, pulls[at, kernels])
    factor = _factor_of_inverse(precision)
    mu = factor @ (factor.mT @ pull)
    sigma = factor.diagonal(dim1=1, dim2=2)
    rows, columns = _below(factor.shape[1], factor.device)
    return {
        **factorized,
        "weight.mu": mu.view(q["weight.mu"].shape).to(q["weight.mu"]),
        "weight.log_sigma": sigma.log().view(q["weight.mu"].shape).to(q["weight.mu"]),
        LOWER: (factor / sigma.unsqueeze(2))[:, rows, columns].view(q[LOWER].shape).to(q[LOWER]),
    }


def describe(q: Tensors, p: Tensors, start: Tensors) -> dict[str, float]:
    """As ffg, with each weight's own sigma in the first two, that is the root of the diagonal of L L^T."""
    if LOWER not in q:
        return ffg.describe(q, p, start)
    log_sigma, of_prior = _marginal_log_sigma(q), _marginal_log_sigma(p)
    return {
        **ffg.describe(q, p, start),
        "snr_median": float((_by_kernel(q["weight.mu"]).abs() / log_sigma.exp()).median()),
        "sigma_to_prior_median": float((log_sigma - of_prior).exp().median()),
    }


def _lower_of(layer: Weighted) -> tuple[str, ...]:
    return (LOWER,) if LOWER in shapes(layer) else ()


def _flipped(layer: Weighted, factor: Tensor, x: Tensor, noise: Noise) -> Tensor:
    """What one draw of L epsilon makes of the rows, with random signs of each row's input channels."""
    off = factor @ noise(factor[:, :, :1])
    signs = noise(x[:, :, :1, :1]).sign_()
    return apply(layer, x * signs, off.view(layer.weight_shape), None)


def _gradient_of(factor: Tensor, layer: Weighted, x: Tensor, off: Tensor) -> Tensor:
    """Zeros of the shape of the outputs, with the gradient of the factors that `linear` tells of.

    `off` is how far the outputs for rows x are from their means.
    """
    few = min(GRADIENT_ROWS, len(x))
    times = len(x) / few
    independent = variance_given(layer, x, factor.square().sum(2).view(layer.weight_shape), None)
    slope = _slope(off, independent)
    slope[:few] *= 1.0 - times
    gradient = slope * (independent - independent.detach())
    exact = variance(layer, factor, x[:few])
    gradient[:few] += times * _slope(off[:few], exact) * (exact - exact.detach())
    return gradient


def _slope(off: Tensor, of_variance: Tensor) -> Tensor:
    """What an output that is so far from its mean moves by the variance that it has."""
    return off / (2 * of_variance.detach() + VARIANCE_FLOOR)


def _by_kernel(tensor: Tensor) -> Tensor:
    """[filters, channels, side, side] as [filters * channels, side * side]."""
    return tensor.reshape(tensor.shape[0] * tensor.shape[1], -1)


def _below(area: int, device: torch.device) -> Tensor:
    """Row and column of each packed entry of U."""
    return torch.tril_indices(area, area, offset=-1, device=device)


def _unit(q: Tensors) -> Tensor:
    """U of every kernel, [filters * channels, area, area]."""
    lower, area = q[LOWER].flatten(0, 1), q["weight.mu"][0, 0].numel()
    rows, columns = _below(area, lower.device)
    unit = torch.eye(area, dtype=lower.dtype, device=lower.device).flatten().repeat(len(lower), 1)
    return unit.index_copy(1, rows * area + columns, lower).view(-1, area, area)


def _factor(q: Tensors) -> Tensor:
    """L of every kernel, [filters * channels, area, area]."""
    return _by_kernel(q["weight.log_sigma"]).exp().unsqueeze(2) * _unit(q)


def _inverse(factor: Tensor) -> Tensor:
    identity = torch.eye(factor.shape[1], dtype=factor.dtype, device=factor.device).expand_as(factor)
    inverse: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False)
    return inverse.contiguous()


def _marginal_log_sigma(q: Tensors) -> Tensor:
    return _by_kernel(q["weight.log_sigma"]) + _unit(q).square().sum(2).log() / 2


def _natural(q: Tensors) -> tuple[Tensor, Tensor]:
    """The precision of every kernel's weights [kernels, area, area], and it times their means [kernels, area, 1]."""
    inverse = _inverse(_factor({key: tensor.double() for key, tensor in q.items()}))
    precision = inverse.mT @ inverse
    return precision, precision @ _by_kernel(q["weight.mu"].double()).unsqueeze(2)


def _sureness(precision: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Where precisions [kernels, area, area] have no eigenvalue below all of the others', and the least precise other.

    The first is [kernels, 1, 1], the second an index [kernels].
    """
    least = torch.linalg.eigvalsh(others).amin((0, 2))
    is_sure = torch.linalg.eigvalsh(precision).amin(1) >= least * (1 - 1e-9)
    return is_sure.view(-1, 1, 1), others.diagonal(dim1=2, dim2=3).sum(2).argmin(0)


def _factor_of_inverse(precision: Tensor) -> Tensor:
    """The lower triangular L with L L^T = precision^-1."""
    backward = torch.linalg.cholesky(precision.flip(1, 2)).flip(1, 2)
    identity = torch.eye(precision.shape[1], dtype=precision.dtype, device=precision.device).expand_as(precision)
    inverse: Tensor = torch.linalg.solve_triangular(backward, identity, upper=True)
    return inverse.mT
