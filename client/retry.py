"""When a request is given up or sent again, and how long after."""

from typing import Any

import httpx
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from client.errors import RateLimited, ServiceProblem, Unreachable
from client.wire import Request

ATTEMPTS_MAX = 6
TIMEOUT_SECONDS = 60.0
PASSING_STATUSES = frozenset({429, 502, 503, 504})
PASSING_ERRORS = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
RETRY_AFTER_SECONDS_MAX = 60.0

_backoff = wait_exponential_jitter(multiplier=0.1, max=5.0, jitter=0.1)


def policy(request: Request, *, attempts_max: int) -> dict[str, Any]:
    """The arguments of tenacity for this request: one attempt only, unless it may be repeated or nothing was done."""
    return {
        "stop": stop_after_attempt(attempts_max),
        "wait": pause_seconds,
        "retry": retry_if_exception(lambda error: may_pass(error) and (request.is_repeatable or is_undone(error))),
        "reraise": True,
    }


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, ServiceProblem):
        is_soon = (error.retry_after_seconds or 0.0) <= RETRY_AFTER_SECONDS_MAX
        return error.status in PASSING_STATUSES and is_soon
    return isinstance(error, PASSING_ERRORS)


def is_undone(error: BaseException) -> bool:
    """Whether the service says that it did nothing, so that any request may be sent again."""
    return isinstance(error, RateLimited) and error.code == "rate-limited"


def pause_seconds(state: RetryCallState) -> float:
    """What Retry-After says, else 0.1, 0.2, 0.4, … 5 seconds and a little noise."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ServiceProblem) and error.retry_after_seconds is not None:
        return error.retry_after_seconds
    return _backoff(state)


def unreachable(url: str, error: httpx.TransportError, request: Request) -> Unreachable:
    was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol)
    return Unreachable(
        url, str(error) or type(error).__name__, may_have_happened=was_sent and not request.is_repeatable
    )
