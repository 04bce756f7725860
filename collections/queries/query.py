"""Query: what `find()` of a collection returns. It reads the records when they are asked for."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

from attrs import evolve

from stones.collections.stored_records import StoredRecords
from stones.errors import NotOneError
from stones.formats.registered_types import known
from stones.stores.bound_to_store import BoundToStore
from stones.stores.spans import check_limit

from .execution import count, matches
from .record_paths import RecordPaths
from .result_order import Match
from .selection import Selection

K = TypeVar("K")
R = TypeVar("R")


class Query(BoundToStore, Generic[K, R]):
    """The records of a collection that match a filter, in key order.

    Nothing is read until you iterate or ask. Each iteration reads anew, from one snapshot. It goes
    through the collection record by record, in constant memory. A path that needs the whole list,
    such as `$[0:3]`, holds all records in memory.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, key
    >>> @define
    ... class City:
    ...     name: str = key()
    ...     people: int
    >>> cities: Collection[str, City] = Collection(MemoryStore(), City)
    >>> cities.add_many([City('Bonn', 330_000), City('Kyiv', 2_900_000), City('Lviv', 720_000)])
    3
    >>> large = cities.find('$[?(@.people > 500000)]')
    >>> [city.name for city in large]
    ['Kyiv', 'Lviv']
    >>> large.count(), large.exists()
    (2, True)
    >>> list(large.keys()), list(large.values('people'))
    (['Kyiv', 'Lviv'], [2900000, 720000])
    >>> dict(large.items())['Lviv']
    City(name='Lviv', people=720000)
    >>> large.first()
    City(name='Kyiv', people=2900000)
    >>> list(large.limit(1))
    [City(name='Kyiv', people=2900000)]
    >>> cities.find(people=330_000).one()
    City(name='Bonn', people=330000)
    """

    def __init__(
        self,
        records: StoredRecords[K, R],
        paths: RecordPaths,
        selection: Selection,
    ) -> None:
        self._records = records
        self._paths = paths
        self._selection = selection

    def __iter__(self) -> Iterator[R]:
        for stored, value in self._matches():
            yield self._records.load(stored, value)

    def keys(self) -> Iterator[K]:
        """The keys of the matching records."""
        for stored, _ in self._matches():
            yield self._records.decode_key(stored)

    def items(self) -> Iterator[tuple[K, R]]:
        """The matching records with their keys."""
        for stored, value in self._matches():
            yield self._records.decode_key(stored), self._records.load(stored, value)

    def values(self, path: str) -> Iterator[Any]:
        """What the JSONPath `path` finds in each matching record: `values('address.city')`.

        A record in which the path finds nothing gives nothing. If it finds several values, as
        `tags[*]` does, the record gives all of them.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore
        >>> @define
        ... class Photo:
        ...     tags: list[str]
        >>> photos = Collection(MemoryStore(), Photo)
        >>> photos.add_many([Photo(['sea', 'sun']), Photo([]), Photo(['sky'])])
        3
        >>> list(photos.find().values('tags[*]'))
        ['sea', 'sun', 'sky']
        """
        wanted = self._paths.values(path)
        return (known(found) for _, value in self._matches() for found in wanted.find(value))

    def first(self) -> R | None:
        """The first matching record, or None."""
        return next(iter(self), None)

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
        found = list(islice(self, 2))
        if len(found) == 1:
            return found[0]
        how_many = "more than one record matches" if found else "no record matches"
        raise NotOneError(f"{self._records.name}: {how_many}, one() wants exactly one")

    def count(self) -> int:
        """How many records match."""
        return count(self._records, self._selection)

    def exists(self) -> bool:
        """Whether any record matches."""
        return any(True for _ in self._matches())

    def limit(self, count: int) -> "Query[K, R]":
        """The same, but no more than `count` records."""
        check_limit(count)
        before = self._selection.limit
        limit = count if before is None else min(count, before)
        return Query(self._records, self._paths, evolve(self._selection, limit=limit))

    def __bool__(self) -> bool:
        return self.exists()

    def __repr__(self) -> str:
        return f"<Query of the collection {self._records.name!r}>"

    def _matches(self) -> Iterator[Match]:
        return matches(self._records, self._selection)
