import copy
import json
from typing import Any

import pytest

from bayes import InvalidDescription, Model

Description = dict[str, Any]

DIGEST = f"sha256:{'0a' * 32}"


def test_a_description_with_only_the_necessary_gets_every_default_written_out(described: Description) -> None:
    model = Model.from_description(described)

    written = model.to_description()

    assert written == {
        "net": {"kind": "mlp", "hidden": [5]},
        "input": {"shape": [4], "dtype": "float32", "mean": 0.0, "std": 1.0},
        "output": {"kind": "categorical", "classes": 3},
        "family": "ffg",
        "prior": {"kind": "gaussian", "sigma": None},
        "recipe": model.recipe.to_description(),
    }


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"net": {"kind": "lenet5"}, "input": {"shape": [1, 28, 28], "dtype": "uint8", "mean": 33, "std": [78]}},
        {"net": {"kind": "torchvision", "name": "resnet18"}, "input": {"shape": [3, 32, 32], "dtype": "uint8"}},
        {"net": {"kind": "3conv3fc"}, "input": {"shape": [3, 32, 32], "dtype": "uint8", "mean": [1, 2, 3]}},
        {
            "net": {
                "kind": "layers",
                "layers": [
                    {"kind": "conv", "filters": 2, "kernel": 3, "padding": 1, "stride": 2},
                    {"kind": "maxpool", "size": 2},
                    {"kind": "relu"},
                    {"kind": "flatten"},
                    {"kind": "dense", "units": 4},
                    {"kind": "softplus"},
                ],
            },
            "input": {"shape": [1, 9, 9], "dtype": "float32"},
        },
        {"output": {"kind": "categorical", "classes": ["cat", "dog"]}, "prior": {"kind": "gaussian", "sigma": 0.1}},
        {"output": {"kind": "gaussian", "dims": 2, "noise": 0.5}, "family": "point", "recipe": {"seed": 7}},
        {"prior": {"kind": "weights", "blob": DIGEST, "sigma": 0.03, "head": "fresh"}},
        {"prior": {"kind": "weights", "blob": DIGEST, "sigmas": [0.01, 0.1]}},
        {"prior": {"kind": "laplace", "blob": DIGEST, "batch": DIGEST}},
        {"prior": {"kind": "laplace", "blob": DIGEST, "batch": DIGEST, "rows": 9, "sigma": 2, "head": "fresh"}},
        {"output": {"kind": "gaussian"}, "chunk": {"rows": 50, "seconds": 60.0}, "retention": {"kind": "keep"}},
    ],
)
def test_a_written_description_is_json_and_reads_back_as_the_same_model(
    described: Description, part: Description
) -> None:
    model = Model.from_description(described | part)

    written = json.loads(json.dumps(model.to_description()))

    assert Model.from_description(written) == model


def test_uint8_inputs_are_scaled_by_255_unless_told_otherwise(described: Description) -> None:
    described["input"] = {"shape": [4], "dtype": "uint8"}

    assert Model.from_description(described).input.std == (255.0,)


def conv(**changes: object) -> Description:
    return {"kind": "conv", "filters": 2, "kernel": 3} | changes


def layers(*listed: object) -> Description:
    return {
        "net": {"kind": "layers", "layers": list(listed)},
        "input": {"shape": [1, 8, 8], "dtype": "uint8"},
    }


def around(**changes: object) -> Description:
    return {"prior": {"kind": "weights", "blob": DIGEST, "sigma": 0.1} | changes}


def torchvision(name: str, *shape: int) -> Description:
    return {"net": {"kind": "torchvision", "name": name}, "input": {"shape": list(shape)}}


@pytest.mark.parametrize(
    ("part", "where"),
    [
        ({"colour": "red"}, "colour"),
        ({"net": None}, "net"),
        ({"net": {"kind": "transformer"}}, "net.kind"),
        ({"net": {"kind": ["mlp"]}}, "net.kind"),
        ({"net": {"hidden": [5]}}, "net.kind"),
        ({"net": {"kind": "mlp"}}, "net.hidden"),
        ({"net": {"kind": "mlp", "hidden": 5}}, "net.hidden"),
        ({"net": {"kind": "mlp", "hidden": [5, 0]}}, "net.hidden.1"),
        ({"net": {"kind": "mlp", "hidden": [True]}}, "net.hidden.0"),
        ({"net": {"kind": "mlp", "hidden": [5], "depth": 2}}, "net.depth"),
        ({"net": {"kind": "mlp", "hidden": [2**30]}}, "net"),
        ({"net": {"kind": "lenet5"}}, "net"),
        ({"net": {"kind": "torchvision"}}, "net.name"),
        ({"net": {"kind": "torchvision", "name": 18}}, "net.name"),
        ({"net": {"kind": "torchvision", "name": "resnet17"}}, "net.name"),
        ({"net": {"kind": "torchvision", "name": "resnet18", "depth": 18}}, "net.depth"),
        ({"net": {"kind": "torchvision", "name": "resnet18"}}, "net"),
        (torchvision("resnet18", 1, 32, 32), "net"),
        (torchvision("resnet18", 3, 32, 32) | {"family": "mnf"}, "family"),
        (torchvision("alexnet", 3, 32, 32), "net"),
        (torchvision("vgg11", 3, 32, 32), "net"),
        (torchvision("vit_b_16", 3, 224, 224), "net.name"),
        (torchvision("convnext_tiny", 3, 32, 32), "net.name"),
        (torchvision("inception_v3", 3, 96, 96), "net.name"),
        ({"net": {"kind": "lenet5"}, "input": {"shape": [1, 8, 8], "dtype": "uint8"}}, "net"),
        (layers(7), "net.layers.0"),
        (layers({"kind": "attention"}), "net.layers.0.kind"),
        (layers({"kind": "dense", "units": 4}), "net.layers.0"),
        (layers({"kind": "flatten"}, conv()), "net.layers.1"),
        (layers({"kind": "flatten"}, {"kind": "maxpool", "size": 2}), "net.layers.1"),
        (layers(conv(kernel=9)), "net.layers.0"),
        (layers(conv(kernel=5), {"kind": "relu"}, conv(kernel=5)), "net.layers.2"),
        (layers({"kind": "maxpool", "size": 9}), "net.layers.0"),
        (layers(conv(stride=0)), "net.layers.0.stride"),
        (layers(conv(padding=-1)), "net.layers.0.padding"),
        (layers(conv(filters="many")), "net.layers.0.filters"),
        (layers(conv(dilation=2)), "net.layers.0.dilation"),
        (layers(conv()), "net.layers.1"),
        (layers(conv(), conv(padding=60000), {"kind": "maxpool", "size": 60000}), "net.layers.1"),
        (layers({"kind": "maxpool", "size": 1}) | {"input": {"shape": [1, 5000, 5000]}}, "input.shape"),
        ({"net": {"kind": "mlp", "hidden": []}, "input": {"shape": [20_000_001]}}, "input.shape"),
        ({"net": {"kind": "mlp", "hidden": [20_000_001]}}, "net"),
        (torchvision("resnet18", 3, 1200, 1200), "net"),
        (torchvision("resnet18", 3, 2**31 - 1, 2**31 - 1), "input.shape"),
        ({"input": {"dtype": "uint8"}}, "input.shape"),
        ({"input": {"shape": "4", "dtype": "uint8"}}, "input.shape"),
        ({"input": {"shape": [], "dtype": "uint8"}}, "input.shape"),
        ({"input": {"shape": [0], "dtype": "uint8"}}, "input.shape.0"),
        ({"input": {"shape": [4], "dtype": "float64"}}, "input.dtype"),
        ({"input": {"shape": [4], "mean": "0"}}, "input.mean"),
        ({"input": {"shape": [4], "mean": float("nan")}}, "input.mean"),
        ({"input": {"shape": [4], "mean": [0, 0, 0]}}, "input.mean"),
        ({"input": {"shape": [4], "mean": [0, 0, None, 0]}}, "input.mean.2"),
        ({"input": {"shape": [4], "std": 0}}, "input.std"),
        ({"input": {"shape": [4], "std": [1, 1, 1, 0]}}, "input.std.3"),
        ({"input": {"shape": [4], "std": [1, -1, 1, 1]}}, "input.std.1"),
        ({"input": {"shape": [4], "std": 9e-7}}, "input.std"),
        ({"input": {"shape": [4], "std": [1, 1, 1.1e9, 1]}}, "input.std.2"),
        ({"input": {"shape": [4], "dtype": "uint8", "std": 1e-300}}, "input.std"),
        ({"input": {"shape": [4], "mean": 1.1e9}}, "input.mean"),
        ({"input": {"shape": [4], "dtype": "uint8", "mean": [0, -1e300, 0, 0]}}, "input.mean.1"),
        ({"output": {"kind": "poisson"}}, "output.kind"),
        ({"output": {"kind": "categorical"}}, "output.classes"),
        ({"output": {"kind": "categorical", "classes": 1}}, "output.classes"),
        ({"output": {"kind": "categorical", "classes": ["cat"]}}, "output.classes"),
        ({"output": {"kind": "categorical", "classes": ["cat", "cat"]}}, "output.classes.1"),
        ({"output": {"kind": "categorical", "classes": ["cat", 3]}}, "output.classes.1"),
        ({"output": {"kind": "gaussian", "dims": 0}}, "output.dims"),
        ({"output": {"kind": "gaussian", "noise": 0}}, "output.noise"),
        ({"output": {"kind": "gaussian", "noise": -1}}, "output.noise"),
        ({"output": {"kind": "gaussian", "noise": 9e-7}}, "output.noise"),
        ({"output": {"kind": "gaussian", "noise": 1e-300}}, "output.noise"),
        ({"output": {"kind": "gaussian", "noise": 1.1e9}}, "output.noise"),
        ({"output": {"kind": "gaussian", "noise": 1e300}}, "output.noise"),
        ({"output": {"kind": "gaussian", "noise": 10**400}}, "output.noise"),
        ({"output": {"kind": "gaussian", "classes": 3}}, "output.classes"),
        ({"family": "gaussian"}, "family"),
        ({"prior": "wide"}, "prior"),
        ({"prior": {"kind": "spike"}}, "prior.kind"),
        ({"prior": {"kind": "weights", "sigma": 0.1}}, "prior.blob"),
        (around(blob="sha256:12"), "prior.blob"),
        (around(blob=12), "prior.blob"),
        (around(sigma=0), "prior.sigma"),
        (around(sigma=None), "prior.sigma"),
        (around(sigmas=[0.1, 0.2]), "prior.sigma"),
        (around(sigma=None, sigmas=0.1), "prior.sigmas"),
        (around(sigma=None, sigmas=[]), "prior.sigmas"),
        (around(sigma=None, sigmas=[0.1, 0.1]), "prior.sigmas"),
        (around(sigma=None, sigmas=[0.1, -1]), "prior.sigmas.1"),
        (around(sigma=None, sigmas=[0.01 * step for step in range(1, 18)]), "prior.sigmas"),
        (around(head="new"), "prior.head"),
        (around(batch=DIGEST), "prior.batch"),
        ({"prior": {"kind": "laplace", "blob": DIGEST}}, "prior.batch"),
        ({"prior": {"kind": "laplace", "blob": DIGEST, "batch": DIGEST, "rows": 0}}, "prior.rows"),
        ({"prior": {"kind": "laplace", "blob": DIGEST, "batch": DIGEST, "sigma": -1}}, "prior.sigma"),
        ({"prior": {"kind": "gaussian", "sigma": -1}}, "prior.sigma"),
        ({"prior": {"kind": "gaussian", "sigma": 0}}, "prior.sigma"),
        ({"prior": {"kind": "gaussian", "sigma": 9e-7}}, "prior.sigma"),
        ({"prior": {"kind": "gaussian", "sigma": 1001}}, "prior.sigma"),
        ({"prior": {"kind": "gaussian", "sigma": 1e20}}, "prior.sigma"),
        ({"prior": {"kind": "gaussian", "sigma": 10**400}}, "prior.sigma"),
        ({"prior": {"kind": "gaussian", "sigma": -(10**5000)}}, "prior.sigma"),
        ({"prior": {"kind": "gaussian", "mu": 0}}, "prior.mu"),
        ({"recipe": "best"}, "recipe"),
        ({"recipe": {"optimizer": "sgd"}}, "recipe.optimizer"),
        ({"recipe": {"epochs": 0}}, "recipe.epochs"),
        ({"recipe": {"epochs": 1.5}}, "recipe.epochs"),
        ({"recipe": {"batch_rows": "all"}}, "recipe.batch_rows"),
        ({"recipe": {"lr": 0}}, "recipe.lr"),
        ({"recipe": {"lr": 10**400}}, "recipe.lr"),
        ({"recipe": {"epochs": 10**5000}}, "recipe.epochs"),
        ({"recipe": {"lr_log_sigma": float("inf")}}, "recipe.lr_log_sigma"),
        ({"recipe": {"lr_final": 2}}, "recipe.lr_final"),
        ({"recipe": {"beta": -1}}, "recipe.beta"),
        ({"recipe": {"log_sigma_start": None}}, "recipe.log_sigma_start"),
        ({"recipe": {"seed": -1}}, "recipe.seed"),
        ({"recipe": {"momentum": 0.9}}, "recipe.momentum"),
        ({"chunk": []}, "chunk"),
        ({"chunk": {"rows": 0}}, "chunk.rows"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused_by_the_path_of_its_fault(
    described: Description, part: Description, where: str
) -> None:
    with pytest.raises(InvalidDescription) as fault:
        Model.from_description(copy.deepcopy(described) | part)

    assert fault.value.where == where
    assert fault.value.message


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"prior": {"kind": "gaussian", "sigma": 1e20}}, "prior.sigma: must be finite and at least 1e-06 and at most"),
        ({"input": {"shape": [4], "mean": 1e20}}, "input.mean: must be finite and at least -1e\\+09 and at most 1e"),
        ({"recipe": {"lr_final": 2}}, "recipe.lr_final: must be finite and above 0 and at most 1, not 2"),
        ({"recipe": {"lr": 0}}, "recipe.lr: must be finite and above 0, not 0"),
        ({"recipe": {"lr": 10**400}}, "recipe.lr: must be finite and above 0, not inf"),
        ({"recipe": {"lr": -(10**400)}}, "recipe.lr: must be finite and above 0, not -inf"),
        ({"recipe": {"epochs": 10**5000}}, "recipe.epochs: must be between 1 and 100000, not a number of 16610 bits"),
        (
            {"output": {"kind": "gaussian", "noise": 1e300}},
            r"output.noise: must be finite and at least 1e-06 and at most 1e\+09, not 1e\+300",
        ),
        (
            layers(conv(filters=4, kernel=1, padding=60000), {"kind": "maxpool", "size": 60000}, {"kind": "flatten"}),
            "net.layers.0: makes 57607680256 numbers of one row; at most 20000000 are accepted",
        ),
        (torchvision("resnet18", 3, 1200, 1200), "net: makes 23040000 numbers of one row; at most 20000000 are"),
        (torchvision("resnet152", 3, 1100, 1100), "net: brings the work of one row to 27.* at most 250000000000 are"),
        (
            layers(conv(filters=1, kernel=13, padding=6), {"kind": "maxpool", "size": 16}, {"kind": "flatten"})
            | {"input": {"shape": [1, 160, 160]}, "family": "cfg"},
            "family: cfg would make 367744000 products of the numbers under a kernel for one row; at most 268435456",
        ),
        (torchvision("resnet8", 3, 32, 32), "net.name: .*, such as resnet18, .*; not 'resnet8'"),
        (torchvision("VGG", 3, 32, 32), "net.name: .*, such as resnet18; not 'VGG'"),
        (torchvision("vit_b_16", 3, 224, 224), "vit_b_16 .* cannot be learned here: LayerNorm, MultiheadAttention, "),
        (torchvision("inception_v3", 3, 96, 96), "convolutions of 1 x 7"),
        (torchvision("resnet18", 1, 32, 32), r"takes images \[3, height, width\], not \(1, 32, 32\)"),
        (torchvision("resnet18", 3072), r"takes images \[3, height, width\], not \(3072,\)"),
        (torchvision("vgg11", 3, 32, 32), "has 128778627 weights; at most 100000000"),
    ],
)
def test_a_refusal_says_what_would_be_accepted(described: Description, part: Description, message: str) -> None:
    with pytest.raises(InvalidDescription, match=message):
        Model.from_description(described | part)


@pytest.mark.parametrize("missing", ["net", "input", "output"])
def test_a_description_without_net_input_or_output_is_refused(described: Description, missing: str) -> None:
    del described[missing]

    with pytest.raises(InvalidDescription, match="is missing") as fault:
        Model.from_description(described)

    assert fault.value.where == missing
