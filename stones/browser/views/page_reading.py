"""The records of one page of a query, and the cursors that lead to the pages around it.

A cursor is the place of a record in an order. Behind it are the records of the next page. The page
before has the records behind a place in the opposite order. So each page costs the same, wherever
it is, and pages stay whole while others write.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from stones.collections.collection_reader import CollectionReader, queried_records
from stones.collections.planning.selection import order_text
from stones.collections.planning.sort_fields import place_of
from stones.collections.queries.cursors import decode_cursor, encode_cursor
from stones.collections.queries.query import Query
from stones.errors import (
    CorruptValueError,
    FormatMismatchError,
    QueryError,
    RecordError,
    StoneError,
    StorageError,
)


@frozen
class RecordOrder:
    """What records are sorted by: paths, or the key if there is none.

    >>> RecordOrder.from_text('-age'), RecordOrder.from_text('-').text
    (RecordOrder(paths=('-age',), is_reversed=False), '-')
    """

    paths: tuple[str, ...] = ()
    """As `order_by` takes them: 'age', or '-age' from high to low."""
    is_reversed: bool = False
    """Whether the keys are from high to low, if there is no path."""

    @classmethod
    def from_text(cls, text: str) -> "RecordOrder":
        """The order of a text: 'country,age', '-age'; '' and '-' are the order of the keys."""
        if text in ("", "-"):
            return cls((), text == "-")
        return cls(tuple(text.split(",")))

    @property
    def text(self) -> str:
        """The text of the order, as `from_text` takes it."""
        return ",".join(self.paths) or ("-" if self.is_reversed else "")

    def applied(self, query: Query[Any, Any], backwards: bool = False) -> Query[Any, Any]:
        """The query in this order, or in the opposite order. Raises QueryError."""
        ordered = query.order_by(*self.paths) if self.paths else query
        return ordered.reversed() if self.is_reversed is not backwards else ordered


def order_path(steps: Sequence[str]) -> str | None:
    """The path of the fields inside each other, as a `RecordOrder` takes it. None if it cannot.

    >>> order_path(['address', 'city']), order_path(['größe']), order_path(['a,b'])
    ('address.city', '["größe"]', None)
    """
    if not all(step.isprintable() and not {*step} & {*'",\\'} for step in steps):
        return None
    # The language takes ASCII names only outside of quotes, and `where` is a word of it.
    plain = [step.isidentifier() and step.isascii() and "where" not in step for step in steps]
    text = "".join(
        f".{step}" if is_plain else f'["{step}"]'
        for step, is_plain in zip(steps, plain, strict=True)
    )
    return text.removeprefix(".")


@frozen
class ReadRecord:
    """A record of a page, as its dict."""

    key: Any
    record: Mapping[str, Any]
    problem: StoneError | None = None
    """Why the record cannot be read. Then its dict is empty."""


@frozen
class PageOfRecords:
    """The records of a page, and the cursors that lead from it."""

    entries: list[ReadRecord]
    """The records, in the order of the table."""
    next: str | None
    """The cursor behind which the next page begins. None if there is none."""
    previous: str | None
    """The cursor of the opposite order behind which the page before begins, if there is one."""
    problem: StoneError | None = None
    """Why reading ended before the page was full."""


def read_page(
    collection: CollectionReader[Any, Any],
    query: Query[Any, Any],
    order: RecordOrder,
    *,
    after: str = "",
    before: str = "",
    limit: int = 50,
    is_whole: bool = False,
) -> PageOfRecords:
    """The records of the query behind the cursor `after`, or up to the cursor `before`.

    `is_whole` says that the query is for all records. Then a record that cannot be read does not
    hide those behind it, if they are in the order of their keys. Raises QueryError for an order
    that cannot be, and for a cursor of another order.
    """
    cursor = _cursor_maker(collection, order)
    backwards = bool(before)
    page = order.applied(query, backwards).after(before or after or None).limit(limit + 1)
    found, problem = _read(collection, page)
    if isinstance(problem, _BROKEN) and is_whole and not order.paths:
        is_down = order.is_reversed is not backwards
        found, problem = _read_one_by_one(collection, before or after, is_down, limit + 1), None
    is_full, found = len(found) > limit, found[:limit]
    if backwards and not is_full and problem is None:
        return read_page(collection, query, order, limit=limit, is_whole=is_whole)  # the first page
    if backwards:
        found.reverse()
    if not found:
        return PageOfRecords([], None, None, problem)
    has_next = is_full or backwards or problem is not None
    has_previous = is_full if backwards else bool(after)
    last, first = found[-1], found[0]
    return PageOfRecords(
        found,
        cursor(last.key, last.record, False) if has_next else None,
        cursor(first.key, first.record, True) if has_previous else None,
        problem,
    )


def _read(
    collection: CollectionReader[Any, Any], page: Query[Any, Any]
) -> tuple[list[ReadRecord], StoneError | None]:
    found: list[ReadRecord] = []
    try:
        for key, record in page.items():
            found.append(ReadRecord(key, _as_dict(collection, record)))
    except QueryError:
        raise
    except StoneError as error:
        return found, error
    return found, None


def _read_one_by_one(
    collection: CollectionReader[Any, Any], cursor: str, is_down: bool, count: int
) -> list[ReadRecord]:
    """Records in the order of their keys, also those that cannot be read."""
    bound = {}
    if cursor:
        records = queried_records(collection).records
        bound["lt" if is_down else "gt"] = records.decode_key(
            records.prefix + decode_cursor(cursor).place
        )
    keys = [*collection.range(**bound, reverse=is_down, limit=count)]
    return [_single(collection, key) for key in keys]


def _single(collection: CollectionReader[Any, Any], key: Any) -> ReadRecord:
    try:
        return ReadRecord(key, _as_dict(collection, collection[key]))
    except _BROKEN as error:
        return ReadRecord(key, {}, error)
    except KeyError:  # deleted in between, where a read is no snapshot
        return ReadRecord(key, {}, StorageError("it was deleted while the page was read"))


def _as_dict(collection: CollectionReader[Any, Any], record: Any) -> Mapping[str, Any]:
    return record if type(record) is dict else collection.to_dict(record)


_BROKEN = (CorruptValueError, FormatMismatchError, RecordError)
"""What a record raises that cannot be read."""


def _cursor_maker(
    collection: CollectionReader[Any, Any], order: RecordOrder
) -> Callable[[Any, Mapping[str, Any], bool], str]:
    """The function that makes a cursor of a key and its dict: for the order or the opposite one."""
    queried = queried_records(collection)
    fields = queried.sort_fields(order.paths) if order.paths else ()
    place, size = place_of(fields), len(queried.records.prefix)

    def cursor(key: Any, record: Mapping[str, Any], backwards: bool) -> str:
        text = order_text(fields, order.is_reversed is not backwards)
        stored = queried.records.encode_key(key)[size:]
        return encode_cursor(collection.name, text, place(stored, record))

    return cursor
