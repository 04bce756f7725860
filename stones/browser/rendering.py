"""Templates: text of the store becomes HTML here, and each character of it is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stones.browser.views.texts import age_text
from stones.formats.messages import show_size

from .static_files import static_link

Query = Mapping[str, str] | Sequence[tuple[str, str]]


def rendered(template: str, **context: Any) -> str:
    """The text of a page."""
    return templates.get_template(template).render(**context)


def link(*parts: str, query: Query = ()) -> str:
    """The path of a page, each part quoted, with a query: `link('collections', name)`.

    >>> link('collections', 'a/b', query={'filter': '@.x > 1'})
    '/collections/a%2Fb?filter=%40.x+%3E+1'
    >>> link('collections', 'Run', 'record', query=[('key', 'run-7'), ('key', '3')])
    '/collections/Run/record?key=run-7&key=3'
    """
    path = "/" + "/".join(quote(part, safe="", errors="surrogatepass") for part in parts)
    return f"{path}?{urlencode(query, errors='surrogatepass')}" if query else path


def record_query(parts: Iterable[str]) -> list[tuple[str, str]]:
    """The query of a record's page: `show_parts` gives the parts of its key."""
    return [("key", part) for part in parts]


templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters.update(size=show_size, age=age_text)
templates.globals.update(link=link, record_query=record_query, static_link=static_link)
