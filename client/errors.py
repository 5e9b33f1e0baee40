"""What can go wrong between a client and the service; one root, one readable message each."""

from dataclasses import dataclass


class ClientProblem(Exception):  # noqa: N818 - its children are named as RFC 9457 names them
    """The root of everything this package raises on purpose."""


@dataclass(frozen=True)
class Fault:
    """One fault in a posted body: where it sits (``net.layers.2``) and what is wrong there."""

    where: str
    message: str


class ServiceProblem(ClientProblem):
    """The service answered with an RFC 9457 problem.

    `code` is stable and meant for programs; `detail` is meant for people; `errors` says where in the body.
    """

    def __init__(
        self,
        code: str,
        status: int,
        detail: str,
        errors: tuple[Fault, ...] = (),
        *,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        wheres = [f"{fault.where}: {fault.message}" for fault in self.errors if fault.message not in self.detail]
        return f"{self.detail} ({self.code})" + "".join(f"; {where}" for where in wheres)


class KeyRefused(ServiceProblem):
    """The service asks for a key, and was shown none that it knows (401)."""

    def __str__(self) -> str:
        return f"{super().__str__()}. A client shows the key that it was given; `posterity` the one in POSTERITY_KEY."


class KeyNotAllowed(ServiceProblem):
    """The key does not allow what was asked (403)."""


class RateLimited(ServiceProblem):
    """The key has sent as many requests as it may (429); nothing was done. Wait for `retry_after_seconds`."""


class Unreachable(ClientProblem):
    """No whole answer came back over the network."""

    def __init__(self, url: str, reason: str, *, may_have_happened: bool) -> None:
        advice = (
            "What was asked may have been done all the same; look before asking again."
            if may_have_happened
            else "Is the service running there? `posterity serve` starts one."
        )
        super().__init__(f"No answer from {url}: {reason}. {advice}")
        self.url = url


class UnusableUrl(ClientProblem):
    """What was given as the service's URL is none."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url!r} is no URL of a service; one looks like http://127.0.0.1:8000.")
        self.url = url


class UnexpectedAnswer(ClientProblem):
    """The answer is not what the contract says; client and service are probably of different versions."""

    def __init__(self, asked: str, reason: str) -> None:
        super().__init__(f"The answer to {asked} is not one this client understands: {reason}")


class UnusableArray(ClientProblem):
    """An array cannot be posted as it is."""


class UnreadableFile(ClientProblem):
    """A file named on the command line cannot be read."""


class UnwritableFile(ClientProblem):
    """A file named on the command line cannot be written."""


class UnusableKey(ClientProblem):
    """The idempotency key cannot travel in a header."""


class UnusableApiKey(ClientProblem):
    """What was given as a key of the service is none; it is not shown here, as it may be one nearly."""

    def __init__(self) -> None:
        super().__init__(
            "The key for the service cannot travel in a header: it has blanks or other strange characters."
        )


class UpdateUnpublished(ClientProblem):
    """The update waited for ended without a version."""

    def __init__(self, model: str, update: int, *, state: str, reason: str) -> None:
        super().__init__(f"Update {update} of model {model} {state}{': ' if reason else ''}{reason}")
        self.model = model
        self.update = update
        self.state = state


class ForgetUnfinished(ClientProblem):
    """The forget waited for ended without having moved head."""

    def __init__(self, model: str, forget: int, *, state: str, reason: str) -> None:
        super().__init__(f"Forget {forget} of model {model} is {state}{': ' if reason else ''}{reason}")
        self.model = model
        self.forget = forget
        self.state = state


class HeadUndecided(ClientProblem):
    """Head of the model is moved by hand, and updates wait until somebody does."""

    def __init__(self, model: str, version: int, *, waiting: int) -> None:
        super().__init__(
            f"{waiting} updates of model {model} wait, as its head is moved by hand: move it to version {version} to "
            f"accept that (`posterity aliases set {model} head {version}`), or to where it is to decline."
        )
        self.model = model
        self.version = version


class WaitTimedOut(ClientProblem):
    """What was waited for did not happen within the given seconds; nothing was cancelled."""


class RowsLeftPending(ClientProblem):
    """Rows are pending, and nothing will close them into a chunk by itself."""

    def __init__(self, model: str, rows: int, *, chunk_rows: int) -> None:
        super().__init__(
            f"{rows} rows of model {model} stay pending: a chunk closes at {chunk_rows} rows, and the model "
            f"has no time limit. Post more rows, or close them now: `posterity update {model}`."
        )
