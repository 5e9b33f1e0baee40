"""The LeNet-5 of `bayes.LeNet5`, from any library's layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn


def lenet5(
    conv: Callable[[int, int, int], nn.Module] = nn.Conv2d, dense: Callable[[int, int], nn.Module] = nn.Linear
) -> nn.Sequential:
    """The net of these layers: conv(channels, filters, kernel), dense(inputs, units)."""
    return nn.Sequential(*layers(conv, dense))


def layers(conv: Callable[[int, int, int], nn.Module], dense: Callable[[int, int], nn.Module]) -> Iterator[nn.Module]:
    """The net's layers in order, the pools before the activations that they commute with."""
    yield from (conv(1, 20, 5), nn.MaxPool2d(2), nn.ReLU())
    yield from (conv(20, 50, 5), nn.MaxPool2d(2), nn.ReLU())
    yield from (nn.Flatten(), dense(800, 500), nn.ReLU(), dense(500, 10))
