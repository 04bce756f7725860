"""The pages that only read. `stones.browser.views` computes what they show."""

from starlette.responses import Response

from stones.browser.views.entry_page import EntryPage
from stones.browser.views.keys_page import KeysPage, KeysRequest
from stones.browser.views.record_page import RecordPage
from stones.browser.views.records_page import LIMITS, RecordsPage, RecordsRequest
from stones.browser.views.store_page import StorePage
from stones.formats.messages import show

from .answering import get_page, status_of
from .page_request import NoSuchPageError, PageRequest


def store_page(page: PageRequest) -> Response:
    """The first page: what is in the store, how large it is, and how it grows."""
    shown = StorePage.of(
        page.site.store, page.site.measurements, measure=page.argument("measure") == "yes"
    )
    return page.render("store.html", shown=shown)


def records_page(page: PageRequest) -> Response:
    """The table of records of a collection."""
    request = RecordsRequest.of(page.request.query_params)
    shown = RecordsPage.of(page.collection(page.request.path_params["name"]), request)
    status = 400 if shown.error is not None else 200
    if shown.problem is not None:
        status = status_of(shown.problem)
    return page.render("collection.html", status=status, shown=shown, limits=LIMITS)


def record_page(page: PageRequest) -> Response:
    """One record."""
    name = page.request.path_params["name"]
    shown = RecordPage.of(page.collection(name), page.record_key(name))
    if shown is None:
        raise NoSuchPageError(f"{name} has no record {show(', '.join(page.arguments('key')))}")
    return page.render("record.html", shown=shown)


def keys_page(page: PageRequest) -> Response:
    """The keys of the store, page by page."""
    shown = KeysPage.of(page.view, KeysRequest.of(page.request.query_params))
    return page.render("keys.html", status=400 if shown.problem else 200, shown=shown)


def entry_page(page: PageRequest) -> Response:
    """One key with its value, as they are stored."""
    key = page.argument("key")
    shown = EntryPage.of(page.view, key)
    if shown is None:
        raise NoSuchPageError(f"there is no key {show(key)} in the store")
    return page.render("entry.html", shown=shown)


routes = [
    get_page("/", store_page),
    get_page("/collections/{name}", records_page),
    get_page("/collections/{name}/record", record_page),
    get_page("/keys", keys_page),
    get_page("/keys/value", entry_page),
]
