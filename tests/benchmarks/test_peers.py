"""What makes a comparison with other libraries a fair one: the same net, the same rows, and a way to install them."""

from __future__ import annotations

import pytest
import torch

import bayes
from benchmarks import mnist, peers
from benchmarks.mnist import Rows, stream
from benchmarks.peers.lenet import lenet5


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
