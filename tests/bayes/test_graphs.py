"""Graphs as they run: what they hold, what they leave alone, and what threads do to each other."""

import threading
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from bayes.fixed import calibrated
from bayes.layers import Network, Weighted, apply
from bayes.torchvision_nets import trace
from tests.bayes.traced import SMALL, drawn_weights, images

TIMEOUT_SECONDS = 0.5


def run(network: Network) -> Tensor:
    """The outputs for two rows, calibrated on them."""
    x, weights = images(2), drawn_weights(network)
    with torch.inference_mode():
        calibrated(network, weights, x)
        return network.run(x, lambda layer, x: apply(layer, x, *weights[layer.name]), lambda _, x: x)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "googlenet"])
def test_no_step_writes_into_what_a_layer_gave(name: str) -> None:
    network = trace(name, (3, 32, 32), 4)
    weights = drawn_weights(network)
    given: list[tuple[Tensor, Tensor]] = []

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        outputs = apply(layer, x, *weights[layer.name])
        given.append((outputs, outputs.clone()))
        return outputs

    with torch.inference_mode():
        network.run(images(2), linear, lambda _, x: x)

    assert len(given) == len(network.weighted)
    assert all(torch.equal(outputs, before) for outputs, before in given)


def test_no_result_is_held_longer_than_another_step_needs_it() -> None:
    network = trace("resnet18", (3, 32, 32), 4)
    weights = drawn_weights(network)
    given: list[weakref.ref[Tensor]] = []
    held: list[int] = []

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        outputs = apply(layer, x, *weights[layer.name])
        held.append(sum(one() is not None for one in given))
        given.append(weakref.ref(outputs))
        return outputs

    with torch.inference_mode():
        network.run(images(2), linear, lambda _, x: x * 1)

    assert max(held) == 0


def test_a_net_runs_while_another_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    network, found, started = trace(SMALL, (3, 32, 32), 4), list[Tensor](), list[bool]()
    expected, call_module = run(network), fx.Tracer.call_module

    def run_meanwhile(tracer: fx.Tracer, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - as its own
        if not started:
            started.append(True)
            thread = threading.Thread(target=lambda: found.append(run(network)))
            thread.start()
            thread.join()
        return call_module(tracer, *args, **kwargs)

    monkeypatch.setattr(fx.Tracer, "call_module", run_meanwhile)

    trace("squeezenet1_1", (3, 32, 32), 5)

    [outputs] = found
    assert torch.equal(outputs, expected)


def test_two_threads_do_not_trace_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both, own_trace = threading.Barrier(2), fx.Tracer.trace
    met: list[bool] = []

    def trace_together(tracer: fx.Tracer, *args: Any, **kwargs: Any) -> fx.Graph:  # noqa: ANN401 - as its own
        try:
            both.wait(TIMEOUT_SECONDS)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
        return own_trace(tracer, *args, **kwargs)

    monkeypatch.setattr(fx.Tracer, "trace", trace_together)
    threads = [threading.Thread(target=trace, args=("squeezenet1_1", (3, 32, 32), 20 + index)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert met == [False, False]
