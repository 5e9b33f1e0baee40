"""Everything that reads a stored file, each by itself; what it says is damaged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import httpx

from bayes import Posterior
from benchmarks.live.stored import Blob, Installation
from store.errors import BlobCorrupt
from worker.absorb import absorb

Reading = Callable[[Installation, Blob], Awaitable[str | None]]
"""Reads the blob; the digest that is said to be damaged, or None."""

_numbers = count(1)


def readings_of(blob: Blob) -> dict[str, Reading]:
    """Everything that reads such a blob, by its name."""
    found: dict[str, Reading] = {
        "store: get": _of(lambda made, blob: made.folder.get(blob.digest)),
        "store: open and verify": _of(_opened),
        "worker: absorb": _of(_absorbed),
        "GET blob": _asked(lambda blob: ("GET", f"/v1/blobs/{blob.digest}", None)),
    }
    if blob.kind == "weights":
        found["POST model"] = _asked(lambda blob: ("POST", "/v1/models", _described(blob)))
    if blob.kind == "posterior":
        version = f"/v1/models/{blob.model}/versions/{blob.version}"
        found["GET posterior"] = _asked(lambda _: ("GET", f"{version}/posterior", None))
        found["GET compare"] = _asked(lambda _: ("GET", f"{version}/compare/{blob.version}", None))
        found["POST predictions"] = _predicted
        if blob.claim.description["family"] != "point":
            found["POST predictions, draws"] = _drawn
    return found


def _of(read: Callable[[Installation, Blob], object]) -> Reading:
    async def reading(made: Installation, blob: Blob) -> str | None:
        try:
            read(made, blob)
        except BlobCorrupt as error:
            return str(error.facts["digest"])
        except Exception as error:  # noqa: BLE001 - Whatever it is, it does not say what is damaged.
            return type(error).__name__
        return None

    return reading


def _asked(request: Callable[[Blob], tuple[str, str, Any]]) -> Reading:
    async def reading(made: Installation, blob: Blob) -> str | None:
        method, url, body = request(blob)
        return _named(await made.client.request(method, url, json=body), blob)

    return reading


async def _predicted(made: Installation, blob: Blob) -> str | None:
    url = f"/v1/models/{blob.model}/versions/{blob.version}/predictions"
    method = "mean" if blob.claim.description["family"].startswith("mnf") else "moments"
    return _named(await made.client.post(url, json={**made.bodies[blob.model], "method": method}), blob)


async def _drawn(made: Installation, blob: Blob) -> str | None:
    url = f"/v1/models/{blob.model}/versions/{blob.version}/predictions"
    drawn = {"method": "ensemble", "samples": 2, "seed": next(_numbers)}
    return _named(await made.drawing.post(url, json={**made.bodies[blob.model], **drawn}), blob)


def _named(answer: httpx.Response, blob: Blob) -> str | None:
    if answer.is_success:
        return None
    body = answer.json()
    is_named = (answer.status_code, body["code"]) == (500, "blob-corrupt") and blob.digest in body["detail"]
    return blob.digest if is_named else str(body["code"])


def _opened(made: Installation, blob: Blob) -> None:
    with made.folder.open(blob.digest) as file:
        try:
            if blob.kind == "posterior":
                Posterior.read(file)
            else:
                file.read()
        finally:
            file.verify()  # Damaged bytes are the better explanation, as in service/loaded.py.


def _absorbed(made: Installation, blob: Blob) -> None:
    absorb(blob.claim, made.folder, device="cpu", missing_labels=[], progress=lambda _: None, check=lambda: None)


def _described(blob: Blob) -> Mapping[str, Any]:
    stated = {name: value for name, value in blob.claim.description.items() if name != "recipe"}
    prior = {"kind": "weights", "blob": blob.digest, "sigma": 0.1}
    return stated | {"name": f"around-{next(_numbers)}", "prior": prior}
