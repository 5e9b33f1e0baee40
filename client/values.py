"""The resources of the service as frozen values; `raw` keeps each one exactly as it was answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from client.errors import UnexpectedAnswer

Json = dict[str, Any]
UpdateState = Literal["queued", "running", "published", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A JSON object of the service; fields that this client does not know stay readable in `raw`."""

    raw: Json = field(repr=False, compare=False)


@dataclass(frozen=True)
class Pending:
    batches: int
    rows: int


@dataclass(frozen=True)
class Imported:
    """The version of another installation that a model goes on from; `rows` were learned from there.

    What was learned of `divided`, digests of batches, was divided out there, approximately.
    """

    model: str
    version: int
    digest: str
    root_digest: str
    rows: int
    chunks: int
    posterity: str
    divided: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Model(Resource):
    name: str
    net: Json
    input: Json
    output: Json
    family: str
    prior: Json
    recipe: Json
    chunk: Json
    created_at: datetime
    head: int
    aliases: dict[str, int]
    versions: int
    batches: int
    rows: int
    pending: Pending
    updates: dict[str, int]
    undecided: int | None = None
    imported: Imported | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the numbers of a row are called; empty where the model has no names for them."""
        return tuple(self.input.get("names") or ())


@dataclass(frozen=True, kw_only=True)
class Batch(Resource):
    """`is_replay` is true when the service had this key and body already and stored nothing new."""

    model: str
    batch: int
    rows: int
    state: str
    key: str
    digest: str
    accepted_at: datetime
    chunk: int | None = None
    absorbed_in: tuple[int, ...] = ()
    on_head: bool = False
    is_replay: bool = False
    deleted_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Deletion(Resource):
    """The rows of a batch are deleted; `learned_by` are the versions that have it in their evidence, and stay."""

    model: str
    batch: int
    digest: str
    kind: str
    deleted_by: str
    reason: str
    deleted_at: datetime
    bytes_removed: bool
    learned_by: tuple[int, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Optimizer steps done and to do, and the evidence lower bound in nats where one is known."""

    step: int
    steps: int | None
    elbo: float | None = None


@dataclass(frozen=True)
class UpdateError:
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Update(Resource):
    model: str
    update: int
    chunk: int
    rows: int
    batches: tuple[int, ...]
    state: UpdateState
    attempt: int
    prior: int | None = None
    version: int | None = None
    progress: Progress | None = None
    report: Json | None = None
    warnings: tuple[str, ...] = ()
    error: UpdateError | None = None
    omitted: tuple[int, ...] = ()
    forget: int | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Evidence:
    """What a version has learned from; of long lines, lists leave out which: read the version by itself.

    `elsewhere` of the rows were learned from before the model was imported. What was learned of `divided` was divided
    out by an approximate forget; they are evidence all the same.
    """

    rows: int
    chunks: tuple[int, ...] | None
    batches: tuple[int, ...] | None
    elsewhere: int = 0
    divided: tuple[int, ...] = ()


@dataclass(frozen=True)
class Prequential:
    """How well the parent predicted this version's rows before they were absorbed; `nll` in nats per row.

    `coverage` is the part of the numbers that lay in their 90 % intervals.
    """

    rows: int
    accuracy: float | None = None
    nll: float | None = None
    ece: float | None = None
    rmse: float | None = None
    coverage: float | None = None


@dataclass(frozen=True, kw_only=True)
class Version(Resource):
    """An immutable posterior; version 0 is the root prior, without parent, chunk or update."""

    model: str
    version: int
    parent: int | None
    chunk: int | None
    update: int | None
    digest: str
    rows: int | None
    evidence: Evidence
    kl_nats: float | None
    prequential: Prequential | None = None
    seconds: float | None = None
    recipe: Json | None = None
    report: Json | None = None
    aliases: tuple[str, ...] = ()
    created_at: datetime
    depth: int = 0
    branch: int = 0
    fork: int | None = None
    publication: str = "head"


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether the service takes requests now, and what it says about its parts."""

    is_ready: bool
    raw: Json


R = TypeVar("R", bound=Resource)
_ADAPTERS: dict[type[Resource], TypeAdapter[Any]] = {}


def parse(kind: type[R], answer: Mapping[str, Any], *, asked: str) -> R:
    """The JSON object as a value of this kind; fields unknown here are kept in `raw` only.

    Raises:
        UnexpectedAnswer: a field is missing or of another type.
    """
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    try:
        value: R = _ADAPTERS[kind].validate_python({**answer, "raw": dict(answer)})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnexpectedAnswer(asked, f"{where or 'answer'}: {first['msg']}") from error
    return value
