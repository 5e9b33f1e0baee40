"""Clients of the Open Inference Protocol: NVIDIA's own, and requests written by hand; and models that they ask."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import np_to_triton_dtype

from tests.service.live import IMAGES, NAMED, REAL, TINY, Json, Live

Array = NDArray[Any]

CLASSES = TINY
NUMBERS = REAL
PIXELS = IMAGES
LEARNED = TINY | {"output": {"kind": "gaussian", "dims": 1}, "input": {"shape": [3, 2], "std": 2}}
"""Numbers whose noise is learned too, of rows with two axes."""
MODELS: dict[str, Json] = {"classes": CLASSES, "named": NAMED, "pixels": PIXELS, "numbers": NUMBERS, "learned": LEARNED}

OF_CLASSES = ("probabilities", "label", "entropy", "aleatoric", "mutual_information")
OF_NUMBERS = ("mean", "std", "epistemic_std", "noise_std", "lower", "upper")


def outputs_of(described: Json) -> tuple[str, ...]:
    """The outputs of a model that are answered where none is named."""
    return OF_CLASSES if described["output"]["kind"] == "categorical" else OF_NUMBERS


def rows(described: Json, count: int, seed: int = 1) -> Array:
    """Rows as the model takes them."""
    chance, shape = np.random.default_rng(seed), (count, *described["input"]["shape"])
    if described["input"].get("dtype") == "uint8":
        return chance.integers(0, 256, shape).astype(np.uint8)
    return chance.normal(size=shape).astype(np.float32)


def with_a_version(live: Live, described: Json) -> str:
    """The name of a new model with a version that has learned from a few rows."""
    path = live.create(described)
    count, output = 4, described["output"]
    labels = [0, 1, 2, 1] if output["kind"] == "categorical" else [[0.5 * row] * output["dims"] for row in range(4)]
    live.learn(path, {"inputs": rows(described, count).tolist(), "labels": labels})
    return path.removeprefix("/v1/models/")


@contextmanager
def triton(live: Live) -> Iterator[InferenceServerClient]:
    url = live.client.base_url
    with InferenceServerClient(f"{url.host}:{url.port}") as client:
        yield client


def tensor(array: Array, *, is_binary: bool = True, name: str = "x", datatype: str | None = None) -> InferInput:
    made = InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
    return made.set_data_from_numpy(array, binary_data=is_binary)


def named(*names: str, is_binary: bool = True) -> list[InferRequestedOutput]:
    return [InferRequestedOutput(name, binary_data=is_binary) for name in names]


def names_in(result: InferResult) -> list[str]:
    return [output["name"] for output in result.get_response()["outputs"]]


def described(array: Array, **others: object) -> Json:
    """An input of JSON alone."""
    datatype = np_to_triton_dtype(array.dtype)
    return {"name": "x", "shape": list(array.shape), "datatype": datatype, "data": array.tolist(), **others}


def infer(live: Live, model: str, body: object, *, version: int | None = None) -> httpx.Response:
    """The answer to a request of JSON."""
    path = f"/v2/models/{model}" if version is None else f"/v2/models/{model}/versions/{version}"
    return live.client.post(f"{path}/infer", json=body)


def with_bytes(live: Live, model: str, head: object, data: bytes, *, length: str | None = None) -> httpx.Response:
    """The answer to a request of JSON with these bytes behind it."""
    as_json = json.dumps(head).encode()
    headers = {"Content-Type": "application/octet-stream"}
    headers["Inference-Header-Content-Length"] = str(len(as_json)) if length is None else length
    return live.client.post(f"/v2/models/{model}/infer", content=as_json + data, headers=headers)


def array_in(answer: Json, name: str) -> Array:
    """An output of an answer that is JSON alone."""
    [output] = [output for output in answer["outputs"] if output["name"] == name]
    return np.array(output["data"]).reshape(output["shape"])


def told_by_v1(live: Live, model: str, array: Array, names: Sequence[str], **way: object) -> dict[str, Array]:
    """What /v1 answers, by output."""
    answer = live.client.post(f"/v1/models/{model}/predictions", json={"inputs": array.tolist(), **way})
    answer.raise_for_status()
    return {name: np.array([row[name] for row in answer.json()["outputs"]]) for name in names}
