"""Libraries that can be led through a stream: the posterior of one chunk is the prior of the next.

Neither carries its posterior forward by itself. posteriors leaves the log posterior to its user, so the prior is
written into it; torch-blue's prior holds two numbers for all weights, which give way to a tensor each. Both take the
KL times `beta`, as a hand would temper it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.func import functional_call

from bayes.descent import decay
from bayes.shifts import shifts
from benchmarks.mnist import PIXEL_MAX, Rows
from benchmarks.peers.lenet import layers, lenet5

DRAWS = 16
"""As many as ours takes by default."""
SLICE_ROWS = 500


class Chain(Protocol):
    """A model that absorbs chunk after chunk."""

    def absorb(self, rows: Rows) -> None:
        """The model has learned from the chunk."""

    def probabilities(self, images: Tensor) -> Tensor:
        """What it says of the images, [rows, classes]."""


@dataclass(frozen=True)
class Settings:
    """What a library leaves to its user.

    Attributes:
        lr: Adam's rate of means and log standard deviations alike.
        lr_final: the part of it left at a chunk's last step; flat for the first half, then linear. 1: it stays, as in
            their documents; ours falls to 0.02.
        sigma_start: where the standard deviations start; in torch-blue times its scaling by fan-in.
        shift_pixels: how far images are moved at random, as in our recipe.
        prior_sigma: of the prior before any rows.
        beta: weight of the KL.
    """

    lr: float
    lr_final: float
    sigma_start: float
    shift_pixels: int = 0
    prior_sigma: float = 1.0
    beta: float = 0.01
    epochs: int = 10
    batch_rows: int = 50


class Posteriors:
    """posteriors' `vi.diag` with torchopt's Adam; KL and likelihood per row of the chunk, as its documents advise."""

    def __init__(self, settings: Settings, generator: torch.Generator) -> None:
        self._settings, self._generator = settings, generator
        self._net = lenet5()
        self._means = {name: parameter.detach() for name, parameter in self._net.named_parameters()}
        self._sds: dict[str, Tensor] | None = None

    def absorb(self, rows: Rows) -> None:
        import posteriors
        import torchopt

        own, count = self._settings, len(rows.labels)
        prior_means: Any = 0.0 if self._sds is None else self._means
        prior_sds: Any = own.prior_sigma if self._sds is None else self._sds
        temperature = own.beta / count

        def log_posterior(parameters: Mapping[str, Tensor], batch: Rows) -> tuple[Tensor, Tensor]:
            outputs = functional_call(self._net, dict(parameters), (batch.images,))
            log_prior = posteriors.diag_normal_log_prob(parameters, prior_means, prior_sds)
            return temperature * log_prior - F.cross_entropy(outputs, batch.labels), outputs

        steps = own.epochs * -(-count // own.batch_rows)
        optimizer = torchopt.adam(lr=lambda step: own.lr * decay(int(step) + 1, steps, own.lr_final))
        start: Any = torch.tensor(own.sigma_start).log().item()
        if self._sds is not None:
            start = {name: sd.log() for name, sd in self._sds.items()}
        transform = posteriors.vi.diag.build(log_posterior, optimizer, temperature=temperature, init_log_sds=start)
        state = transform.init(self._means)
        for batch in passes(rows, own, self._generator):
            state, _ = transform.update(state, batch)
        self._means = {name: state.params[name].detach() for name in self._means}
        self._sds = {name: state.log_sd_diag[name].detach().exp() for name in self._means}

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        from posteriors.utils import diag_normal_sample

        draws = [diag_normal_sample(self._means, self._sds) for _ in range(DRAWS)]
        return _mean_probabilities(
            images, lambda part: torch.stack([functional_call(self._net, draw, (part,)) for draw in draws])
        )


class TorchBlue:
    """torch-blue's `VISequential` with its sampled `KullbackLeiblerLoss`, which alone takes a prior for each weight."""

    def __init__(self, settings: Settings, generator: torch.Generator) -> None:
        from torch_blue import vi
        from torch_blue.vi.distributions import MeanFieldNormal

        self._settings, self._generator = settings, generator
        kinds = {
            "variational_distribution": MeanFieldNormal(std=settings.sigma_start),
            "prior": MeanFieldNormal(std=settings.prior_sigma),
        }
        self._net = vi.VISequential(
            *layers(
                lambda channels, filters, kernel: vi.VIConv2d(channels, filters, kernel, **kinds),
                lambda inputs, units: vi.VILinear(inputs, units, **kinds),
            )
        )

    def absorb(self, rows: Rows) -> None:
        from torch_blue import vi
        from torch_blue.vi.distributions import Categorical

        own, count = self._settings, len(rows.labels)
        loss = vi.KullbackLeiblerLoss(Categorical(), dataset_size=count, heat=own.beta)
        steps = own.epochs * -(-count // own.batch_rows)
        optimizer = torch.optim.Adam(self._net.parameters(), lr=own.lr, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: decay(step + 1, steps, own.lr_final))
        self._net.return_log_probs = True
        for batch in passes(rows, own, self._generator):
            optimizer.zero_grad()
            torch.autograd.backward(loss(self._net(batch.images, samples=1), batch.labels))
            optimizer.step()
            schedule.step()
        self._carry()

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        self._net.return_log_probs = False
        return _mean_probabilities(images, lambda part: self._net(part, samples=DRAWS).as_subclass(Tensor))

    def _carry(self) -> None:
        """The prior of every weight is its posterior."""
        for module in self._net.modules():
            for variable in getattr(module, "random_variables", None) or ():
                mean, log_std = module.get_variational_parameters(variable)
                module.prior[variable].mean = mean.detach().clone()
                module.prior[variable].log_std = log_std.detach().clone()


def passes(rows: Rows, settings: Settings, generator: torch.Generator) -> Iterator[Rows]:
    """Minibatches of scaled rows, moved as the settings say, each pass in an order of its own."""
    shift = shifts(settings.shift_pixels, generator)
    for _ in range(settings.epochs):
        order = torch.randperm(len(rows.labels), generator=generator)
        for index in torch.split(order, settings.batch_rows):
            yield Rows(shift(rows.images[index]) / PIXEL_MAX, rows.labels[index])


def _mean_probabilities(images: Tensor, outputs: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean over draws of the probabilities; outputs maps scaled images to [draws, rows, classes]."""
    parts = torch.split(images, SLICE_ROWS)
    return torch.cat([outputs(part / PIXEL_MAX).double().softmax(-1).mean(0) for part in parts])
