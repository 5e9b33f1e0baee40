"""Calls about what is learned from and what is not: parking, forgetting, and how well it went."""

import time
from collections.abc import Callable
from datetime import datetime

from client.bars import Told, update_bar
from client.calls import Call, ask, every
from client.errors import GO_ON_WAITING, ForgetUnfinished, WaitTimedOut
from client.moves import Alias
from client.values import Batch, Update, parse
from client.values_of_decisions import Decision, Forget, ForgetMethod, Metrics, Parked
from client.wire import Request, get, object_of, post, url_path

POLL_SECONDS = 0.1


def park(model: str, batch: int, *, reason: str | None = None) -> Call[Batch]:
    """Nothing learns from the batch before it is released.

    Raises:
        ServiceProblem: `batch-absorbed`, when head has learned from it already; `batch-forgotten`.
    """
    return (yield from ask(_decided(model, batch, "park", reason), Batch))


def discard(model: str, batch: int, *, reason: str | None = None) -> Call[Batch]:
    """Nothing will learn from the batch; its rows stay until they are deleted.

    Raises:
        ServiceProblem: `batch-absorbed`, when head has learned from it already; `batch-forgotten`.
    """
    return (yield from ask(_decided(model, batch, "discard", reason), Batch))


def release(model: str, batch: int, *, reason: str | None = None) -> Call[Update | None]:
    """The parked or discarded batch is to be learned from by this update; None: with others, when their chunk is.

    Raises:
        ServiceProblem: `batch-not-parked`, when there is nothing to release; `batch-forgotten`.
    """
    request = _decided(model, batch, "release", reason)
    update = object_of((yield request), request).get("update")
    return None if update is None else parse(Update, update, asked=str(request))


def parked(model: str) -> Call[tuple[Parked, ...]]:
    """The batches that wait for a decision, with what is known of why.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    return (yield from every(Parked, "models", model, "parked"))


def decisions(model: str, batch: int) -> Call[tuple[Decision, ...]]:
    """Everything that was decided about the batch, the oldest first.

    Raises:
        ServiceProblem: `batch-not-found`.
    """
    return (yield from every(Decision, "models", model, "batches", batch, "decisions"))


def forget(model: str, *batches: int, reason: str | None = None, method: ForgetMethod | None = None) -> Call[Forget]:
    """Head's line is being learned anew without these batches; until that is done, clients see the old head.

    By the method "approximate", what was learned of them has been divided out of head instead, at once: it needs no
    rows, is not exact and no deletion, and `approximation` says what was measured of it.

    Raises:
        ServiceProblem: `rows-missing`, when rows that would have to be learned again are gone;
            `approximation-impossible`, when head cannot be divided so.
    """
    body = {"batches": list(batches), "reason": reason, "method": method}
    return (yield from ask(post("models", model, "forget", body=body), Forget))


def forgets(model: str) -> Call[tuple[Forget, ...]]:
    """All forgets of the model, the oldest first.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    return (yield from every(Forget, "models", model, "forgets"))


def read_forget(model: str, forget: int, *, after_seconds: float = 0.0) -> Call[Forget]:
    """How far the forget is, asked after so many seconds.

    Raises:
        ServiceProblem: `forget-not-found`.
    """
    return (yield from ask(get("models", model, "forgets", forget, after_seconds=after_seconds), Forget))


def cancel_forget(model: str, forget: int) -> Call[Forget]:
    """The forget is over, and head stays; for all that comes, the batches stay forgotten.

    Raises:
        ServiceProblem: `update-finished`, when it has ended already.
    """
    return (yield from ask(Request("DELETE", url_path("models", model, "forgets", forget)), Forget))


def wait_forget(
    model: str,
    forget: int,
    *,
    progress: Told[Forget] = None,
    timeout_seconds: float | None = None,
    poll_seconds: float = POLL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Call[Forget]:
    """The forget is done, and head has moved.

    `progress` is called with the forget each time it was looked at; True draws its steps, where there is a terminal.

    Raises:
        ForgetUnfinished: it failed or was cancelled.
        WaitTimedOut: it did not end within `timeout_seconds`.
    """
    deadline = None if timeout_seconds is None else clock() + timeout_seconds
    current = yield from read_forget(model, forget)
    with update_bar(f"forget {forget}", is_wanted=progress is True) as bar:
        while current.state == "running":
            if callable(progress):
                progress(current)
            elif bar is not None:
                bar.steps(current)
            if deadline is not None and clock() >= deadline:
                situation = (
                    f"Forget {forget} of model {model} has {current.steps.published} of {current.steps.all} steps"
                )
                raise WaitTimedOut(f"{situation}; the time given for waiting is over", GO_ON_WAITING)
            current = yield from read_forget(model, forget, after_seconds=poll_seconds)
    if current.state != "done":
        raise ForgetUnfinished(
            model, forget, state=current.state, reason=current.error.message if current.error else ""
        )
    return current


def metrics(model: str, *, window: int | None = None) -> Call[Metrics]:
    """How each batch was predicted before anything learned from it; the whole series.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    request = get("models", model, "metrics", query={"window": window, "limit": 100})
    answer = object_of((yield request), request)
    while (cursor := answer["next_cursor"]) is not None:
        request = get("models", model, "metrics", query={"window": window, "limit": 100, "cursor": cursor})
        page = object_of((yield request), request)
        for name in ("batches", "notices"):
            answer[name] = [*answer[name], *page[name]]
        known = {one["version"] for one in answer["versions"]}
        answer["versions"] = [*answer["versions"], *(one for one in page["versions"] if one["version"] not in known)]
        answer["next_cursor"] = page["next_cursor"]
    return parse(Metrics, answer, asked=str(request))


def alias_at(model: str, alias: str, at: datetime) -> Call[Alias]:
    """Where the alias pointed at that moment: what was live then.

    `at` has a time zone: one without would be this machine's time to some and UTC to others, and is refused.

    Raises:
        ServiceProblem: `alias-not-found`, when it pointed nowhere then; `query-invalid`, when `at` has no time zone.
    """
    return (yield from ask(get("models", model, "aliases", alias, query={"at": at.isoformat()}), Alias))


def _decided(model: str, batch: int, how: str, reason: str | None) -> Request:
    return post("models", model, "batches", batch, how, body={"reason": reason or ""})
