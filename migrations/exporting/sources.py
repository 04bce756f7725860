"""What can be exported: the entries of a store, the records of a collection, or a part of them.

A source gives rows, again at each call: a key, and a value. The key of a record is None if its
fields have it. A value is completed: it has the defaults of fields that were added later.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from attrs import field, frozen

from stones.collections.collection_reader import CollectionReader, queried_records
from stones.collections.description import Description
from stones.collections.indexes.encoding import MISSING
from stones.collections.indexes.entries import path_getter
from stones.collections.keys import KeyCodec, named_codec
from stones.collections.language.jsonpath import parse_filter
from stones.collections.language.record_paths import RecordPaths
from stones.collections.planning.execution import matches
from stones.collections.planning.selection import Selection
from stones.collections.queries.queried_records import QueriedRecords
from stones.collections.record_range import RecordRange
from stones.collections.records.reading_rules import ReadingRules
from stones.collections.without_class.dict_schema import read_schema
from stones.errors import CollectionError, QueryError, ValueTypeError
from stones.formats.messages import show, show_value
from stones.stores.claims import collection_names, count_key, read_collection
from stones.stores.database_reader import DatabaseReader, batches
from stones.stores.reader import DictEntries, Reader
from stones.stores.spans import EVERYTHING, Span, prefix_span
from stones.stores.views import Range, range_parts

from .entry_pages import ROWS, Page, Row, decoded_pages, entry_pages


@frozen
class Source:
    """The rows that are exported."""

    pages: Callable[[], Iterator[Page]]
    """The rows, up to 64 at a time."""
    total: int | None = None
    """About how many rows there are. None if nobody knows."""
    names: Sequence[str] | None = None
    """The fields of all rows, which are records. None: the rows are entries of a store."""
    has_keys: bool = True
    """Whether the rows have keys of their own."""

    @property
    def are_records(self) -> bool:
        """Whether each row is a record of a collection."""
        return self.names is not None

    def rows(self) -> Iterator[Row]:
        """The rows one by one."""
        return chain.from_iterable(page.rows() for page in self.pages())


def source_of(given: Any, filter: str | None) -> Source:
    """The source that the user names. Raises ValueTypeError, and QueryError for a filter."""
    if isinstance(given, CollectionReader):
        return _records(queried_records(given), None, filter)
    if isinstance(given, RecordRange):
        return _records(given.queried, given.span, filter)
    if isinstance(given, Reader):
        if given.is_whole:
            return entries_of(given.database, EVERYTHING, filter)
        return _filtered(Source(_paged(lambda: iter(given.items())), len(given)), filter)
    if isinstance(given, Range):
        entries, span = range_parts(given)
        if isinstance(entries, DictEntries):
            return entries_of(entries.database, span, filter)
        return _filtered(Source(_paged(lambda: iter(given.items()))), filter)
    raise ValueTypeError(
        f"export_to() takes a store, a collection, or a range of one, not {show_value(given)}"
    )


def entries_of(database: DatabaseReader, span: Span, filter: str | None) -> Source:
    """The entries of a store in a span. Records are completed, as `stones get` shows them."""
    total = database.count() if span == EVERYTHING else None
    return _filtered(Source(lambda: entry_pages(database, span), total), filter)


def collection_named(
    database: DatabaseReader, name: str, filter: str | None, *, prefix: bytes = b""
) -> Source:
    """The records of a collection whose class is not known.

    `prefix` is what the stored keys begin with, behind the name of the collection.

    Raises CollectionError, and QueryError for a filter with a field that no record has.
    """
    with database.reading() as txn:
        known = [*collection_names(txn)]
        if name not in known:
            listed = f"it has {', '.join(known)}" if known else "it has no collections"
            raise CollectionError(f"the store has no collection {show(name)}: {listed}")
        stored = read_collection(txn, name)
        total = txn.sum(count_key(name))
    assert stored is not None
    description = Description.from_stored(name, stored)
    if filter is not None and description.steps.to is None:
        schema = read_schema(description.record, description.shapes, ReadingRules())
        RecordPaths(schema.conversion).bound_filter(filter, {})
    codec = named_codec(description.key)
    whole, size = name.encode() + b"/", len(name.encode()) + 1
    span = prefix_span(whole + prefix)
    has_keys = _lacks_keys(database, prefix_span(whole), size, codec)

    def pages() -> Iterator[Page]:
        for page in entry_pages(database, span):
            keys = [codec.decode(stored[size:]) if has_keys else None for stored in page.keys]
            yield Page(keys, page.values, page.are_plain)

    names = dict.fromkeys(description.fields)
    if description.steps.to is not None:  # the records have several shapes
        for page in entry_pages(database, span):
            for value in page.values:
                names.update(dict.fromkeys(value))
    _check_names(name, names, has_keys=has_keys)
    return _filtered(Source(pages, None if prefix else total, tuple(names), has_keys), filter)


def _records(queried: QueriedRecords[Any, Any], span: Span | None, filter: str | None) -> Source:
    records = queried.records
    within = records.span if span is None else Span(span.start, span.stop)
    selection = Selection(
        within,
        () if filter is None else queried.filters(filter, {}),
        reverse=span is not None and span.reverse,
        limit=None if span is None else span.limit,
    )
    has_keys = not records.type.key_fields
    names = [*records.type.fields]
    for extra in records.extra_fields()[0]:
        if extra not in names:
            names.append(extra)
    _check_names(records.name, names, has_keys=has_keys)

    def found() -> Iterator[Page]:
        with records.database.reading() as txn:
            reader = records.reader_at(txn)
            if filter is None and reader.upgrades is None:  # then a query has nothing to add
                decode = reader.decode if reader.description.varies else None
                yield from decoded_pages(records.database, txn, span or records.span, decode)
                return
        yield from _paged(lambda: matches(records, selection))()

    def pages() -> Iterator[Page]:
        for page in found():
            keys = [records.decode_key(stored) if has_keys else None for stored in page.keys]
            yield Page(keys, page.values, page.are_plain)

    total = records.count() if span is None and filter is None else None
    return Source(pages, total, names, has_keys)


def _check_names(name: str, names: Collection[str], *, has_keys: bool) -> None:
    if has_keys and "_key" in names:
        raise CollectionError(
            f"{name}: the records have a field '_key', and keys of their own: an export cannot "
            "have both"
        )


def _paged(rows: Callable[[], Iterator[Row]]) -> Callable[[], Iterator[Page]]:
    return lambda: map(_page_of, batches(rows(), ROWS))


def _page_of(rows: Sequence[Row], are_plain: bool = False) -> Page:
    return Page([key for key, _ in rows], [value for _, value in rows], are_plain)


def _filtered(source: Source, filter: str | None) -> Source:
    if filter is None:
        return source
    test = parse_filter(filter).bind({})

    def pages() -> Iterator[Page]:
        for page in source.pages():
            yield _page_of([row for row in page.rows() if test(row[1])], page.are_plain)

    return Source(pages, None, source.names, source.has_keys)


def _lacks_keys(database: DatabaseReader, span: Span, size: int, codec: KeyCodec[Any]) -> bool:
    """Whether the fields of the records do not have their keys: then each key was generated.

    The store does not tell which fields are the key. A generated key is a UUID, and no field of
    the record has it.
    """
    if codec.name != "UUID":
        return False
    for stored, value in database.entries(span, are_records=True):
        key = codec.decode(stored[size:])
        return not (isinstance(value, Mapping) and key in value.values())
    return True


@frozen
class Picked:
    """Takes some fields out of a row. Fields inside are named by paths: `address.city`."""

    paths: Sequence[str]
    _getters: Sequence[Callable[[Any], Any]] = field(init=False)

    @_getters.default
    def _make_getters(self) -> list[Callable[[Any], Any]]:
        return [path_getter(path) for path in self.paths]

    def values(self, value: Any) -> list[Any]:
        """The value of each path. MISSING where there is none."""
        if type(value) is not dict:
            return [MISSING] * len(self.paths)
        return [get(value) for get in self._getters]

    def __call__(self, value: Any) -> dict[str, Any]:
        """The paths that a value has, with their values."""
        found = zip(self.paths, self.values(value), strict=True)
        return {path: each for path, each in found if each is not MISSING}


def picked(source: Source, fields: Sequence[str] | None) -> Picked | None:
    """What takes these fields out of the rows of a source. None: they stay whole.

    Raises QueryError for a field that no record has, and for what is no list of names.
    """
    if fields is None:
        return None
    paths = [*fields] if not isinstance(fields, str) else [fields]
    for path in paths:
        if not isinstance(path, str) or not path or not all(path.split(".")):
            raise QueryError(f"fields= takes names of fields and paths, not {show(path)}")
        first = path.split(".")[0]
        if source.names is not None and first not in source.names:
            raise QueryError(
                f"the records have no field {show(first)}: they have {', '.join(source.names)}"
            )
    twice = [path for path in paths if paths.count(path) > 1]
    if twice or not paths:
        raise QueryError(f"fields= has {show(twice[0])} twice" if twice else "fields= is empty")
    return Picked(tuple(paths))
