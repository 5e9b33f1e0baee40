"""What makes a comparison with other libraries a fair one: the same net, the same rows, and a way to install them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import bayes
from bayes.draws import evaluate
from benchmarks import mnist, peers
from benchmarks.mnist import Rows, stream
from benchmarks.peers.lenet import lenet5
from benchmarks.peers.predictors import SAMPLING, Beliefs, Outputs, Predictor, laplace_torch, predictor

ROOT = bayes.root(bayes.Model.from_description(mnist.DESCRIPTION))
NAMES = [layer.name for layer in ROOT.network.weighted]
CERTAIN, WIDE = 1e-5, 2.0
DRAWS = 32


def ours(beliefs: Beliefs) -> Outputs:
    tensors = {f"{name}.{key}": tensor for name, of in beliefs.items() for key, tensor in of.items()}
    posterior = replace(ROOT, tensors=tensors)
    return lambda images, draws: evaluate(bayes.draw(posterior, samples=draws), images).transpose(0, 1).float()


def our_means(beliefs: Beliefs, rows: Rows) -> Predictor:
    return lambda images: ours(beliefs)(images, 1)[0].softmax(-1)


# Ours holds the place where no other library is installed, which only a benchmark needs.
INSTALLED = {name: build for name, build in SAMPLING.items() if find_spec(name.split(",")[0].replace("-", "_"))}
HOLDERS = {"posterity": ours, **INSTALLED}
LAPLACE = {name: partial(laplace_torch, structure=name) for name in ("kron", "diag") if find_spec("laplace")}
AROUND_MEANS: dict[str, Callable[[Beliefs, Rows], Predictor]] = {"posterity": our_means, **LAPLACE}

# Other people's warnings: a deprecated torch.jit.script, a converter to NumPy, a default to come.
of_others = pytest.mark.filterwarnings("ignore")


@of_others
@pytest.mark.parametrize("name", HOLDERS)
def test_a_librarys_net_has_the_means_it_was_given(name: str) -> None:
    beliefs, images = some_beliefs(), some_images(5)

    outputs = HOLDERS[name](beliefs)

    with torch.inference_mode():
        said = outputs(images, 2)
    assert said.shape == (2, 5, 10)
    torch.testing.assert_close(said, plain(beliefs, images).expand(2, 5, 10), rtol=0.01, atol=0.01)


@of_others
@pytest.mark.parametrize("name", HOLDERS)
def test_a_librarys_net_strays_as_far_as_the_sigmas_it_was_given(name: str) -> None:
    """A variance, a logarithm or a softplus mistaken for a sigma would be off by a factor of 1.8 or more."""
    images = some_images(3)
    for place in [(layer, part) for layer in NAMES for part in ("weight", "bias")]:
        beliefs = some_beliefs(place)
        expected = strayed(drawn(*place))

        torch.manual_seed(3)
        with torch.inference_mode():
            found = strayed(HOLDERS[name](beliefs)(images, DRAWS))

        assert abs(math.log(found / expected)) < math.log(1.5), f"{place}: {found:.3g} instead of {expected:.3g}"


@of_others
@pytest.mark.parametrize("name", HOLDERS)
def test_a_librarys_prediction_is_a_mean_of_probabilities(name: str) -> None:
    beliefs, images = some_beliefs(), some_images(4)

    said = predictor(HOLDERS[name](beliefs))(images)

    torch.testing.assert_close(said, plain(beliefs, images).softmax(-1), rtol=0.01, atol=0.001)


@of_others
@pytest.mark.parametrize("name", AROUND_MEANS)
def test_what_knows_only_our_means_decides_as_their_net_does(name: str) -> None:
    beliefs, images = some_beliefs(), (some_images(200) * mnist.PIXEL_MAX).byte()
    labels = plain(beliefs, images / mnist.PIXEL_MAX).argmax(1)

    said = AROUND_MEANS[name](beliefs, Rows(images, labels))(images / mnist.PIXEL_MAX)

    torch.testing.assert_close(said.sum(1), torch.ones(200))
    assert bayes.accuracy(said, labels) > 0.9


def test_the_peers_net_with_our_weights_says_what_ours_says() -> None:
    model = bayes.Model.from_description({**mnist.DESCRIPTION, "family": "point", "recipe": {"epochs": 1}})
    images = torch.randint(0, 256, (20, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    posterior, _ = bayes.absorb(bayes.root(model), bayes.Chunk(images, torch.arange(20) % 10), model.recipe)
    net = lenet5()

    means = [posterior.layer(layer.name) for layer in posterior.network.weighted]
    weights = [tensors[key] for tensors in means for key in ("weight.mu", "bias.mu")]
    net.load_state_dict(dict(zip(net.state_dict(), weights, strict=True)))

    prediction = bayes.predict(posterior, images)
    assert isinstance(prediction, bayes.CategoricalPrediction)
    with torch.inference_mode():
        said = net(images / mnist.PIXEL_MAX).double().softmax(-1)
    torch.testing.assert_close(said, prediction.probabilities, rtol=1e-4, atol=1e-6)


def test_a_row_is_in_one_chunk_or_left_over_and_never_twice() -> None:
    rows = Rows(torch.arange(50).view(50, 1, 1, 1), torch.arange(50))

    chunks, left = stream(rows, 7, chunks=4, chunk_rows=10)

    assert [len(chunk.labels) for chunk in chunks] == [10] * 4
    seen = torch.cat([*(chunk.labels for chunk in chunks), left.labels])
    assert torch.equal(seen.sort().values, rows.labels)
    assert all(torch.equal(part.images.flatten(), part.labels) for part in (*chunks, left))


def test_a_seed_names_its_rows() -> None:
    rows = Rows(torch.zeros(50, 1, 1, 1), torch.arange(50))

    (once,), _ = stream(rows, 1, chunks=1, chunk_rows=50)
    (again,), _ = stream(rows, 1, chunks=1, chunk_rows=50)
    (other,), _ = stream(rows, 2, chunks=1, chunk_rows=50)

    assert torch.equal(once.labels, again.labels)
    assert not torch.equal(once.labels, other.labels)


def test_without_the_extra_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MODULES", ("library_of_nobody",))

    with pytest.raises(SystemExit, match=r"library_of_nobody: not installed here.*pip install .*\[peers\]"):
        peers.require()


def some_beliefs(wide: tuple[str, str] | None = None) -> Beliefs:
    """A random net, sure of all its weights but those of one part of a layer."""
    generator = torch.Generator().manual_seed(0)
    beliefs: dict[str, dict[str, Tensor]] = {name: {} for name in NAMES}
    for name, of in beliefs.items():
        for part in ("weight", "bias"):
            shape = ROOT.layer(name)[f"{part}.mu"].shape
            of[f"{part}.mu"] = torch.randn(shape, generator=generator) / math.sqrt(max(1, shape[1:].numel()))
            of[f"{part}.log_sigma"] = torch.full(shape, math.log(WIDE if wide == (name, part) else CERTAIN))
    return beliefs


def some_images(rows: int) -> Tensor:
    return torch.rand((rows, 1, 28, 28), generator=torch.Generator().manual_seed(1))


@cache
def drawn(layer: str, part: str) -> Tensor:
    """What draws of this part put out, made by hand with the rest at its means, [draws, rows, classes]."""
    beliefs, generator, net = some_beliefs((layer, part)), torch.Generator().manual_seed(2), lenet5()
    means = {f"{name}.{kind}": of[f"{kind}.mu"] for name, of in beliefs.items() for kind in ("weight", "bias")}
    places = dict(zip(means, net.state_dict(), strict=True))
    mu, sigma = means[f"{layer}.{part}"], beliefs[layer][f"{part}.log_sigma"].exp()

    def outputs() -> Tensor:
        one = {**means, f"{layer}.{part}": mu + sigma * torch.randn(mu.shape, generator=generator)}
        said: Tensor = functional_call(net, {places[key]: tensor for key, tensor in one.items()}, (some_images(3),))
        return said

    with torch.inference_mode():
        return torch.stack([outputs() for _ in range(DRAWS)])


def plain(beliefs: Beliefs, images: Tensor) -> Tensor:
    """What the net of the means puts out, [rows, classes]."""
    net = lenet5()
    means = [of[f"{part}.mu"] for of in beliefs.values() for part in ("weight", "bias")]
    net.load_state_dict(dict(zip(net.state_dict(), means, strict=True)))
    with torch.inference_mode():
        said: Tensor = net(images)
    return said


def strayed(outputs: Tensor) -> float:
    """The standard deviation over the draws, averaged over rows and classes."""
    return float(outputs.std(0).mean())
