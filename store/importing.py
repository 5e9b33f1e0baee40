"""Models that were learned in another installation: written as a whole, with the version they are learned on from."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, insert

from store.engine import Clock, database_clock, for_writing
from store.errors import ModelExists
from store.kinds import HEAD, MoveKind, Publication
from store.queries import find_model
from store.schema.learning import models, versions
from store.tombstones import must_not_be_buried
from store.values import Json, ModelRow
from store.writes import insert_move, insert_once


@dataclass(frozen=True)
class Imported:
    """A version of another installation, and where its bytes are here.

    Attributes:
        model: what its model is called there; `version`, its number there.
        digest: of the posterior; `root_digest`, of the version 0 of its line. The same where nothing was learned.
        rows: how many rows it has learned from, in all; `chunks`, in how many updates.
        kl_nats: KL(posterior || root).
        blobs: the digests of what came along with the two, by what it is: their lineage among it.
        posterity: the release that exported it.
        divided: the digests of the batches whose part was divided out on its line there, approximately.
    """

    model: str
    version: int
    digest: str
    root_digest: str
    rows: int
    chunks: int
    kl_nats: float
    blobs: dict[str, str] = field(default_factory=dict)
    posterity: str = ""
    divided: list[str] = field(default_factory=list)

    @property
    def digests(self) -> set[str]:
        return {self.digest, self.root_digest, *self.blobs.values()}

    def is_of(self, model: ModelRow) -> bool:
        """True where the model here came from this version."""
        known = model.imported
        return known is not None and (known["digest"], known["root_digest"]) == (self.digest, self.root_digest)


class Importing:
    """The writes of models that are imported; `clock` tells the time inside a transaction."""

    def __init__(self, engine: Engine, *, clock: Clock = database_clock) -> None:
        self.engine = for_writing(engine)
        self.clock = clock

    def create_model(
        self, name: str, description: Json, imported: Imported, *, posted: Json | None = None, actor: str = "service"
    ) -> tuple[ModelRow, bool]:
        """A model of this name and description goes on from this version; True when new.

        Its version 0 is the root there, its version 1 the imported version, and head points at it. Where nothing was
        learned yet there is version 0 alone.

        Raises:
            ModelExists: the name belongs to a model of another description, or to one that came from elsewhere.
            BlobBuried: some of the bytes are being removed; nothing was stored.
        """
        with self.engine.begin() as connection:
            must_not_be_buried(connection, imported.digests)
            now = self.clock(connection)
            told = {key: value for key, value in vars(imported).items() if key != "kl_nats"}
            values = {"name": name, "description": description, "posted": posted, "imported": told, "created_at": now}
            if not insert_once(connection, models, values):
                model = find_model(connection, name)
                must_be_this(model, description, imported)
                return model, False
            model = find_model(connection, name)
            _insert_versions(connection, model.id, imported, now)
            _point_head(connection, model.id, imported, now, actor=actor)
            return model, True


def must_be_this(model: ModelRow, description: Json, imported: Imported) -> None:
    """Nothing happens where the model is this version, imported before.

    Raises:
        ModelExists: it is another.
    """
    if model.description != description or not imported.is_of(model):
        raise ModelExists(model=model.name)


def _insert_versions(connection: Connection, model_id: int, imported: Imported, now: float) -> None:
    root: Json = {
        "model_id": model_id,
        "number": 0,
        "parent": None,
        "digest": imported.root_digest,
        "kl_nats": 0.0,
        "report": {},
        "created_at": now,
        "depth": 0,
        "branch": 0,
        "rows": 0,
        "rows_learned": 0,
        "publication": Publication.ROOT,
        "head_seq": 0,
    }
    learned: Json = root | {
        "number": 1,
        "parent": 0,
        "digest": imported.digest,
        "kl_nats": imported.kl_nats,
        "depth": 1,
        "rows": imported.rows,
        "rows_learned": imported.rows,
        "publication": Publication.IMPORTED,
    }
    connection.execute(insert(versions), [root, learned] if imported.chunks else [root])


def _point_head(connection: Connection, model_id: int, imported: Imported, now: float, *, actor: str) -> None:
    reason = f"imported: version {imported.version} of '{imported.model}'"
    move = {"alias": HEAD, "version": 1 if imported.chunks else 0, "kind": MoveKind.CREATE, "reason": reason}
    insert_move(connection, model_id, move | {"moved_by": actor, "moved_at": now})
