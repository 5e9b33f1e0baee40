"""Hands out the console, one page whatever its path, the page of the API, and the files they are made of.

None of these says anything of a model.
"""

from __future__ import annotations

import json
from functools import cache
from os import PathLike, stat_result
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.pages import WITH_STYLES, policy_with

ASSETS = Path(__file__).parent / "assets"
AT = "/console/assets"
MODULES = {
    "preact": "vendor/preact.mjs",
    "preact/hooks": "vendor/hooks.mjs",
    "htm": "vendor/htm.mjs",
    "uplot": "vendor/uplot.mjs",
}
"""What the libraries call each other, and ours call them, and where that is."""


class Assets(StaticFiles):
    """Files that a browser keeps, and asks each time whether they are still the ones."""

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response


def install(app: FastAPI) -> None:
    """The application answers under /console, and sends browsers that ask for nothing there."""
    app.mount(AT, Assets(directory=ASSETS), name="console assets")
    app.add_route("/", _to_the_console, include_in_schema=False)
    app.add_route("/docs", _documentation, include_in_schema=False)
    app.add_route("/console", _page, include_in_schema=False)
    app.add_route("/console/{path:path}", _page, include_in_schema=False)


async def _to_the_console(_request: Request) -> Response:
    return RedirectResponse("/console")


async def _page(_request: Request) -> Response:
    page, policy = _the_page()
    return HTMLResponse(page, headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"})


async def _documentation(_request: Request) -> Response:
    headers = {"Content-Security-Policy": WITH_STYLES, "Cache-Control": "no-cache"}
    return HTMLResponse((ASSETS / "docs.html").read_text(), headers=headers)


@cache
def _the_page() -> tuple[str, str]:
    """The page with the map of its modules, and the policy that allows this script besides the files of the service."""
    modules = json.dumps({"imports": {name: f"{AT}/{path}" for name, path in MODULES.items()}})
    page = (ASSETS / "console.html").read_text().replace("{{modules}}", modules)
    return page, policy_with(modules)
