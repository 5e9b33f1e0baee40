"""`GET /metrics`: the service and where all models stand, for Prometheus. A model's own series are in metrics.py."""

from __future__ import annotations

from functools import partial
from typing import cast

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from service.access import UNSURE
from service.problems import declared
from service.telemetry.scraping import Scraping

router = APIRouter(tags=["health"])

TEXT = {"schema": {"type": "string"}, "example": "# HELP posterity_models All models.\n…"}
TYPES = {"text/plain": TEXT, "application/openmetrics-text": TEXT}
ANSWER = {"description": "All metrics, as text.", "content": TYPES}


@router.get("/metrics", operation_id="scrape", response_class=Response, responses=declared(also={200: ANSWER}))
async def scrape(request: Request) -> Response:
    """What Prometheus reads: requests, queues and memory of this service, and where each model stands by the ledger.

    OpenMetrics is answered where `Accept` asks for it. A ledger that does not answer within 2 seconds is told by
    `posterity_ledger_up 0`, and the rest is there all the same.
    """
    scraping = cast("Scraping", request.app.state.scraping)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    # Not of the threads that answer others: these would be waited for where the database does not answer.
    is_sure = not request.scope["state"].get(UNSURE, False)
    body = await run_sync(partial(scraping.text, encode, is_of_models=is_sure), limiter=scraping.limiter)
    return Response(body, headers={"Content-Type": media_type})
