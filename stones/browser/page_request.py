"""PageRequest: what a page is given. A page is a function of it that gives the answer.

    def show_keys(page: PageRequest) -> Response:
        prefix = page.argument("prefix")
        keys = list(page.view.range(prefix=prefix, limit=50))
        return page.render("keys.html", keys=keys)

    routes = [get_page("/keys", show_keys)]

A page runs in a thread of its own. It may raise any StoneError, which becomes a page with the
message, and `NoSuchPageError`.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from starlette.requests import Request
from starlette.responses import HTMLResponse

from stones.collections.collection import Collection
from stones.collections.typed_keys import key_type, parse_parts, show_parts
from stones.errors import CollectionError, KeyTypeError, ReadOnlyError, StoneError
from stones.formats.messages import show
from stones.stores.key_text import parse_key

from .limited_view import View
from .rendering import rendered
from .site import Site


class NoSuchPageError(StoneError, LookupError):
    """What a URL names is not in the store. The answer has the status 404."""


class WrongRequestError(StoneError, ValueError):
    """A request that makes no sense. The answer has the status 400."""


_DONE = {
    "saved": "Saved.",
    "unchanged": "Nothing was changed.",
    "added": "Added.",
    "deleted": "Deleted.",
}


@frozen(eq=False)
class PageRequest:
    """A request, the store as it sees it, and the way to answer."""

    request: Request
    site: Site
    view: View
    """The store for reading: one snapshot, until the deadline."""
    form: Mapping[str, str]
    """The fields of a form that was sent. Empty for a GET."""

    def argument(self, name: str, default: str = "") -> str:
        """The argument `name` of the URL's query, or `default`."""
        return self.request.query_params.get(name, default)

    def arguments(self, name: str) -> list[str]:
        """All arguments `name` of the URL's query, such as the parts of a key."""
        return self.request.query_params.getlist(name)

    def collection(self, name: str) -> Collection[Any, Any]:
        """The collection `name` for reading: of the class that the user gave, or of dicts.

        Raises NoSuchPageError if the store has no such collection.
        """
        return self._opened(self.view, name)

    def writable_collection(self, name: str) -> Collection[Any, Any]:
        """The collection `name` for writing. Raises NoSuchPageError if the store has none such."""
        return self._opened(self.site.store, name)

    def record_key(self, name: str) -> Any:
        """The key of a record of the collection `name`, as the arguments `key` of the URL have it.

        Raises NoSuchPageError if they are no key of this collection.
        """
        annotation = key_type(self.view, name)
        if annotation is None:
            raise NoSuchPageError(f"the store has no collection {show(name)}")
        try:
            return parse_parts(name, annotation, [*map(parse_key, self.arguments("key"))])
        except (ValueError, KeyTypeError) as error:
            raise NoSuchPageError(str(error)) from error

    def key_parts(self, name: str, key: Any) -> list[str]:
        """The texts of a key of the collection `name`, for the arguments `key` of a URL."""
        return show_parts(key_type(self.view, name), key)

    @property
    def key_query(self) -> list[tuple[str, str]]:
        """The arguments `key` of the URL, for a link to another page of the same record."""
        return [("key", part) for part in self.arguments("key")]

    @property
    def done(self) -> str:
        """What the request before this one has done, in words. Empty if it did nothing."""
        return _DONE.get(self.argument("done"), "")

    def check_writable(self) -> None:
        """Raise ReadOnlyError unless the store is served for writing."""
        if not self.site.write:
            raise ReadOnlyError("the store is served for reading only: start with --write")

    def render(self, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
        """The page that a template makes. It has `site`, `page` and the functions of `rendering`.

        A template extends base.html, and fills its blocks `title`, `crumbs` and `main`.
        """
        text = rendered(template, site=self.site, page=self, **context)
        return HTMLResponse(text, status_code=status)

    def _opened(self, store: Any, name: str) -> Collection[Any, Any]:
        record = self.site.classes.get(name)
        if record is not None:
            return Collection(store, record, name)
        try:
            return Collection.without_class(store, name)
        except CollectionError as error:
            raise NoSuchPageError(str(error)) from error
