"""A posterior of ours in each library's own layers, and that library's documented prediction with 32 samples.

Every library but laplace-torch gets our means and standard deviations, so all predict from one posterior and differ
only in how. laplace-torch takes no standard deviations: it gets the means, and makes its own posterior of the last
layer around them from the rows that ours was made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.mnist import PIXEL_MAX, Rows
from benchmarks.peers.lenet import layers, lenet5

SAMPLES = 32
SIDE_BY_SIDE_ROWS_MAX = 16
"""Up to so many rows kept draws are faster under `torch.vmap` than in turn."""

Beliefs = Mapping[str, Mapping[str, Tensor]]
"""Of each layer, in order, the tensors of family ffg: mu and log_sigma of weight and bias."""
Predictor = Callable[[Tensor], Tensor]
"""The probabilities, [rows, classes], of images between 0 and 1, [rows, 1, 28, 28]."""
Outputs = Callable[[Tensor, int], Tensor]
"""What so many draws of the net put out for the images, [draws, rows, classes]."""


def bayesian_torch(beliefs: Beliefs) -> Outputs:
    """`dnn_to_bnn` of type Reparameterization, as in its README, which is faster here than Flipout; draws in turn."""
    from bayesian_torch.models.dnn_to_bnn import dnn_to_bnn

    net = lenet5()
    start = {"prior_mu": 0.0, "prior_sigma": 1.0, "posterior_mu_init": 0.0, "posterior_rho_init": -3.0}
    dnn_to_bnn(net, {**start, "type": "Reparameterization", "moped_enable": False})
    return _in_turn(_loaded(net, beliefs, softplus_inverse))


def torchbnn(beliefs: Beliefs) -> Outputs:
    """Draws in turn, as in its demos; its parameter is the logarithm of sigma."""
    import torchbnn as bnn

    net = lenet5(
        lambda channels, filters, kernel: bnn.BayesConv2d(0, 0.1, channels, filters, kernel),
        lambda inputs, units: bnn.BayesLinear(0, 0.1, inputs, units),
    )
    return _in_turn(_loaded(net, beliefs, torch.log))


def blitz(beliefs: Beliefs) -> Outputs:
    """Draws in turn, as in its README and in its `mfvi_forward`; each also sums its log priors."""
    from blitz.modules import BayesianConv2d, BayesianLinear

    net = lenet5(
        lambda channels, filters, kernel: BayesianConv2d(channels, filters, (kernel, kernel)),
        BayesianLinear,
    )
    return _in_turn(_loaded(net, beliefs, softplus_inverse))


def torch_uncertainty(beliefs: Beliefs) -> Outputs:
    """`StochasticModel`, as in its tutorial: draws in turn; what its layers call sigma goes through a softplus."""
    from torch_uncertainty.layers.bayesian import BayesConv2d, BayesLinear
    from torch_uncertainty.methods import StochasticModel

    model = StochasticModel(_loaded(lenet5(BayesConv2d, BayesLinear), beliefs, softplus_inverse), SAMPLES).eval()

    def outputs(images: Tensor, draws: int) -> Tensor:
        model.num_samples = draws
        said: Tensor = model(images)
        return said.view(draws, len(images), -1)

    return outputs


def torch_blue(beliefs: Beliefs) -> Outputs:
    """All draws at once, by its `samples`; without log probabilities, as its README has it for deployment.

    Dense layers then draw their outputs instead of their weights.
    """
    from torch_blue import vi

    net: Any = _loaded(vi.VISequential(*layers(vi.VIConv2d, vi.VILinear)), beliefs, torch.log)
    net.return_log_probs = False

    def outputs(images: Tensor, draws: int) -> Tensor:
        said: Tensor = net(images, samples=draws)
        return said.as_subclass(Tensor)

    return outputs


def posteriors(beliefs: Beliefs) -> Outputs:
    """`vi.diag.sample` in every prediction and `torch.vmap` over the draws, as in its examples."""
    net, draw = _posteriors(beliefs)
    return lambda images, draws: _side_by_side(net, draw(draws), images)


def posteriors_kept(beliefs: Beliefs) -> Outputs:
    """As `posteriors` with draws made once, for the library leaves them to its user; the faster of two loops."""
    net, draw = _posteriors(beliefs)
    kept: dict[int, tuple[Mapping[str, Tensor], list[dict[str, Tensor]]]] = {}

    def outputs(images: Tensor, draws: int) -> Tensor:
        if draws not in kept:
            stack = draw(draws)
            each = [{name: tensor[index] for name, tensor in stack.items()} for index in range(draws)]
            kept[draws] = stack, each
        stack, each = kept[draws]
        if len(images) <= SIDE_BY_SIDE_ROWS_MAX:
            return _side_by_side(net, stack, images)
        return torch.stack([functional_call(net, weights, (images,)) for weights in each])

    return outputs


SAMPLING: Mapping[str, Callable[[Beliefs], Outputs]] = {
    "bayesian-torch": bayesian_torch,
    "torchbnn": torchbnn,
    "blitz": blitz,
    "torch-uncertainty": torch_uncertainty,
    "torch-blue": torch_blue,
    "posteriors": posteriors,
    "posteriors, draws kept": posteriors_kept,
}
"""The libraries that draw nets; they hold exactly what they are given."""


def predictor(outputs: Outputs) -> Predictor:
    """The mean over 32 draws of the probabilities."""

    def said(images: Tensor) -> Tensor:
        with torch.inference_mode():
            return outputs(images, SAMPLES).softmax(-1).mean(0)

    return said


def laplace_torch(beliefs: Beliefs, rows: Rows, *, structure: str) -> Predictor:
    """Last-layer Laplace around the means, its prior precision by marginal likelihood; "glm" with "probit".

    All of it is the library's default, with "kron" as structure of the Hessian; "diag" is faster.
    """
    from laplace import Laplace
    from torch.utils.data import DataLoader, TensorDataset

    net = lenet5()
    _copy(net, (mean for mean, _ in _pairs(beliefs)))
    posterior = Laplace(net, "classification", subset_of_weights="last_layer", hessian_structure=structure)
    posterior.fit(DataLoader(TensorDataset(rows.images / PIXEL_MAX, rows.labels), batch_size=500))
    posterior.optimize_prior_precision(method="marglik", pred_type="glm", link_approx="probit")

    def said(images: Tensor) -> Tensor:
        with torch.inference_mode():
            probabilities: Tensor = posterior(images, pred_type="glm", link_approx="probit")
        return probabilities

    return said


def softplus_inverse(sigma: Tensor) -> Tensor:
    """The rho whose softplus is sigma, also where sigma is small."""
    return sigma + (-torch.expm1(-sigma)).log()


def _posteriors(beliefs: Beliefs) -> tuple[nn.Module, Callable[[int], Mapping[str, Tensor]]]:
    """The net, and what draws so many stacks of its weights from the library's state."""
    import torchopt
    from posteriors.vi import diag

    net = lenet5()
    pairs = dict(zip((name for name, _ in net.named_parameters()), _pairs(beliefs), strict=True))
    means = {name: mean for name, (mean, _) in pairs.items()}
    log_sds = {name: sigma.log() for name, (_, sigma) in pairs.items()}
    state = diag.init(means, torchopt.adam(), log_sds)
    return net, lambda draws: diag.sample(state, torch.Size((draws,)))


def _side_by_side(net: nn.Module, stack: Mapping[str, Tensor], images: Tensor) -> Tensor:
    said: Tensor = torch.vmap(lambda weights: functional_call(net, weights, (images,)))(dict(stack))
    return said


def _in_turn(net: nn.Module) -> Outputs:
    net.eval()
    return lambda images, draws: torch.stack([net(images) for _ in range(draws)])


def _pairs(beliefs: Beliefs) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean and sigma of each layer's weight and bias, in the order of a net's parameters."""
    for of in beliefs.values():
        for part in ("weight", "bias"):
            yield of[f"{part}.mu"], of[f"{part}.log_sigma"].exp()


def _loaded(net: nn.Module, beliefs: Beliefs, raw: Callable[[Tensor], Tensor]) -> nn.Module:
    """The net with these means, and with raw(sigma) for that of which it makes its sigmas.

    In every library each mean comes before what its sigma is made of, and weights come before biases.
    """
    _copy(net, (tensor for mean, sigma in _pairs(beliefs) for tensor in (mean, raw(sigma))))
    return net


@torch.no_grad()
def _copy(net: nn.Module, tensors: Iterator[Tensor]) -> None:
    # blitz lists every tensor twice, as two parameters in one place.
    places = {parameter.data_ptr(): parameter for parameter in net.parameters()}
    for parameter, tensor in zip(places.values(), tensors, strict=True):
        assert parameter.shape == tensor.shape
        parameter.copy_(tensor)
