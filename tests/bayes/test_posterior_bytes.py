import json
import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from bayes import Model, Posterior, UnreadablePosterior, digest_of, root

Change = Callable[[dict[str, Any], dict[str, Tensor]], object]


def parts(posterior: Posterior) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a posterior's bytes describe, and their tensors."""
    data = posterior.to_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    assert list(metadata) == ["posterity"]
    return json.loads(metadata["posterity"]), safetensors.torch.load(data)


def test_a_posterior_reads_back_to_the_bit(learned: Posterior) -> None:
    again = Posterior.from_bytes(learned.to_bytes())

    assert (again.family, again.net, again.input, again.output) == (
        *(learned.family, learned.net),
        *(learned.input, learned.output),
    )
    assert again.chunks == 1
    assert again.tensors.keys() == learned.tensors.keys()
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in learned.tensors.items())
    assert again.to_bytes() == learned.to_bytes()
    assert again.digest == learned.digest == digest_of(learned.to_bytes())


def test_other_libraries_read_the_tensors_of_a_posterior(learned: Posterior) -> None:
    tensors = safetensors.torch.load(learned.to_bytes())

    assert torch.equal(tensors["conv1.weight.mu"], learned.tensors["conv1.weight.mu"])


def test_the_same_model_has_one_root(images: Model) -> None:
    assert root(images).digest == root(Model.from_description(images.to_description())).digest


def test_a_posterior_stays_as_it_is_when_the_tensors_it_was_made_from_are_renamed(learned: Posterior) -> None:
    tensors = dict(learned.tensors)
    posterior = replace(learned, tensors=tensors)

    tensors.clear()

    assert posterior.to_bytes() == learned.to_bytes()


@pytest.mark.parametrize("sigma", [None, 0.3])
def test_the_root_prior_has_mean_zero_and_the_described_width(images: Model, sigma: float | None) -> None:
    prior = root(
        Model.from_description(images.to_description() | {"prior": {"kind": "gaussian", "sigma": sigma}})
    ).tensors

    assert not any(bool(tensor.any()) for name, tensor in prior.items() if name.endswith(".mu"))
    fan_in = 2 * 3 * 3
    expected = 2 / fan_in**0.5 if sigma is None else sigma
    torch.testing.assert_close(prior["conv1.weight.log_sigma"].exp(), torch.full((3, 2, 3, 3), expected))
    torch.testing.assert_close(prior["conv1.bias.log_sigma"].exp(), torch.full((3,), 0.2 if sigma is None else sigma))


def put(key: str, value: object) -> Change:
    return lambda described, _: described.update({key: value})


def tensor(name: str, value: Tensor) -> Change:
    return lambda _, tensors: tensors.update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("format", 2), "format"),
        (put("format", "1"), "format"),
        (lambda described, _: described.pop("format"), "format"),
        (put("family", "gaussian"), "family"),
        (put("net", {"kind": "mlp", "hidden": [0]}), "net.hidden.0"),
        (put("net", {"kind": "lenet5"}), "net"),
        (put("input", {"shape": [2, 6, 6]}), "leaves something out"),
        (put("output", {"kind": "categorical", "classes": 4}), "dense1"),
        (put("output", {"kind": "gaussian", "dims": 3, "noise": None}), "output.location"),
        (put("chunks", -1), "chunks"),
        (put("author", "nobody"), "author"),
        (lambda _, tensors: tensors.pop("conv1.bias.mu"), "'conv1.bias.mu' is missing"),
        (tensor("conv9.bias.mu", torch.zeros(3)), "'conv9.bias.mu' is not known"),
        (tensor("conv1.bias.mu", torch.zeros(4)), r"\[4\]"),
        (tensor("conv1.bias.mu", torch.zeros(3, dtype=torch.float64)), "float64"),
        (tensor("conv1.bias.mu", torch.tensor([0.0, float("nan"), 0.0])), "NaN"),
        (tensor("conv1.bias.log_sigma", torch.tensor([0.0, 0.0, -float("inf")])), "infinity"),
    ],
)
def test_bytes_that_are_not_what_they_describe_are_refused(learned: Posterior, change: Change, message: str) -> None:
    described, tensors = parts(learned)
    change(described, tensors)
    data = safetensors.torch.save(tensors, metadata={"posterity": json.dumps(described)})

    with pytest.raises(UnreadablePosterior, match=message):
        Posterior.from_bytes(data)
    if message in {"NaN", "infinity"}:
        assert read(data).tensors.keys() == tensors.keys()  # Its digest speaks for the rest.
    else:
        with pytest.raises(UnreadablePosterior, match="F64" if message == "float64" else message):
            read(data)


def read(data: bytes) -> Posterior:
    return Posterior.read(BytesIO(data))


def test_what_is_read_from_a_file_is_the_same_posterior(learned: Posterior) -> None:
    data = learned.to_bytes()

    found = read(data)

    assert found.to_bytes() == data
    assert found.nbytes == learned.nbytes == sum(4 * tensor.numel() for tensor in learned.tensors.values())


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": [0, 3]},
        {"data_offsets": [2**40, 2**40 + 12]},
        {"data_offsets": [-12, 0]},
        {"data_offsets": ["0", 12]},
        {"data_offsets": [12]},
        {"shape": [2**40]},
        {"shape": [-3]},
        {"shape": [-1, -3]},
        {"shape": ["3"]},
        {"shape": None},
        {"dtype": "U8"},
        {"dtype": None},
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(learned: Posterior, change: dict[str, object]) -> None:
    data = learned.to_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    header["conv1.bias.mu"] |= change
    text = json.dumps(header).encode()

    with pytest.raises(UnreadablePosterior):
        read(len(text).to_bytes(8, "little") + text + data[begin:])


def test_a_file_that_is_cut_off_while_it_is_read_is_refused(learned: Posterior) -> None:
    class Shrinking(BytesIO):
        def seek(self, place: int, whence: int = 0, /) -> int:
            if not whence:
                self.truncate(place + 1)
            return super().seek(place, whence)

    with pytest.raises(UnreadablePosterior, match="end within"):
        Posterior.read(Shrinking(learned.to_bytes()))


@pytest.mark.parametrize(
    "metadata", [None, {}, {"other": "{}"}, {"posterity": "{}", "other": ""}, {"posterity": "{"}, {"posterity": "[]"}]
)
def test_other_metadata_is_refused(learned: Posterior, metadata: dict[str, str] | None) -> None:
    data = safetensors.torch.save(dict(learned.tensors), metadata=metadata)

    with pytest.raises(UnreadablePosterior):
        Posterior.from_bytes(data)


@pytest.mark.parametrize("cut", [0, 7, 8, 100, -1])
def test_bytes_cut_short_are_refused(learned: Posterior, cut: int) -> None:
    with pytest.raises(UnreadablePosterior):
        Posterior.from_bytes(learned.to_bytes()[:cut])
    with pytest.raises(UnreadablePosterior):
        read(learned.to_bytes()[:cut])


@pytest.mark.parametrize("data", [b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(60), b"\xff" * 64])
def test_bytes_of_another_kind_are_refused(data: bytes) -> None:
    for made_of in (Posterior.from_bytes, read):
        with pytest.raises(UnreadablePosterior):
            made_of(data)
