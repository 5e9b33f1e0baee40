"""The application: routers, problems and the OpenAPI document around one house."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import torch
from fastapi import Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from service import (
    aliases,
    batches,
    blobs,
    branches,
    calibration,
    compare,
    events,
    exports,
    forgets,
    health,
    imports,
    keys,
    labels,
    metrics,
    models,
    parked,
    predictions,
    problems,
    updates,
    versions,
    webhooks,
)
from service.access import Access
from service.console import routes as console
from service.events import IS_HEAD
from service.house import open_house
from service.inference import infer, invocations, metadata
from service.names import Names
from service.openapi import document
from service.quick import Quick
from service.quick_batches import QuickBatches
from service.requests import only_known_parameters
from service.visits import Visits
from store.settings import Settings

SUMMARY = "Labeled batches in, Bayesian versions out, predictions with uncertainty from any of them."
DESCRIPTION = """\
Post labeled batches; a worker turns each chunk of them into a new version of the model; every version stays queryable,
and rolling back is moving a pointer. Every error is `application/problem+json` (RFC 9457) with a stable `code`."""
TAGS = [
    {"name": "models", "description": "A net, a likelihood and a recipe, and everything learned for it."},
    {"name": "blobs", "description": "Weights learned elsewhere, for priors to start from."},
    {"name": "batches", "description": "Labeled rows, stored once under the client's key."},
    {"name": "parking", "description": "Batches that are set aside until somebody decides."},
    {"name": "forgets", "description": "Lines learned anew without some batches."},
    {
        "name": "metrics",
        "description": "How each batch was predicted before it was learned; how far a confidence can be believed.",
    },
    {"name": "updates", "description": "Chunks on their way to become versions."},
    {"name": "predictions", "description": "Answers with their uncertainty."},
    {"name": "inference", "description": "The same predictions by the Open Inference Protocol v2, as tensors."},
    {"name": "invocations", "description": "And in the shape of MLflow's scoring server."},
    {"name": "labels", "description": "What arrives after the prediction: kept inputs become rows, once."},
    {"name": "versions", "description": "Immutable posteriors; version 0 is the root prior."},
    {"name": "aliases", "description": "Names that point at versions; head is the one predictions default to."},
    {"name": "events", "description": "What happens to a model, told to those who listen."},
    {"name": "keys", "description": "Who may do what; only hashes are stored."},
    {"name": "health", "description": "Probes."},
]


class Posterity(FastAPI):
    """FastAPI, whose OpenAPI document also has the bodies that the service reads raw, and which answers HEAD."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A HEAD is answered as a GET; uvicorn, which knows it was a HEAD, keeps the body back.
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", IS_HEAD: True}
        await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        house = self.state.house
        return Visits(super().build_middleware_stack(), names=Names(house.settings), bodies=house.bodies)

    def openapi(self) -> dict[str, Any]:
        return document(self)


def create_app(settings: Settings) -> FastAPI:
    """The service on these settings; its database must be at the current migration when a request comes."""
    torch.set_num_threads(settings.thread_count)
    house = open_house(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        house.preloading.start()
        house.delivering.start()
        yield
        house.close()

    app = Posterity(
        title="Posterity",
        version=version("posterity"),
        summary=SUMMARY,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        dependencies=[Depends(only_known_parameters)],
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.house = house
    app.add_middleware(Quick, house=house)
    app.add_middleware(QuickBatches, house=house)
    app.add_middleware(Access, house=house)
    problems.install(app)
    for part in (
        models,
        imports,
        blobs,
        batches,
        parked,
        updates,
        forgets,
        predictions,
        labels,
        metrics,
        versions,
        branches,
        compare,
        calibration,
        exports,
        aliases,
        events,
        webhooks,
        keys,
        health,
        metadata,
        infer,
        invocations,
    ):
        app.include_router(part.router)
    console.install(app)
    return app
