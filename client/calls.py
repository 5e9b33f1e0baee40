"""The calls of the client, each written once: a generator that yields requests and returns a value.

The two clients, `client.client` and `client.async_client`, drive these; neither knows what is asked.
"""

import dataclasses
from collections.abc import Generator, Mapping
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from numpy.typing import NDArray

from client.arrays import Given
from client.bars import Told, bytes_bar
from client.errors import ServiceProblem
from client.fitting import inputs_for, labels_for
from client.prediction import Prediction, parse_prediction
from client.tensors import inputs_array, safetensors_body
from client.values import Batch, Deletion, Json, Model, Readiness, Resource, Update, Version, parse
from client.wire import SAFETENSORS, Request, Watch, get, object_of, post, quoted, stated, url_path

T = TypeVar("T")
R = TypeVar("R", bound=Resource)
Call = Generator[Request, httpx.Response, T]


def create_model(description: Mapping[str, object]) -> Call[Model]:
    """The model exists as described; creating the same again changes nothing.

    Raises:
        ServiceProblem: `description-invalid`, or `model-exists` where the name has another description.
    """
    return (yield from ask(post("models", body=dict(description), is_repeatable=True), Model))


def models() -> Call[tuple[Model, ...]]:
    """All models that the key is for, by name.

    Raises:
        ServiceProblem: the key is none that counts.
    """
    return (yield from every(Model, "models"))


def model(name: str) -> Call[Model]:
    """The model as it is now: its description with every default, head, what is pending, what was counted.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    return (yield from ask(get("models", name), Model))


def ingest(
    model: str,
    x: Given,
    y: Given,
    weights: Given | None = None,
    *,
    key: str | None = None,
    progress: Told[tuple[int, int | None]] = None,
) -> Call[Batch]:
    """The labeled rows are accepted, durably and exactly once, under `key` (a new one when not given).

    The key stays the same over retries. x: [rows, *shape]; y: classes [rows] (numbers, or names where the model names
    them) or numbers [rows, dims]; weights: how many times each row counts, [rows]. They may be numpy arrays, lists,
    tensors of torch, DataFrames and Series, or, as inputs, images of PIL; columns are taken in their order.

    `progress` is called with the bytes that were sent, and of how many; True draws a bar, where there is a terminal.

    Raises:
        UnusableArray: what was given is no rows of this model.
        ServiceProblem: the batch was refused; nothing of it was kept.
    """
    inputs, labels = (yield from inputs_for(model, x)), (yield from labels_for(model, y))
    with bytes_bar(f"{model}: posting", progress) as watch:
        return (yield from post_batch(model, inputs, labels, weights, key=key or uuid4().hex, watch=watch))


def post_batch(
    model: str,
    inputs: NDArray[Any],
    labels: NDArray[Any],
    weights: Given | None = None,
    *,
    key: str,
    watch: Watch | None = None,
) -> Call[Batch]:
    """These rows, as they travel, are accepted under the key."""
    request = Request(
        "POST",
        url_path("models", model, "batches"),
        headers={"Content-Type": SAFETENSORS, "Idempotency-Key": quoted(key)},
        body=safetensors_body(
            {"x": inputs, "y": labels, "weights": None if weights is None else inputs_array(weights)}
        ),
        is_repeatable=True,
        watch=watch,
    )
    response = yield request
    is_replay = response.headers.get("Idempotent-Replayed") == "true"
    return parse(Batch, {**object_of(response, request), "is_replay": is_replay}, asked=str(request))


def batches(model: str) -> Call[tuple[Batch, ...]]:
    """All batches of the model, in the order in which they were accepted.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    return (yield from every(Batch, "models", model, "batches"))


def batch(model: str, batch: int) -> Call[Batch]:
    """The batch, and what has become of it until now.

    Raises:
        ServiceProblem: `model-not-found` or `batch-not-found`.
    """
    return (yield from ask(get("models", model, "batches", batch), Batch))


def delete_batch(model: str, batch: int, *, reason: str | None = None) -> Call[Deletion]:
    """The batch's rows are deleted, for good; what has learned from them stays, and is named.

    Raises:
        ServiceProblem: `batch-waiting`, as long as they are to be absorbed.
    """
    request = Request(
        "DELETE",
        url_path("models", model, "batches", batch),
        query=stated({"reason": reason}),
        is_repeatable=True,
    )
    return (yield from ask(request, Deletion))


def update(model: str) -> Call[Update]:
    """The pending rows are closed into a chunk now, and its update is queued.

    Raises:
        ServiceProblem: nothing was pending.
    """
    return (yield from ask(post("models", model, "updates", body={}), Update))


def updates(model: str) -> Call[tuple[Update, ...]]:
    """All updates of the model, the oldest first.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    return (yield from every(Update, "models", model, "updates"))


def read_update(model: str, update: int, *, after_seconds: float = 0.0) -> Call[Update]:
    """Where the update stands, asked after so many seconds.

    Raises:
        ServiceProblem: `model-not-found` or `update-not-found`.
    """
    return (yield from ask(get("models", model, "updates", update, after_seconds=after_seconds), Update))


def cancel(model: str, update: int) -> Call[Update]:
    """The update is cancelled; its rows stay in their chunk, and `replay` brings them back.

    Raises:
        ServiceProblem: `update-finished`, when it has ended already.
    """
    return (yield from ask(Request("DELETE", url_path("models", model, "updates", update)), Update))


def replay(model: str, *chunks: int) -> Call[tuple[Update, ...]]:
    """Each chunk is queued again, to be absorbed on the present line.

    Raises:
        ServiceProblem: `already-absorbed`, `chunk-busy`, `chunk-not-found` or `rows-deleted`; nothing was queued.
    """
    request = post("models", model, "replays", body={"chunks": list(chunks)})
    answer = object_of((yield request), request)
    return tuple(parse(Update, one, asked=str(request)) for one in answer.get("updates", ()))


def predict(  # noqa: PLR0913 - each is a parameter of the call.
    model: str,
    x: Given,
    *,
    version: int | None = None,
    alias: str | None = None,
    method: str | None = None,
    samples: int | None = None,
    seed: int | None = None,
    interval: float | None = None,
    keep: bool | None = None,
) -> Call[Prediction]:
    """What a version (head unless stated) answers for inputs [rows, *shape], with its uncertainty.

    `method` is "moments", "ensemble" or "mean"; when not given, an ensemble where `samples` or `seed` are, else
    moments. `interval` is the probability with which the intervals of a model of numbers are to hold, above 0 and
    below 1.

    With `keep` the service keeps the inputs for a time, and `row_ids` of the answer are what labels that arrive later
    are posted under (`label`); without, as the model says.

    The same version, method, samples, seed and inputs give the same answer, bit for bit.

    Raises:
        UnusableArray: what was given is no rows of this model.
        ServiceProblem: there is no such model or version, or it takes no such rows.
    """
    how: Json = {"method": method, "samples": samples, "seed": seed, "interval": interval}
    how["keep"] = None if keep is None else str(keep).lower()
    request = Request(
        "POST",
        url_path("models", model, "predictions"),
        query=stated({"version": version, "alias": alias, **how}),
        headers={"Content-Type": SAFETENSORS},
        body=safetensors_body({"x": (yield from inputs_for(model, x))}),
        is_repeatable=True,
    )
    return parse_prediction(object_of((yield request), request), asked=str(request))


def versions(model: str) -> Call[tuple[Version, ...]]:
    """All versions of the model, of every line, the oldest first.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    return (yield from every(Version, "models", model, "versions"))


def version(model: str, version: int) -> Call[Version]:
    """The version: its parent and evidence, its scores before it was learned, its report.

    Raises:
        ServiceProblem: `model-not-found` or `version-not-found`.
    """
    return (yield from ask(get("models", model, "versions", version), Version))


def posterior(model: str, version: int, *, progress: Told[tuple[int, int | None]] = None) -> Call[bytes]:
    """The version's posterior as a safetensors file; `progress` is as for `ingest`, of the bytes that came.

    Raises:
        ServiceProblem: there is no such version.
    """
    request = get("models", model, "versions", version, "posterior")
    with bytes_bar(f"{model}: version {version}", progress) as watch:
        return (yield dataclasses.replace(request, watch=watch, is_long=True)).content


def ready() -> Call[Readiness]:
    """Whether the service takes requests now; a service that says no is an answer and no error.

    Raises:
        Unreachable: nothing answers.
    """
    request = Request("GET", "/readyz")
    try:
        response = yield request
    except ServiceProblem as problem:
        if problem.status != 503:
            raise
        return Readiness(is_ready=False, raw={"detail": problem.detail})
    return Readiness(is_ready=True, raw=object_of(response, request))


def ask(request: Request, kind: type[R]) -> Call[R]:
    """The answer to one request as a value."""
    return parse(kind, object_of((yield request), request), asked=str(request))


def every(kind: type[R], *path: object) -> Call[tuple[R, ...]]:
    """A whole list, page by page; the last word of the path names the list unless it is a history."""
    plural = "moves" if path[-1] == "history" else str(path[-1])
    found: list[R] = []
    cursor: Any = None
    while True:
        request = get(*path, query={"cursor": cursor})
        page = object_of((yield request), request)
        found += [parse(kind, one, asked=str(request)) for one in page.get(plural, ())]
        cursor = page.get("next_cursor")
        if cursor is None:
            return tuple(found)
