"""The application: the routes of all pages, behind the gate.

A module with pages has a list `routes`, and a line here.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from stones.stores.store import Store

from . import api, edit_pages, entry_forms, read_pages, static_files
from .answering import error_json, error_page
from .limits import Limits
from .security import HEADERS, Gate, Hosts
from .site import Site
from .token_check import TokenCheck

PAGES = [
    *read_pages.routes,
    *edit_pages.routes,
    *entry_forms.routes,
    *api.routes,
    *static_files.routes,
]
"""The routes of all pages."""


def make_app(
    store: Store[Any, Any],
    *,
    place: str | None = None,
    write: bool = False,
    token: str | None = None,
    classes: Mapping[str, type] | None = None,
    hosts: Hosts | None = None,
    limits: Limits | None = None,
) -> Starlette:
    """The pages to look into an open store, as an ASGI application.

    `place` is the path or URL to show. With `write`, records can be changed. With a `token`, only
    who knows it gets an answer. `classes` are record classes by the names of their collections.
    `hosts` are the names under which it answers: those of this machine, unless they are given.
    """
    site = Site(
        store,
        place or store.database.name,
        write=write,
        classes=classes or {},
        limits=limits or Limits(),
    )
    gate = Middleware(
        Gate,
        hosts=hosts or Hosts.of("127.0.0.1"),
        token_check=None if token is None else TokenCheck(token),
    )
    app = Starlette(
        routes=PAGES,
        middleware=[gate],
        exception_handlers={404: _no_page, 405: _no_page, 500: _failed},
    )
    app.router.redirect_slashes = False  # it would lead to the host that the request names
    app.state.site = site
    app.state.threads = ThreadPoolExecutor(site.limits.threads, "stones-page")
    return app


async def _no_page(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _message(request, status, "there is no such page")


async def _failed(request: Request, _: Exception) -> Response:
    answer = _message(request, 500, "this page failed; the terminal of the server tells more")
    answer.headers.update(HEADERS)  # it does not pass the gate
    return answer


def _message(request: Request, status: int, message: str) -> Response:
    is_api = request.url.path.startswith("/api/")
    return (error_json if is_api else error_page)(request.app.state.site, status, message)
