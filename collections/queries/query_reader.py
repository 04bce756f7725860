"""The reading half of a query: everything that asks for the records that match.

`stones.collections.queries.query` has the other half: what narrows a query, and what writes.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from attrs import evolve

from stones.collections.later import Later
from stones.collections.planning.plain_page import is_plain_page, plain_page
from stones.collections.planning.selection import (
    Selection,
    order_text,
)
from stones.errors import NotOneError, QueryError, RecordError
from stones.formats.registered_types import known
from stones.stores.bound_to_store import BoundToStore

from .queried_records import PathOrFunction, QueriedRecords

if TYPE_CHECKING:
    from stones.collections.indexes import encoding
    from stones.collections.language.jsonpath import ValuePath
    from stones.collections.planning import execution, sort_fields
    from stones.collections.planning.explain import Plan

    from . import tables
    from .grouping import GroupedQuery
else:
    encoding = Later("stones.collections.indexes.encoding")
    execution = Later("stones.collections.planning.execution")
    sort_fields = Later("stones.collections.planning.sort_fields")
    tables = Later("stones.collections.queries.tables")

K = TypeVar("K")
R = TypeVar("R")
T = TypeVar("T")


class QueryReader(BoundToStore, Generic[K, R]):
    """What can be asked of a query. Each method reads anew, from one snapshot."""

    def __init__(self, source: QueriedRecords[K, R], selection: Selection) -> None:
        self._source = source
        self._records = source.records
        self._selection = selection
        # Where the last reading of the page has ended: one place, or None for its beginning.
        self._end: tuple[bytes | None] | None = None

    # -- many answers --------------------------------------------------------------------------

    def __iter__(self) -> Iterator[R]:
        return self._records.loaded(self._matches())

    def __reversed__(self) -> Iterator[R]:
        """The same records in the opposite order. A part of a query is held in memory for it."""
        if self._selection.is_part:
            return reversed(list(self))
        return iter(
            type(self)(self._source, evolve(self._selection, reverse=not self._selection.reverse))
        )

    def keys(self) -> Iterator[K]:
        """The keys of the matching records."""
        for stored, _ in self._values(()):
            yield self._records.decode_key(stored)

    def items(self) -> Iterator[tuple[K, R]]:
        """The matching records with their keys."""
        for stored, value in self._matches():
            yield self._records.decode_key(stored), self._records.load(stored, value)

    @overload
    def values(self, path: Callable[[R], T], /) -> Iterator[T]: ...
    @overload
    def values(self, path: str, /) -> Iterator[Any]: ...
    @overload
    def values(
        self, path: PathOrFunction[R], second: PathOrFunction[R], /, *more: PathOrFunction[R]
    ) -> Iterator[tuple[Any, ...]]: ...
    def values(self, path: PathOrFunction[R], /, *more: PathOrFunction[R]) -> Iterator[Any]:
        """What the JSONPath `path` finds in each matching record: `values('address.city')`.

        A record in which the path finds nothing gives nothing. If it finds several values, as
        `tags[*]` does, the record gives all of them.

        Several paths give one tuple for each record. In it, a path that finds nothing gives None,
        and a path that may find several values gives a list.

        A path may be a function of a record: `values(lambda u: u.address.city)`. Type checkers know
        what it gives. And it gives what the field of a record holds, where a JSONPath gives what is
        stored: an enum, not its value; a record, not its dict.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class Photo:
        ...     name: str = key()
        ...     tags: list[str]
        >>> photos: Collection[str, Photo] = Collection(MemoryStore(), Photo)
        >>> photos.add_many([Photo('a', ['sea', 'sun']), Photo('b', []), Photo('c', ['sky'])])
        3
        >>> list(photos.find().values('tags[*]'))
        ['sea', 'sun', 'sky']
        >>> list(photos.find().values('name', 'tags[0]', 'tags[*]'))
        [('a', 'sea', ['sea', 'sun']), ('b', None, []), ('c', 'sky', ['sky'])]
        >>> list(photos.find().values(lambda photo: photo.name))
        ['a', 'b', 'c']
        """
        paths = self._source.paths_of([path, *more])
        entries = self._values(paths)
        if any(path.load is not known for path in paths):
            return self._loaded(paths, entries)
        if not more:
            return (known(value) for _, (found,) in entries for value in found)
        return (tuple(map(tables.cell_of, paths, found)) for _, found in entries)

    @overload
    def to_list(self) -> list[R]: ...
    @overload
    def to_list(self, path: Callable[[R], T], /) -> list[T]: ...
    @overload
    def to_list(self, path: str, /) -> list[Any]: ...
    @overload
    def to_list(
        self, path: PathOrFunction[R], second: PathOrFunction[R], /, *more: PathOrFunction[R]
    ) -> list[tuple[Any, ...]]: ...
    def to_list(self, *paths: PathOrFunction[R]) -> list[Any]:
        """The matching records as a list. With paths, a list of what `values()` gives."""
        if not paths:
            return list(self)
        values: Callable[..., Iterator[Any]] = self.values
        return list(values(*paths))

    def to_arrow(self, *paths: str) -> Any:
        """A `pyarrow.Table` with a row for each record, and a column for each path.

        Without paths the columns are the fields of the class. A path that may find several values
        gives lists, and a path that finds nothing gives nulls. A set becomes a list, and a UUID
        becomes text. Raises UnsupportedError where pyarrow is not installed, and QueryError for
        values that do not fit one column.
        """
        return tables.to_arrow(tables.columns_of(self._source, self._selection, paths))

    def to_pandas(self, *paths: str) -> Any:
        """A `pandas.DataFrame` with a row for each record, and a column for each path.

        The columns are those of `to_arrow`, with the values as they are in the records. Raises
        UnsupportedError where pandas is not installed.
        """
        return tables.to_pandas(tables.columns_of(self._source, self._selection, paths))

    # -- one answer ----------------------------------------------------------------------------

    def first(self) -> R | None:
        """The first matching record, or None."""
        return next(iter(self._beginning(1)), None)

    def last(self) -> R | None:
        """The last matching record, or None. A part of a query is read to its end for it."""
        if self._selection.is_part:
            return next(iter(deque(self, maxlen=1)), None)
        return next(reversed(self), None)

    def one(self) -> R:
        """The only matching record. Raises NotOneError for no record, and for more than one.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class City:
        ...     name: str = key()
        >>> cities = Collection(MemoryStore(), City)
        >>> cities.find(name='Bonn').one()
        Traceback (most recent call last):
        stones.errors.NotOneError: City: no record matches, one() wants exactly one
        """
        found = list(self._beginning(2))
        if len(found) == 1:
            return found[0]
        how_many = "more than one record matches" if found else "no record matches"
        raise NotOneError(f"{self._records.name}: {how_many}, one() wants exactly one")

    def count(self) -> int:
        """How many records match."""
        return execution.count(self._records, self._selection)

    def exists(self) -> bool:
        """Whether any record matches."""
        if is_plain_page(self._selection):
            return next(plain_page(self._records, self._selection), None) is not None
        return execution.count(self._records, self._limited(1)) > 0

    # -- aggregates ----------------------------------------------------------------------------

    def distinct(self, path: str) -> list[Any]:
        """The different values that the path finds, from low to high.

        None comes first, then bool, numbers and text. A record without the value gives nothing. 1
        and 1.0 are one value. A path that finds several values, as `tags[*]` does, gives all.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore
        >>> @define
        ... class Photo:
        ...     tags: list[str]
        >>> photos = Collection(MemoryStore(), Photo)
        >>> photos.add_many([Photo(['sun', 'sea']), Photo([]), Photo(['sky', 'sea'])])
        3
        >>> photos.find().distinct('tags[*]')
        ['sea', 'sky', 'sun']
        """
        from .aggregates import distinct

        paths = self._source.value_paths([path])
        entries = execution.values(self._records, self._whole(), paths, any_order=True)
        return distinct(known(value) for _, (found,) in entries for value in found)

    def min(self, path: str) -> Any:
        """The lowest value at the path, or None if there is no value.

        None is no value. The order is the one of `order_by`: a bool is below all numbers, and they
        are below all text. Raises QueryError, with the record, for a value without an order, such
        as a list.
        """
        return self._aggregate("min", path)

    def max(self, path: str) -> Any:
        """The highest value at the path, or None if there is no value. As `min`."""
        return self._aggregate("max", path)

    def sum(self, path: str) -> Any:
        """The sum of the numbers at the path; 0 if there are none.

        None counts as nothing. The sum of floats is exact, and then rounded once. Raises
        QueryError, with the record, for text, a bool, or another value that is no number.
        """
        return self._aggregate("sum", path)

    def mean(self, path: str) -> Any:
        """The mean of the numbers at the path, or None if there are none. As `sum`."""
        return self._aggregate("mean", path)

    def group_by(self, path: str, *more: str) -> "GroupedQuery":
        """The records in groups of equal values at the path, or at several paths.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     tags: set[str]
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', {'math'}), User('eve', {'math', 'navy'}), User('x', set())])
        3
        >>> users.find().group_by('tags[*]').count()
        {None: 1, 'math': 2, 'navy': 1}
        """
        from .grouping import GroupedQuery

        paths = self._source.value_paths([path, *more])
        return GroupedQuery(self._source, self._whole(), paths)

    # -- how it is answered --------------------------------------------------------------------

    def explain(self, *, run: bool = False) -> "Plan":
        """How the query is answered: through which index, what is tested, what was passed over.

        Nothing is read but what is read to choose an index. With `run=True` the query is run too,
        and the plan tells how many entries and records that has read, and how long it took.
        `print()` shows a table.
        """
        from stones.collections.planning.explain import explain

        return explain(self._records, self._selection, run=run)

    # -- the place where it ends ---------------------------------------------------------------

    def cursor(self) -> str | None:
        """The place behind the last record of this page, as text for `after()`.

        A page is a query with a `limit`. If this very query has been read to its end, by iterating
        over it, `keys()`, `items()` or `values()`, it is the place where that reading ended,
        whatever was written since; if several threads read it, where one of them ended. Else the
        page is read now. The place of an empty page is where it began: None if that is the
        beginning of all records.

        The text is opaque. It has the key of the record and the values that it is sorted by, and is
        not encrypted. The record may be deleted.
        """
        if self._end is None:
            reading = self._noted_values(())
            deque(reading, maxlen=0)
        place = self._end[0] if self._end is not None else None
        if place is None:
            return None
        from .cursors import encode_cursor

        selection = self._selection
        order = order_text(selection.order, selection.reverse)
        return encode_cursor(self._records.name, order, place)

    def __bool__(self) -> bool:
        return self.exists()

    def __repr__(self) -> str:
        return f"<Query of the collection {self._records.name!r}>"

    # -- reading -------------------------------------------------------------------------------

    def _matches(self) -> Iterator[tuple[bytes, Any]]:
        selection, size = self._selection, len(self._records.prefix)
        if is_plain_page(selection):
            page = plain_page(self._records, selection)
            return self._noted(page, lambda entry: entry[0][size:])
        entries = execution.matches(self._records, selection)
        if selection.limit is None:  # no page
            return entries
        place = sort_fields.place_of(selection.order)
        return self._noted(entries, lambda entry: place(entry[0][size:], entry[1]))

    def _values(
        self, paths: "Sequence[ValuePath]"
    ) -> Iterator[tuple[bytes, tuple[Sequence[Any], ...]]]:
        if self._selection.limit is not None:
            return self._noted_values(paths)
        if paths:
            return execution.values(self._records, self._selection, paths)
        return ((stored, ()) for stored in execution.keys(self._records, self._selection))

    def _loaded(
        self,
        paths: "Sequence[ValuePath]",
        entries: Iterator[tuple[bytes, tuple[Sequence[Any], ...]]],
    ) -> Iterator[Any]:
        """What records hold where the paths lead: the values of one path, or tuples."""
        load, is_one = paths[0].load, len(paths) == 1
        for stored, found in entries:
            try:
                if is_one:
                    loaded = [load(value) for value in found[0]]
                else:
                    loaded = [tuple(map(tables.cell_of, paths, found))]
            except RecordError as error:
                raise RecordError(f"{self._source.shown(stored)}: {error}") from error
            yield from loaded

    def _noted_values(
        self, paths: "Sequence[ValuePath]"
    ) -> Iterator[tuple[bytes, tuple[Sequence[Any], ...]]]:
        """What the paths find, and at the end where the page ends."""
        order, size, width = self._selection.order, len(self._records.prefix), len(paths)

        def place(entry: tuple[bytes, tuple[Sequence[Any], ...]]) -> bytes:
            stored, found = entry
            values = [items[0] if items else encoding.MISSING for items in found[width:]]
            encoded = [field.of_value(value) for field, value in zip(order, values, strict=True)]
            return b"".join(encoded) + stored[size:]

        entries = execution.values(self._records, self._selection, [*paths, *order])
        for stored, found in self._noted(entries, place):
            yield stored, found[:width]

    def _noted(self, entries: Iterator[T], place: Callable[[T], bytes]) -> Iterator[T]:
        """The entries. At their end, the place of the last one is noted for `cursor`."""
        last: T | None = None
        for last in entries:
            yield last
        self._end = (self._selection.after if last is None else place(last),)

    def _beginning(self, limit: int) -> Iterator[R]:
        """At most so many records, which are no page."""
        records = self._records
        return records.loaded(execution.first_matches(records, self._selection, limit))

    def _limited(self, limit: int | None) -> Selection:
        return self._selection.limited(limit)

    def _whole(self) -> Selection:
        """The selection for an aggregate, to which the order is nothing if no part is left out."""
        if self._selection.is_part:
            return self._selection
        return evolve(self._selection, order=(), reverse=False)

    def _aggregate(self, kind: str, text: str) -> Any:
        from .grouping import aggregate_of

        (path,) = self._source.value_paths([text])
        try:
            return aggregate_of(self._source, self._whole(), kind, path)
        except QueryError as error:
            raise QueryError(f"{kind}({text!r}): {error}") from error
