"""One training step of each library: its documented loss and optimizer, one sample of the weights.

The optimizer is torch's fused Adam wherever the library takes one of torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.peers.lenet import layers, lenet5

Step = Callable[[Tensor, Tensor], object]
"""Changes the net by one minibatch: images [rows, 1, 28, 28], labels [rows]."""

ROWS = 60_000
LR = 1e-3


def plain() -> Step:
    """A net of torch's own layers; no uncertainty, no library."""
    net = lenet5()
    return _descend(net, lambda images, labels: F.cross_entropy(net(images), labels))


def bayesian_torch() -> Step:
    """Flipout by `dnn_to_bnn`, the KL divided by the batch's rows, as in its README."""
    from bayesian_torch.models.dnn_to_bnn import dnn_to_bnn, get_kl_loss

    net = lenet5()
    dnn_to_bnn(
        net,
        {
            "prior_mu": 0.0,
            "prior_sigma": 1.0,
            "posterior_mu_init": 0.0,
            "posterior_rho_init": -3.0,
            "type": "Flipout",
            "moped_enable": False,
        },
    )
    return _descend(net, lambda images, labels: F.cross_entropy(net(images), labels) + get_kl_loss(net) / len(labels))


def torchbnn() -> Step:
    """Weight draws and `BKLLoss`, KL weight 0.1, as in its README."""
    import torchbnn as bnn

    net = lenet5(
        lambda channels, filters, kernel: bnn.BayesConv2d(0, 0.1, channels, filters, kernel),
        lambda inputs, units: bnn.BayesLinear(0, 0.1, inputs, units),
    )
    kl = bnn.BKLLoss(reduction="mean", last_layer_only=False)
    return _descend(net, lambda images, labels: F.cross_entropy(net(images), labels) + 0.1 * kl(net))


def blitz() -> Step:
    """`sample_elbo` with one sample, the KL divided by the number of rows, as in its README."""
    from blitz.modules import BayesianConv2d, BayesianLinear
    from blitz.utils import variational_estimator

    class Estimator(nn.Sequential):
        """A class of its own, because the decorator writes its methods into the class it is given."""

    net = variational_estimator(Estimator)(
        *layers(lambda channels, filters, kernel: BayesianConv2d(channels, filters, (kernel, kernel)), BayesianLinear)
    )
    criterion = nn.CrossEntropyLoss()
    return _descend(
        net,
        lambda images, labels: net.sample_elbo(
            inputs=images, labels=labels, criterion=criterion, sample_nbr=1, complexity_cost_weight=1 / ROWS
        ),
    )


def posteriors() -> Step:
    """`vi.diag` with torchopt's Adam, as in its README."""
    import posteriors as library
    import torchopt

    net = lenet5()

    def log_posterior(parameters: Mapping[str, Tensor], batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        images, labels = batch
        outputs = functional_call(net, dict(parameters), (images,))
        return library.diag_normal_log_prob(parameters) / ROWS - F.cross_entropy(outputs, labels), outputs

    transform = library.vi.diag.build(log_posterior, torchopt.adam(lr=LR), temperature=1 / ROWS)
    state = transform.init({name: parameter.detach() for name, parameter in net.named_parameters()})

    def step(images: Tensor, labels: Tensor) -> None:
        nonlocal state
        state, _ = transform.update(state, (images, labels))

    return step


def torch_blue() -> Step:
    """`VISequential` and `KullbackLeiblerLoss`, one sample, as in its README."""
    from torch_blue import vi
    from torch_blue.vi.distributions import Categorical

    net = vi.VISequential(*layers(vi.VIConv2d, vi.VILinear))
    loss = vi.KullbackLeiblerLoss(Categorical(), dataset_size=ROWS)
    return _descend(net, lambda images, labels: loss(net(images, samples=1), labels))


def ivon() -> Step:
    """Its optimizer around a net of torch's own layers, learning rate 0.1, as in its README."""
    from ivon import IVON

    net = lenet5()
    optimizer = IVON(net.parameters(), lr=0.1, ess=ROWS)

    def step(images: Tensor, labels: Tensor) -> None:
        with optimizer.sampled_params(train=True):
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(net(images), labels))
        optimizer.step()

    return step


STEPS: Mapping[str, Callable[[], Step]] = {
    "plain torch": plain,
    "ivon-opt": ivon,
    "bayesian-torch": bayesian_torch,
    "torchbnn": torchbnn,
    "blitz": blitz,
    "posteriors": posteriors,
    "torch-blue": torch_blue,
}


def _descend(net: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> Step:
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)

    def step(images: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss(images, labels))
        optimizer.step()

    return step
