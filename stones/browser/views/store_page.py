"""The first page: the collections of the store."""

from starlette.responses import Response

from stones.browser.answering import get_page
from stones.browser.page_request import PageRequest
from stones.stores.claims import collection_names


def store_page(page: PageRequest) -> Response:
    """The collections of the store."""
    with page.view.database.reading() as txn:
        names = [*collection_names(txn)]
    return page.render("store.html", names=names)


routes = [get_page("/", store_page)]
