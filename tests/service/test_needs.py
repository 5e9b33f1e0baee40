"""Which scope a call needs: said here for every call, and decided on exactly the path that the router sees."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import Route

import service
from service.app import create_app
from service.needs import NEEDS, Need, need_of
from service.rejected import NotFound
from service.requests import only_known_parameters
from store.kinds import Scope
from store.settings import Settings
from tests.service.expected import code_of
from tests.service.keyed import make_key, raw
from tests.service.live import TINY, Live, running

API = Path(__file__).parents[2] / "docs" / "api.md"

ALLOWED = {
    "GET /livez": "",
    "GET /readyz": "",
    "GET /": "",
    "GET /console": "",
    "GET /console/{path:path}": "",
    "GET /docs": "",
    "GET /openapi.json": "admin ingest predict",
    "GET /v1/models": "admin ingest predict",
    "POST /v1/models": "admin",
    "GET /v1/models/{model}": "admin ingest predict",
    "POST /v1/imports": "admin",
    "POST /v1/blobs": "admin",
    "GET /v1/blobs/{blob}": "admin",
    "POST /v1/models/{model}/batches": "admin ingest",
    "GET /v1/models/{model}/batches": "admin ingest",
    "GET /v1/models/{model}/batches/{batch}": "admin ingest",
    "DELETE /v1/models/{model}/batches/{batch}": "admin",
    "GET /v1/models/{model}/batches/{batch}/decisions": "admin ingest",
    "POST /v1/models/{model}/batches/{batch}/park": "admin",
    "POST /v1/models/{model}/batches/{batch}/release": "admin",
    "POST /v1/models/{model}/batches/{batch}/discard": "admin",
    "GET /v1/models/{model}/parked": "admin ingest",
    "POST /v1/models/{model}/forget": "admin",
    "GET /v1/models/{model}/forgets": "admin ingest predict",
    "GET /v1/models/{model}/forgets/{forget}": "admin ingest predict",
    "DELETE /v1/models/{model}/forgets/{forget}": "admin",
    "GET /v1/models/{model}/metrics": "admin ingest predict",
    "POST /v1/models/{model}/updates": "admin ingest",
    "GET /v1/models/{model}/updates": "admin ingest",
    "GET /v1/models/{model}/updates/{update}": "admin ingest",
    "DELETE /v1/models/{model}/updates/{update}": "admin",
    "POST /v1/models/{model}/replays": "admin",
    "POST /v1/models/{model}/predictions": "admin predict",
    "GET /v1/models/{model}/predictions": "admin predict",
    "GET /v1/models/{model}/predictions/{prediction}": "admin predict",
    "POST /v1/models/{model}/labels": "admin ingest",
    "POST /v1/models/{model}/versions/{version}/predictions": "admin predict",
    "GET /v1/models/{model}/versions": "admin predict",
    "GET /v1/models/{model}/versions/{version}": "admin predict",
    "GET /v1/models/{model}/versions/{version}/posterior": "admin",
    "GET /v1/models/{model}/versions/{version}/export": "admin",
    "GET /v1/models/{model}/versions/{version}/compare/{other}": "admin predict",
    "POST /v1/models/{model}/versions/{version}/compare/{other}": "admin predict",
    "GET /v1/models/{model}/versions/{version}/calibration": "admin predict",
    "POST /v1/models/{model}/versions/{version}/calibration": "admin predict",
    "GET /v1/models/{model}/branches": "admin predict",
    "GET /v1/models/{model}/aliases": "admin predict",
    "GET /v1/models/{model}/aliases/{alias}": "admin predict",
    "PUT /v1/models/{model}/aliases/{alias}": "admin",
    "DELETE /v1/models/{model}/aliases/{alias}": "admin",
    "GET /v1/models/{model}/aliases/{alias}/history": "admin predict",
    "POST /v1/models/{model}/rollback": "admin",
    "GET /v1/models/{model}/events": "admin ingest predict",
    "GET /v1/models/{model}/events/history": "admin ingest predict",
    "POST /v1/models/{model}/webhooks": "admin",
    "GET /v1/models/{model}/webhooks": "admin",
    "GET /v1/models/{model}/webhooks/{webhook}": "admin",
    "DELETE /v1/models/{model}/webhooks/{webhook}": "admin",
    "GET /v2": "admin ingest predict",
    "GET /v2/health/live": "",
    "GET /v2/health/ready": "",
    "POST /v2/repository/index": "admin ingest predict",
    "POST /invocations": "admin predict",
    "GET /ping": "",
    "GET /health": "",
    "GET /version": "admin ingest predict",
    "GET /v2/models/{model}": "admin ingest predict",
    "GET /v2/models/{model}/ready": "admin ingest predict",
    "GET /v2/models/{model}/versions/{version}": "admin ingest predict",
    "GET /v2/models/{model}/versions/{version}/ready": "admin ingest predict",
    "POST /v2/models/{model}/infer": "admin predict",
    "POST /v2/models/{model}/versions/{version}/infer": "admin predict",
    "POST /v1/keys": "admin",
    "GET /v1/keys": "admin",
    "DELETE /v1/keys/{name}": "admin",
}
OF_THE_DOCUMENT_ITSELF = {"GET /docs", "GET /openapi.json", "GET /", "GET /console", "GET /console/{path:path}"}
SCOPES = ("admin", "ingest", "predict")


def all_routes() -> Iterator[tuple[str, str]]:
    """Every method and path that the application answers: of its own routes, and of the routers of all its modules."""
    app = create_app(Settings())
    found = pkgutil.walk_packages(service.__path__, "service.")
    modules = [importlib.import_module(module.name) for module in found if not module.name.endswith("__main__")]
    routers = [router for module in modules if isinstance(router := getattr(module, "router", None), APIRouter)]
    for route in [*app.routes, *(route for router in routers for route in router.routes)]:
        if isinstance(route, Route | APIRoute):
            yield from ((method, route.path) for method in (route.methods or set()) - {"HEAD"})


def test_every_call_of_the_service_is_allowed_to_the_scopes_said_here_and_to_no_others() -> None:
    routes = {f"{method} {path}" for method, path in all_routes()}

    assert {call: " ".join(sorted(NEEDS.get(call, {"nobody"}))) for call in routes} == ALLOWED
    assert NEEDS.keys() == routes


def test_the_openapi_document_names_the_scopes_of_every_call() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    said = {
        f"{method.upper()} {path}": " ".join(sorted(scope for one in operation["security"] for scope in one["key"]))
        for path, operations in paths.items()
        for method, operation in operations.items()
    }

    assert said == {call: scopes for call, scopes in ALLOWED.items() if call not in OF_THE_DOCUMENT_ITSELF}


def test_the_documentation_names_the_scopes_of_every_call() -> None:
    listed = re.findall(r"^\| `([A-Z]+ /[^` ?]*)[^|]*\|.*\| ([a-z ,]*?) \|$", API.read_text(), flags=re.MULTILINE)
    words = {"": "none", "admin ingest predict": "any", "admin ingest": "ingest", "admin predict": "predict"}

    assert dict(listed) == {
        call: words.get(scopes, scopes) for call, scopes in ALLOWED.items() if call not in OF_THE_DOCUMENT_ITSELF
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("", "/v1", "/v1/model", "/metrics", "/consol", "/v1/models/", "//v1/models")),
        *(
            ("GET", path)
            for path in ("/V1/models", "/v1/models/a/", "/v1/../v1/models", "/v1/models/a/b/c/d", "/livez/")
        ),
        *(
            (method, "/v1/models/a/predictions")
            for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "HEAD")
        ),
        ("POST", "/livez"),
    ],
)
def test_what_the_table_does_not_know_needs_a_key_for_everything(method: str, path: str) -> None:
    need = need_of(method, path)

    assert need == Need(frozenset({Scope.ADMIN}), None, is_of_all=True)


WORDS = (
    "v1 v2 models keys blobs a secret batches predictions versions 0 posterior compare aliases head history rollback"
)
ODD = ("", " ", ".", "..", "%2F", "%2f", "\n", "a\n", "a;v1", "a?b", "#", "\x00", "é", "{model}", "V1", "Models")
PIECES = st.sampled_from(
    [
        *WORDS.split(),
        "replays",
        "updates",
        "infer",
        "ready",
        "health",
        "live",
        "livez",
        "readyz",
        "docs",
        "openapi.json",
        *ODD,
    ]
)
PATHS = st.lists(PIECES, max_size=8).map(lambda pieces: "/" + "/".join(pieces)) | st.builds(
    lambda call, name, end: re.sub(r"\{\w+\}", lambda _: name, call.partition(" ")[2]) + end,
    st.sampled_from(sorted(NEEDS)),
    PIECES.filter(lambda piece: "/" not in piece),
    st.sampled_from(["", "", "", "/", "\n", "/.", "%2F", " "]),
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get"])


@pytest.fixture(scope="module")
def routed() -> Iterator[tuple[FastAPI, list[tuple[str, str | None]]]]:
    """The application without a door, and the calls, with the models named, that its router chose."""
    app, chosen = create_app(Settings()), list[tuple[str, str | None]]()
    app.user_middleware.clear()

    async def choose(request: Request) -> None:
        chosen.append((f"{request.method} {request.scope['route'].path}", request.path_params.get("model")))
        raise NotFound(path="it goes no further")

    app.dependency_overrides[only_known_parameters] = choose
    yield app, chosen
    app.state.house.close()


@settings(max_examples=1000, deadline=None)
@given(method=METHODS, path=PATHS)
def test_the_door_decides_on_the_call_and_the_model_that_the_router_chooses(
    routed: tuple[FastAPI, list[tuple[str, str | None]]], method: str, path: str
) -> None:
    app, chosen = routed
    chosen.clear()

    asyncio.run(ask(app, method, path))

    for call, model in chosen:
        need = need_of("GET" if method == "HEAD" else method, path)
        assert need.scopes == NEEDS[call]
        assert need.model == model
        assert need.is_of_all == call.endswith(("/v1/keys", "/v1/keys/{name}"))


async def ask(app: FastAPI, method: str, path: str) -> None:
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [], "root_path": ""}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: object) -> None: ...

    await app(scope, receive, send)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, dict[str, dict[str, str]]]]:
    """A service with a key of each scope."""
    with running(tmp_path_factory.mktemp("needs")) as live:
        yield live, {scope: make_key(live, f"a-{scope}-key", scope) for scope in SCOPES}


@pytest.mark.parametrize("call", ALLOWED)
def test_a_call_is_refused_to_every_other_scope_and_to_nobody_else(
    keyed: tuple[Live, dict[str, dict[str, str]]], call: str
) -> None:
    live, headers = keyed
    method, _, template = call.partition(" ")
    path = re.sub(r"\{\w+\}", "7", template)

    for scope in SCOPES:
        answer = live.client.request(method, path, headers=headers[scope])
        if not ALLOWED[call] or scope in ALLOWED[call].split():
            assert answer.status_code not in {401, 403}, answer.text
        else:
            assert (answer.status_code, code_of(answer)) == (403, "key-not-allowed")
            needs = ALLOWED[call].replace(" ", " or ")
            assert f"has the scope {scope}; {method} {path} needs {needs}. " in answer.text
    without = live.client.request(method, path)
    assert (without.status_code == 401) == bool(ALLOWED[call])


SECRETS = [
    "/v1/models/secret",
    "/v1/models/secret/versions/0",
    "/v1/models/mine%2F..%2Fsecret",
    "/v1/models/mine/../secret",
    "/v1/models/mine%2f%2e%2e%2fsecret",
    "//v1/models/secret",
    "/v1//models/secret",
    "/v1/models//secret",
    "/v1/models/secret/",
    "/v1/models/%73ecret",
    "/v1/models/secret%20",
    "/v1/models/secret%0A",
    "/v1/models/secret%00",
    "/v1/models/secret;mine",
    "/v1/models/SECRET",
    "/V1/MODELS/secret",
    "/v1/models/secret%2Fversions",
    "/v1%2Fmodels%2Fsecret",
    "/%76%31/models/secret",
    "http://elsewhere/v1/models/secret",
    "/livez/../v1/models/secret",
    "/livez%2F..%2Fv1%2Fmodels%2Fsecret",
    "/v1/keys",
    "/v1%2Fkeys",
    "/v2/models/secret",
    "/v2/models/secret/infer",
    "/v2/models/secret/versions/0/infer",
    "/v2/models/mine/../secret",
]


@pytest.mark.parametrize("path", SECRETS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_no_way_of_writing_a_path_leads_past_the_door(
    live_and_mine: tuple[Live, dict[str, str]], path: str, method: str
) -> None:
    live, mine = live_and_mine

    assert raw(live, method, "/v1/models/mine/versions", mine) in {200, 403, 405}
    assert raw(live, method, path, {}) == 401
    assert raw(live, method, path, mine) == 403


@pytest.fixture(scope="module")
def live_and_mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, dict[str, str]]]:
    """A service with the models mine and secret, and a key that reads mine."""
    with running(tmp_path_factory.mktemp("tricks")) as live:
        for name in ("mine", "secret"):
            live.client.post("/v1/models", json=TINY | {"name": name}).raise_for_status()
        yield live, make_key(live, "reader", "predict", "ingest", models="mine*")
