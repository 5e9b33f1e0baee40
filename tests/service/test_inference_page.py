"""The examples of docs/inference-protocol.md are answered, and its tables say what there is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from service.inference.outputs import output_tensors
from service.inference.schemas import InferParameters
from service.inference.tables import SHAPES
from tests.service.live import Json, Live, running

PAGES = Path(__file__).parents[2] / "docs"
PAGE = (PAGES / "inference-protocol.md").read_text()
ADDRESS = "127.0.0.1:8000"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with the model of the main path, and a version of it."""
    main_path = (PAGES / "api.md").read_text()
    [described] = re.findall(r"-d '(\{\s+\"name\": \"pairs\".*?)'", main_path, re.DOTALL)
    with running(tmp_path_factory.mktemp("page")) as live:
        live.client.post("/v1/models", json=json.loads(described)).raise_for_status()
        live.learn("/v1/models/pairs", {"inputs": [[0.1, 0.2], [0.9, 0.8]], "labels": ["low", "high"]})
        yield live


def curls(text: str) -> list[list[str]]:
    """The words of the commands, as a shell reads them."""
    joined = text.replace("$URL", f"http://{ADDRESS}").replace("$'", "'")
    return [shlex.split("curl" + call) for call in joined.split("curl")[1:]]


def ask(live: Live, words: list[str]) -> httpx.Response:
    [url] = [word for word in words if word.startswith("http")]
    [header] = [word for before, word in pairwise(words) if before == "-H"]
    name, _, value = header.partition(": ")
    content = words[-1].replace("\\n", "\n")
    return live.client.post(url.removeprefix(f"http://{ADDRESS}"), content=content.encode(), headers={name: value})


def test_the_commands_of_the_page_are_answered(pairs: Live) -> None:
    of_tensors, of_mlflow = [curls(block) for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)]

    [answer] = [ask(pairs, words) for words in of_tensors]
    [shown] = re.findall(r"is answered \(digits cut\)\n\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert answer.status_code == 200, answer.text
    assert shape_of(answer.json()) == shape_of(json.loads(shown))

    answers = [ask(pairs, words) for words in of_mlflow]
    assert [answer.status_code for answer in answers] == [200, 200, 200], answers[-1].text
    assert [len(answer.json()["predictions"]) for answer in answers] == [1, 2, 2]
    assert [answer.json()["version"] for answer in answers] == [1, 0, 1]


def shape_of(answer: Json) -> Json:
    """The answer without what depends on chance."""
    outputs = [output | {"data": len(output["data"])} for output in answer["outputs"]]
    return answer | {"outputs": outputs, "parameters": answer["parameters"] | {"digest": ""}}


def test_the_program_of_the_page_runs(pairs: Live, capsys: pytest.CaptureFixture[str]) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    url = pairs.client.base_url

    exec(program.replace(ADDRESS, f"{url.host}:{url.port}"), {})  # noqa: S102 - It is our own page.

    assert "(2, 8, 2)" in capsys.readouterr().out


def test_the_tables_of_the_page_have_every_output_parameter_and_shape(pairs: Live) -> None:
    rows = re.findall(r"^\| (`.+?`) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    numbers = {"net": {"kind": "mlp", "hidden": [3]}, "input": {"shape": [2]}, "output": {"kind": "gaussian"}}
    pairs.client.post("/v1/models", json=numbers | {"name": "numbers"}).raise_for_status()
    outputs = [set(output_tensors(pairs.house.known.find(name).model.output)) for name in ("pairs", "numbers")]

    assert named >= outputs[0] | outputs[1] | set(SHAPES)
    assert named >= set(InferParameters.model_fields) - {"num_samples"}
    assert "`num_samples` is another name of `samples`" in PAGE
