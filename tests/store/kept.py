"""The two kinds of stores of blobs, and what the tests do to them behind their backs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import obstore
from obstore.store import S3Store

from store.blobs import Blobs
from store.digests import name_of
from store.folder import Folder
from store.object_store import ObjectStore
from tests.object_server import ObjectServer

SECONDS = 20.0


class Kept(ABC):
    """A store of blobs, its URL, and the bytes under it."""

    blobs: Blobs
    url: str

    @abstractmethod
    def plant(self, name: str, data: bytes) -> None:
        """This is what lies there now."""

    @abstractmethod
    def names(self) -> list[str]:
        """Where anything lies, in order."""

    def damage(self, digest: str, data: bytes) -> None:
        """The blob's bytes are others."""
        self.plant(name_of(digest), data)


class KeptInFolder(Kept):
    def __init__(self, root: Path) -> None:
        self.root, self.url = root, root.as_uri()
        self.blobs = Folder(root)

    def plant(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


class KeptInBucket(Kept):
    def __init__(self, server: ObjectServer) -> None:
        self.url = server.url()
        self.blobs = ObjectStore(self.url, seconds=SECONDS)
        self._store: S3Store = server.store(self.url)

    def plant(self, name: str, data: bytes) -> None:
        obstore.put(self._store, name, data)

    def names(self) -> list[str]:
        return sorted(found["path"] for page in obstore.list(self._store) for found in page)
