"""The Python client that blocks; `client.async_client` awaits the same calls.

.. code-block:: python

    with Client("http://127.0.0.1:8000") as client:
        client.ingest("digits", images, labels)
        client.settle("digits")
        print(client.predict("digits", images[:10]).entropy)
"""

import functools
import time
from collections.abc import Callable, Collection, Generator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx
from tenacity import Retrying

from client import (
    api_keys,
    blobs,
    calibrating,
    calls,
    comparing,
    exports,
    hooks,
    labels,
    moves,
    parts,
    past,
    taking_back,
    waiting,
)
from client.calls import Call
from client.errors import ClientProblem
from client.listening import PATIENCE_SECONDS, Event, Following, listen
from client.retry import ATTEMPTS_MAX, TIMEOUT_SECONDS, policy, unreachable
from client.wire import Arriving, Request, checked, headers_with, url_of_environment, usable_url

P = ParamSpec("P")
T = TypeVar("T")


def blocking(call: Callable[P, Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    """The call as a method of `Client`."""

    @functools.wraps(call)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.drive(call(*args, **kwargs))

    return method


class Client:
    """Speaks to the service at one URL and blocks until it answers; use it as a context manager.

    Without a URL it is the one in POSTERITY_URL, or http://127.0.0.1:8000, where `posterity serve` listens.
    `key` is a key of the service, where it asks for one. A request that may be repeated (it only reads, or carries an
    idempotency key) is sent up to `attempts_max` times while the connection breaks or the service answers 502, 503 or
    504, and every request while it answers 429; Retry-After is honoured.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        attempts_max: int = ATTEMPTS_MAX,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = usable_url(url_of_environment() if url is None else url)
        self._http = httpx.Client(
            base_url=self.url, timeout=timeout_seconds, transport=transport, headers=headers_with(key)
        )
        self._attempts_max = attempts_max
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """No connection is open any more; a context manager does this at its end."""
        self._http.close()

    def drive(self, call: Call[T]) -> T:
        """The call's value, after all its requests were sent and answered.

        Raises:
            ClientProblem: what the call raises, or that an answer was a refusal or did not come.
        """
        try:
            request = next(call)
            while True:
                try:
                    response = self._answer(request)
                except (ClientProblem, KeyboardInterrupt) as problem:
                    request = call.throw(problem)
                else:
                    request = call.send(response)
        except StopIteration as end:
            value: T = end.value
            return value

    def answer_to(self, request: Request) -> httpx.Response:
        """The answer to one request of `client.wire`, for what no method asks.

        Raises:
            ClientProblem: as with every method.
        """
        return self._answer(request)

    def _answer(self, request: Request) -> httpx.Response:
        if request.after_seconds:
            self._sleep(request.after_seconds)
        retrying = Retrying(sleep=self._sleep, **policy(request, attempts_max=self._attempts_max))
        try:
            return retrying(self._send, request)
        except httpx.TransportError as error:
            raise unreachable(self.url, error, request) from error

    def _send(self, request: Request) -> httpx.Response:
        if request.watch is None:
            return checked(self._http.request(**request.httpx_arguments))
        if not request.is_long:
            return checked(self._http.request(**request.watched(request.pieces(request.watch))))
        with self._http.stream(**request.httpx_arguments) as response:
            arriving = Arriving(response, request.watch)
            for piece in response.iter_bytes():
                arriving.take(piece)
        return checked(arriving.whole())

    def events(
        self,
        model: str,
        *,
        after: int | None = None,
        kinds: Collection[str] = (),
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Generator[Event, None, None]:
        """Everything that happens to the model from now on, or after the event of this number, without an end.

        A broken connection is made anew and goes on behind the last event, as long as the service is away for no longer
        than `patience_seconds`; `kinds` chooses.

        Raises:
            ServiceProblem, Unreachable: when iterated: there is nothing to be heard, or not any more.
        """
        following = Following(model, after=after, kinds=kinds, patience_seconds=patience_seconds)
        return listen(self._http, following, url=self.url, sleep=self._sleep)

    create_model = blocking(calls.create_model)
    upload = blocking(blobs.upload)
    blob = blocking(blobs.blob)
    create_key = blocking(api_keys.create_key)
    keys = blocking(api_keys.keys)
    revoke_key = blocking(api_keys.revoke_key)
    models = blocking(calls.models)
    model = blocking(calls.model)
    ingest = blocking(calls.ingest)
    ingest_all = blocking(parts.ingest_all)
    batches = blocking(calls.batches)
    batch = blocking(calls.batch)
    delete_batch = blocking(calls.delete_batch)
    update = blocking(calls.update)
    updates = blocking(calls.updates)
    read_update = blocking(calls.read_update)
    cancel = blocking(calls.cancel)
    replay = blocking(calls.replay)
    wait = blocking(waiting.wait)
    settle = blocking(waiting.settle)
    predict = blocking(calls.predict)
    predict_all = blocking(parts.predict_all)
    kept_prediction = blocking(labels.kept_prediction)
    label = blocking(labels.label)
    versions = blocking(calls.versions)
    version = blocking(calls.version)
    posterior = blocking(calls.posterior)
    export = blocking(exports.export)
    import_version = blocking(exports.import_version)
    compare = blocking(comparing.compare)
    calibration = blocking(calibrating.calibration)
    branches = blocking(comparing.branches)
    aliases = blocking(moves.aliases)
    alias = blocking(moves.alias)
    set_alias = blocking(moves.set_alias)
    remove_alias = blocking(moves.remove_alias)
    history = blocking(moves.history)
    rollback = blocking(moves.rollback)
    park = blocking(taking_back.park)
    discard = blocking(taking_back.discard)
    release = blocking(taking_back.release)
    parked = blocking(taking_back.parked)
    decisions = blocking(taking_back.decisions)
    forget = blocking(taking_back.forget)
    forgets = blocking(taking_back.forgets)
    read_forget = blocking(taking_back.read_forget)
    cancel_forget = blocking(taking_back.cancel_forget)
    wait_forget = blocking(taking_back.wait_forget)
    metrics = blocking(taking_back.metrics)
    alias_at = blocking(taking_back.alias_at)
    event_history = blocking(past.event_history)
    create_webhook = blocking(hooks.create_webhook)
    webhooks = blocking(hooks.webhooks)
    webhook = blocking(hooks.webhook)
    remove_webhook = blocking(hooks.remove_webhook)
    ready = blocking(calls.ready)
