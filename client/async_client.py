"""The Python client for asyncio: it awaits the calls that `client.client` makes.

.. code-block:: python

    async with AsyncClient("http://127.0.0.1:8000") as client:
        await client.ingest("digits", images, labels)
        await client.settle("digits")
        print((await client.predict("digits", images[:10])).entropy)
"""

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx
from tenacity import AsyncRetrying

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
from client.listening import PATIENCE_SECONDS, Event, Following, listen_asynchronously
from client.retry import ATTEMPTS_MAX, TIMEOUT_SECONDS, policy, unreachable
from client.wire import Arriving, Request, checked, headers_with, url_of_environment, usable_url

P = ParamSpec("P")
T = TypeVar("T")


def awaiting(call: Callable[P, Call[T]]) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    """The call as a coroutine method of `AsyncClient`."""

    @functools.wraps(call)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.drive(call(*args, **kwargs))

    return method


async def _awaited(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class AsyncClient:
    """`Client` for asyncio: the same calls, awaited; use it as an asynchronous context manager."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        attempts_max: int = ATTEMPTS_MAX,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = usable_url(url_of_environment() if url is None else url)
        self._http = httpx.AsyncClient(
            base_url=self.url, timeout=timeout_seconds, transport=transport, headers=headers_with(key)
        )
        self._attempts_max = attempts_max
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """No connection is open any more; a context manager does this at its end."""
        await self._http.aclose()

    async def drive(self, call: Call[T]) -> T:
        """The call's value, after all its requests were sent and answered.

        Raises:
            ClientProblem: what the call raises, or that an answer was a refusal or did not come.
        """
        try:
            request = next(call)
            while True:
                try:
                    response = await self._answer(request)
                except ClientProblem as problem:
                    request = call.throw(problem)
                else:
                    request = call.send(response)
        except StopIteration as end:
            value: T = end.value
            return value

    async def answer_to(self, request: Request) -> httpx.Response:
        """As `Client.answer_to`."""
        return await self._answer(request)

    async def _answer(self, request: Request) -> httpx.Response:
        if request.after_seconds:
            await self._sleep(request.after_seconds)
        retrying = AsyncRetrying(sleep=self._sleep, **policy(request, attempts_max=self._attempts_max))
        try:
            return await retrying(self._send, request)
        except httpx.TransportError as error:
            raise unreachable(self.url, error, request) from error

    async def _send(self, request: Request) -> httpx.Response:
        if request.watch is None:
            return checked(await self._http.request(**request.httpx_arguments))
        if not request.is_long:
            pieces = _awaited(request.pieces(request.watch))
            return checked(await self._http.request(**request.watched(pieces)))
        async with self._http.stream(**request.httpx_arguments) as response:
            arriving = Arriving(response, request.watch)
            async for piece in response.aiter_bytes():
                arriving.take(piece)
        return checked(arriving.whole())

    def events(
        self,
        model: str,
        *,
        after: int | None = None,
        kinds: Collection[str] = (),
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> AsyncGenerator[Event, None]:
        """As `Client.events`."""
        following = Following(model, after=after, kinds=kinds, patience_seconds=patience_seconds)
        return listen_asynchronously(self._http, following, url=self.url, sleep=self._sleep)

    create_model = awaiting(calls.create_model)
    upload = awaiting(blobs.upload)
    blob = awaiting(blobs.blob)
    create_key = awaiting(api_keys.create_key)
    keys = awaiting(api_keys.keys)
    revoke_key = awaiting(api_keys.revoke_key)
    models = awaiting(calls.models)
    model = awaiting(calls.model)
    ingest = awaiting(calls.ingest)
    ingest_all = awaiting(parts.ingest_all)
    batches = awaiting(calls.batches)
    batch = awaiting(calls.batch)
    delete_batch = awaiting(calls.delete_batch)
    update = awaiting(calls.update)
    updates = awaiting(calls.updates)
    read_update = awaiting(calls.read_update)
    cancel = awaiting(calls.cancel)
    replay = awaiting(calls.replay)
    wait = awaiting(waiting.wait)
    settle = awaiting(waiting.settle)
    predict = awaiting(calls.predict)
    predict_all = awaiting(parts.predict_all)
    kept_prediction = awaiting(labels.kept_prediction)
    label = awaiting(labels.label)
    versions = awaiting(calls.versions)
    version = awaiting(calls.version)
    posterior = awaiting(calls.posterior)
    export = awaiting(exports.export)
    import_version = awaiting(exports.import_version)
    compare = awaiting(comparing.compare)
    calibration = awaiting(calibrating.calibration)
    branches = awaiting(comparing.branches)
    aliases = awaiting(moves.aliases)
    alias = awaiting(moves.alias)
    set_alias = awaiting(moves.set_alias)
    remove_alias = awaiting(moves.remove_alias)
    history = awaiting(moves.history)
    rollback = awaiting(moves.rollback)
    park = awaiting(taking_back.park)
    discard = awaiting(taking_back.discard)
    release = awaiting(taking_back.release)
    parked = awaiting(taking_back.parked)
    decisions = awaiting(taking_back.decisions)
    forget = awaiting(taking_back.forget)
    forgets = awaiting(taking_back.forgets)
    read_forget = awaiting(taking_back.read_forget)
    cancel_forget = awaiting(taking_back.cancel_forget)
    wait_forget = awaiting(taking_back.wait_forget)
    metrics = awaiting(taking_back.metrics)
    alias_at = awaiting(taking_back.alias_at)
    event_history = awaiting(past.event_history)
    create_webhook = awaiting(hooks.create_webhook)
    webhooks = awaiting(hooks.webhooks)
    webhook = awaiting(hooks.webhook)
    remove_webhook = awaiting(hooks.remove_webhook)
    ready = awaiting(calls.ready)
