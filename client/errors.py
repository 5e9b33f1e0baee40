"""What can go wrong between a client and the service; one root, one readable message each."""

from dataclasses import dataclass

from client.hints import HINTS, of_status


class ClientProblem(Exception):  # noqa: N818 - its children are named as RFC 9457 names them
    """The root of everything this package raises on purpose.

    `code` is stable and meant for programs, `title` says what kind of thing happened, `detail` what, and `next` what to
    do about it.
    """

    code = "client-problem"
    title = "Something cannot be done"

    def __init__(self, detail: str, next: str = "") -> None:  # noqa: A002 - what the field is called in JSON too.
        super().__init__(f"{detail.rstrip('.')}. Next: {next}." if next else detail)
        self.detail = detail
        self.next = next


GO_ON_WAITING = (
    "nothing was cancelled; wait again (`posterity settle MODEL`), and look whether a worker runs (`posterity doctor`)"
)


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
        title: str = "",
    ) -> None:
        super().__init__(detail, HINTS.get(code) or of_status(status))
        self.code = code
        self.title = title or f"The service answers {status}"
        self.status = status
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        wheres = [f"{fault.where}: {fault.message}" for fault in self.errors if fault.message not in self.detail]
        said = f"{self.detail} ({self.code})" + "".join(f"; {where}" for where in wheres)
        return f"{said}. Next: {self.next}."


class KeyRefused(ServiceProblem):
    """The service asks for a key, and was shown none that it knows (401)."""


class KeyNotAllowed(ServiceProblem):
    """The key does not allow what was asked (403)."""


class RateLimited(ServiceProblem):
    """The key has sent as many requests as it may (429); nothing was done. Wait for `retry_after_seconds`."""


class Unreachable(ClientProblem):
    """No whole answer came back over the network."""

    code, title = "unreachable", "The service does not answer"

    def __init__(self, url: str, reason: str, *, may_have_happened: bool) -> None:
        advice = (
            "what was asked may have been done all the same; look before asking again"
            if may_have_happened
            else "start a service with `posterity serve`, or say where it is (--url, POSTERITY_URL)"
        )
        super().__init__(f"No answer from {url}: {reason}", advice)
        self.url = url


class UnusableUrl(ClientProblem):
    """What was given as the service's URL is none."""

    code, title = "url-unusable", "The URL is none"

    def __init__(self, url: str) -> None:
        super().__init__(f"{url!r} is no URL of a service", "give one such as http://127.0.0.1:8000")
        self.url = url


class UnexpectedAnswer(ClientProblem):
    """The answer is not what the contract says; client and service are probably of different versions."""

    code, title = "answer-unexpected", "The answer is not understood"

    def __init__(self, asked: str, reason: str) -> None:
        super().__init__(
            f"The answer to {asked} is not one this client understands: {reason}",
            "check that a service of Posterity answers at the URL, and that it is of the client's release",
        )


class UnusableArray(ClientProblem):
    """An array cannot be posted as it is."""

    code, title = "array-unusable", "The rows cannot be posted as they are"


class UnreadableFile(ClientProblem):
    """A file named on the command line cannot be read."""

    code, title = "file-unreadable", "The file cannot be read"


class UnwritableFile(ClientProblem):
    """A file named on the command line cannot be written."""

    code, title = "file-unwritable", "The file cannot be written"


class UnusableKey(ClientProblem):
    """The idempotency key cannot travel in a header."""

    code, title = "idempotency-key-unusable", "The idempotency key cannot be sent"


class UnusableApiKey(ClientProblem):
    """What was given as a key of the service is none; it is not shown here, as it may be one nearly."""

    code, title = "key-unusable-here", "The key cannot be sent"

    def __init__(self) -> None:
        super().__init__(
            "The key for the service cannot travel in a header: it has blanks or other strange characters",
            "give it as it was shown when it was made, posterity_ and 43 letters and digits",
        )


class UpdateUnpublished(ClientProblem):
    """The update waited for ended without a version."""

    code, title = "update-unpublished", "The update ended without a version"

    def __init__(self, model: str, update: int, *, state: str, reason: str) -> None:
        super().__init__(
            f"Update {update} of model {model} {state}{': ' if reason else ''}{reason}",
            f"`posterity updates {model}` shows its chunk; `posterity replay {model} CHUNK` learns it after all",
        )
        self.model = model
        self.update = update
        self.state = state


class ForgetUnfinished(ClientProblem):
    """The forget waited for ended without having moved head."""

    code, title = "forget-unfinished", "The forget ended without moving head"

    def __init__(self, model: str, forget: int, *, state: str, reason: str) -> None:
        super().__init__(
            f"Forget {forget} of model {model} is {state}{': ' if reason else ''}{reason}",
            f"head is where it was; ask again with `posterity forget {model} BATCH`",
        )
        self.model = model
        self.forget = forget
        self.state = state


class HeadUndecided(ClientProblem):
    """Head of the model is moved by hand, and updates wait until somebody does."""

    code, title = "head-undecided", "A version waits for a decision"

    def __init__(self, model: str, version: int, *, waiting: int) -> None:
        super().__init__(
            f"{waiting} updates of model {model} wait, as its head is moved by hand",
            f"move it to version {version} to accept that (`posterity aliases set {model} head {version}`), or to "
            "where it is to decline",
        )
        self.model = model
        self.version = version


class WaitTimedOut(ClientProblem):
    """What was waited for did not happen within the given seconds; nothing was cancelled."""

    code, title = "wait-timed-out", "What was waited for did not happen in time"


class RowsLeftPending(ClientProblem):
    """Rows are pending, and nothing will close them into a chunk by itself."""

    code, title = "rows-left-pending", "Rows stay pending"

    def __init__(self, model: str, rows: int, *, chunk_rows: int) -> None:
        super().__init__(
            f"{rows} rows of model {model} stay pending: a chunk closes at {chunk_rows} rows, and the model "
            "has no time limit",
            f"post more rows, or close them now: `posterity update {model}`",
        )
