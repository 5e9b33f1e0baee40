"""A first model by the automatic recipe alone: small nets and small chunks, beside what is known of them."""

import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from bayes import Chunk, FamilyName, Model, absorb, predict, root, score


def answer(description: dict[str, object], chunks: list[Chunk], inputs: Tensor, labels: Tensor) -> dict[str, float]:
    """The scores on the last rows after all chunks."""
    model = Model.from_description(description)
    posterior = root(model)
    for chunk in chunks:
        posterior, _ = absorb(posterior, chunk, model.recipe)
    return score(predict(posterior, inputs), labels)


def linear(inputs: int, output: dict[str, object], family: FamilyName, rows: int) -> dict[str, object]:
    net = {"kind": "mlp", "hidden": []}
    return {"net": net, "input": {"shape": [inputs]}, "output": output, "family": family, "chunk": {"rows": rows}}


@pytest.mark.parametrize("family", ["point", "ffg", "mnf-filter"])
@pytest.mark.parametrize("seed", range(12))
def test_a_linear_classifier_of_one_feature_does_not_end_the_wrong_way_round(family: FamilyName, seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(400, 1, generator=stream)
    labels = (inputs[:, 0] + 0.3 * torch.randn(400, generator=stream) > 0).long()

    described = linear(1, {"kind": "categorical", "classes": 2}, family, 200)
    scores = answer(described, [Chunk(inputs[:200], labels[:200])], inputs[200:], labels[200:])

    by_sign = float(((inputs[200:, 0] > 0) == labels[200:].bool()).double().mean())
    assert scores["accuracy"] > by_sign - 0.1


@pytest.mark.parametrize("seed", range(4))
def test_a_straight_line_is_found_to_within_its_noise(seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(400, 1, generator=stream)
    labels = 2 * inputs + 0.1 * torch.randn(400, 1, generator=stream)

    described = linear(1, {"kind": "gaussian"}, "ffg", 200)
    scores = answer(described, [Chunk(inputs[:200], labels[:200])], inputs[200:], labels[200:])

    assert scores["rmse"] < 0.115
    assert 0.8 < scores["coverage"] < 0.97


def test_iris_is_told_apart_nearly_as_by_logistic_regression() -> None:
    data, target = load_iris(return_X_y=True)
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    inputs = torch.tensor((data - data.mean(0)) / data.std(0), dtype=torch.float32)[order]
    labels = torch.tensor(target)[order]

    described = linear(4, {"kind": "categorical", "classes": 3}, "ffg", 50)
    chunks = [Chunk(inputs[at : at + 50], labels[at : at + 50]) for at in (0, 50)]
    scores = answer(described, chunks, inputs[100:], labels[100:])

    best = LogisticRegression().fit(inputs[:100].numpy(), labels[:100].numpy())
    assert scores["accuracy"] >= best.score(inputs[100:].numpy(), labels[100:].numpy()) - 0.15


def test_chunks_that_time_closed_early_teach_about_as_much_as_chunks_of_the_size_that_was_planned() -> None:
    images, digits = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(2))
    inputs, labels = torch.tensor(images, dtype=torch.float32)[order], torch.tensor(digits)[order]
    chunks = [Chunk(inputs[at : at + 60], labels[at : at + 60]) for at in range(0, 180, 60)]
    described = {
        "net": {"kind": "mlp", "hidden": [64]},
        "input": {"shape": [64], "std": 16},
        "output": {"kind": "categorical", "classes": 10},
    }

    early = answer(described, chunks, inputs[180:], labels[180:])
    planned = answer({**described, "chunk": {"rows": 60}}, chunks, inputs[180:], labels[180:])
    short = answer({**described, "recipe": {"epochs": 30}}, chunks, inputs[180:], labels[180:])

    assert early["accuracy"] > planned["accuracy"] - 0.03
    assert early["nll"] < short["nll"] - 0.1
