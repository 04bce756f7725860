"""Runs a page in a thread, with limits, and turns errors into answers.

`get_page` and `post_page` make the routes of pages, `get_json` those of the API. An answer is whole
when it leaves the page: nothing is streamed, so its size is known, and the snapshot is let go.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive

from stones.errors import (
    ConflictError,
    CorruptValueError,
    DuplicateKeyError,
    LockTimeoutError,
    ReadOnlyError,
    StoneError,
    StorageError,
)

from .limited_view import limited_view
from .limits import LONGEST_QUERY, Deadline, TimeLimitError
from .page_request import NoSuchPageError, PageRequest
from .pattern_limits import limited_searches
from .patterns import check_patterns
from .rendering import rendered
from .request_body import BodyError, form_of
from .site import Site

PageFunction = Callable[[PageRequest], Response]
"""A page: what answers a request, in a thread."""
Failure = Callable[[Site, int, str], Response]
"""The answer that tells of an error: its status and message."""

_log = logging.getLogger(__name__)


def get_page(path: str, page: PageFunction) -> Route:
    """A page that only reads."""
    return Route(path, _reading(page, error_page), methods=["GET"])


def get_json(path: str, page: PageFunction) -> Route:
    """An answer for programs. An error is JSON too: {"error": "..."}."""
    return Route(path, _reading(page, error_json), methods=["GET"])


def post_page(path: str, page: PageFunction) -> Route:
    """What a form sends, which changes the store. It is there only with --write."""
    return Route(path, _writing(page, error_page), methods=["POST"])


def error_page(site: Site, status: int, message: str) -> Response:
    """A page with an error."""
    text = rendered("error.html", site=site, status=status, message=message)
    return HTMLResponse(text, status)


def error_json(_: Site, status: int, message: str) -> Response:
    """An error for programs."""
    return JSONResponse({"error": message}, status)


def status_of(error: Exception) -> int:
    """The status of the answer that tells of an error."""
    match error:
        case NoSuchPageError():
            return 404
        case ReadOnlyError():
            return 403
        case DuplicateKeyError() | ConflictError():
            return 409
        case TimeLimitError() | LockTimeoutError() | MemoryError():
            return 503
        case StorageError() | CorruptValueError():
            return 500
        case StoneError():
            return 400
    return 500


def _reading(page: PageFunction, failed: Failure) -> Any:
    async def answer(request: Request) -> Response:
        site: Site = request.app.state.site
        if len(request.url.query) > LONGEST_QUERY:
            return failed(site, 414, f"a URL has at most {LONGEST_QUERY:,} characters")
        return await _answer(page, failed, request, {}, Deadline(site.limits.seconds, site.stopped))

    return answer


def _writing(page: PageFunction, failed: Failure) -> Any:
    async def answer(request: Request) -> Response:
        site: Site = request.app.state.site
        deadline = Deadline(site.limits.seconds, site.stopped)
        if not site.write:
            return failed(site, 403, "the store is served for reading only: start with --write")
        try:
            size = site.limits.body
            form = await form_of(request.scope, request.receive, size, site.limits.seconds)
        except BodyError as error:
            return failed(site, error.status, str(error))
        if not site.is_own_form(form):
            return failed(site, 403, "this form is of another site, or of a server that has ended")
        return await _answer(page, failed, request, form, deadline)

    return answer


async def _answer(
    page: PageFunction,
    failed: Failure,
    request: Request,
    form: dict[str, str],
    deadline: Deadline,
) -> Response:
    site: Site = request.app.state.site
    threads: ThreadPoolExecutor = request.app.state.threads

    def answered() -> Response:
        try:
            deadline.check()
            check_patterns([text for _, text in request.query_params.multi_items()])
            with limited_searches(deadline), limited_view(site.store, deadline) as view:
                response = page(PageRequest(request, site, view, form))
        except StoneError as error:
            return failed(site, status_of(error), str(error))
        except MemoryError:
            return failed(site, 503, "there is not enough memory for this page")
        except Exception:  # noqa: BLE001  # a fault of a page must not end the server
            _log.exception("a page failed: %s", request.url.path)
            return failed(site, 500, "this page failed; the terminal of the server tells more")
        size = len(response.body)
        if size > site.limits.answer:
            return failed(
                site, 413, f"the answer would have {size:,} bytes, more than a page may have"
            )
        return response

    running: asyncio.Future[Any] = asyncio.get_running_loop().run_in_executor(threads, answered)
    gone: asyncio.Future[Any] = asyncio.ensure_future(_client_gone(request.receive))
    try:
        await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        # A thread cannot be stopped. It looks at the deadline, and ends by itself.
        deadline.is_abandoned = not running.done()
        response: Response = await running
        return response
    finally:
        gone.cancel()


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(0.05)  # a part of a body that nobody reads
