"""A page of the keys of a store with the sizes and formats of their values.

No value is decoded. The keys of collections are there too, as the store has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from stones.engine import Transaction
from stones.formats.codec import Codec
from stones.stores.claims import collection_names, namespace_names
from stones.stores.database_reader import DATA, DatabaseReader
from stones.stores.key_text import parse_key, show_key
from stones.stores.reader import Reader
from stones.stores.spans import Span, after_prefix

from .prefixes import next_prefixes
from .stored_value import StoredValue
from .texts import printable

MOST_KEY = 200
"""Of a key, the table shows at most so many characters."""
_MOST_READ = 64 << 20  # a page ends early if its values have as many bytes
LIMIT = 100
"""How many keys a page has."""


@frozen
class KeysRequest:
    """Which keys a page shall show. All texts are as `show_key` shows keys."""

    prefix: str = ""
    """What the keys begin with."""
    after: str = ""
    """The key behind which the page begins."""
    before: str = ""
    """The key before which the page ends."""

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "KeysRequest":
        """The request of the arguments of a URL."""
        return cls(*(arguments.get(name, "") for name in ("prefix", "after", "before")))

    def arguments(self, **changes: str) -> dict[str, str]:
        """The arguments of a URL for the first page of this prefix, with changes."""
        return {name: text for name, text in {"prefix": self.prefix, **changes}.items() if text}


@frozen
class KeyRow:
    """A key, and how its value is stored."""

    key: str
    """The key as `show_key` shows it."""
    shown: str
    """The same, cut if it is long."""
    value: StoredValue


@frozen
class PrefixLink:
    """A prefix that leads deeper."""

    prefix: str
    """As `show_key` shows it."""
    shown: str
    owner: str = ""
    """'collection' or 'namespace', if the prefix is the one of such."""
    name: str = ""
    """The name of the collection or namespace."""


@frozen
class KeysPage:
    """A page of the keys of a store."""

    request: KeysRequest
    owner: str = ""
    """The collection that the keys belong to, if they do."""
    prefixes: tuple[PrefixLink, ...] = ()
    """The prefixes that are one step longer. Empty inside of a collection."""
    has_more_prefixes: bool = False
    rows: tuple[KeyRow, ...] = ()
    count: int | None = None
    """How many keys the store has. None where counting would read them all."""
    problem: str = ""
    """What is wrong with the request."""
    first: Mapping[str, str] | None = None
    """The arguments for the first page. None if this is it."""
    previous: Mapping[str, str] | None = None
    """The arguments for the page before this one, if there is one."""
    next: Mapping[str, str] | None = None
    """The arguments for the next page, if there is one."""

    @classmethod
    def of(cls, store: Reader[Any, Any], request: KeysRequest) -> "KeysPage":
        """The keys that a request asks for. O(keys of the page)."""
        page = cls(request, first=request.arguments() if request.after or request.before else None)
        try:
            prefix, after, before = map(parse_key, (request.prefix, request.after, request.before))
        except ValueError as error:
            return evolve(page, problem=printable(str(error), 500), first={})
        database = store.database
        with database.reading() as txn:
            codec = database.codec_at(txn)
            collections = {*collection_names(txn)}
            head = prefix.partition(b"/")[0].decode("utf-8", "replace")
            owner = head if b"/" in prefix and head in collections else ""
            links, has_more = _links(txn, prefix, collections) if not owner else ((), False)
            has_count = database.engine.supports.counts
            read = _Reading(database, codec, prefix, after, before)
            rows = read.rows(txn)
            return evolve(
                page,
                owner=owner,
                prefixes=links,
                has_more_prefixes=has_more,
                count=txn.count(DATA) if has_count else None,
                rows=rows,
                first=page.first if read.has_previous else None,
                previous=request.arguments(before=rows[0].key)
                if rows and read.has_previous
                else None,
                next=request.arguments(after=rows[-1].key) if rows and read.has_next else None,
            )


def _links(
    txn: Transaction, prefix: bytes, collections: set[str]
) -> tuple[tuple[PrefixLink, ...], bool]:
    namespaces = {*namespace_names(txn)}
    found = next_prefixes(txn, prefix)

    def link(each: bytes) -> PrefixLink:
        text = show_key(each)
        shown, name = printable(text, MOST_KEY), each[:-1].decode("utf-8", "replace")
        if each.endswith(b"/") and name in collections:
            return PrefixLink(text, shown, "collection", name)
        if each.endswith(b"/") and name in namespaces:
            return PrefixLink(text, shown, "namespace", name)
        return PrefixLink(text, shown)

    return tuple(map(link, found.found)), found.has_more


class _Reading:
    """Reads one page: forwards from a key, or backwards from one."""

    def __init__(
        self, database: DatabaseReader, codec: Codec, prefix: bytes, after: bytes, before: bytes
    ) -> None:
        self._database, self._codec = database, codec
        start, stop = prefix, after_prefix(prefix) if prefix else None
        if before:
            stop = before if stop is None else min(before, stop)
        elif after:
            start = max(start, after + b"\0")
        self._first_span = Span(prefix, after_prefix(prefix) if prefix else None)
        self._span = Span(start, stop, reverse=bool(before))
        self.has_previous = bool(after)
        self.has_next = False

    def rows(self, txn: Transaction) -> tuple[KeyRow, ...]:
        """The rows of the page, in the order of the keys."""
        rows, is_full = self._read(txn, self._span)
        if not self._span.reverse:
            self.has_next = is_full
            return tuple(rows)
        if not is_full:  # the first page, a full one
            rows, self.has_next = self._read(txn, self._first_span)
            return tuple(rows)
        self.has_previous = self.has_next = True
        return tuple(reversed(rows))

    def _read(self, txn: Transaction, span: Span) -> tuple[Sequence[KeyRow], bool]:
        rows: list[KeyRow] = []
        left = _MOST_READ
        for key, raw in self._entries(txn, span):
            if len(rows) == LIMIT or left < 0:
                return rows, True
            left -= len(raw)
            text = show_key(key)
            value = StoredValue.of(self._database, self._codec, key, raw)
            rows.append(KeyRow(text, printable(text, MOST_KEY), value))
        return rows, False

    def _entries(self, txn: Transaction, span: Span) -> Iterator[tuple[bytes, bytes]]:
        return txn.scan(DATA, span.start, span.stop, reverse=span.reverse)
