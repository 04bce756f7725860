"""Query: what `find()` of a collection returns. It reads the records when they are asked for.

Here is what narrows a query and what writes. `query_reader` has all that reads.
"""

from collections.abc import Callable
from typing import Any, TypeVar, overload

from stones.collections.planning.selection import order_text
from stones.errors import QueryError, ValueTypeError
from stones.formats.messages import show_value
from stones.stores.spans import check_limit

from .bulk_changes import delete_records, update_fields, update_records
from .query_reader import QueryReader

K = TypeVar("K")
R = TypeVar("R")


class Query(QueryReader[K, R]):
    """The records of a collection that match a filter, in key order or as `order_by` tells.

    Nothing is read until you iterate or ask. Each iteration reads anew, from one snapshot: the
    records that an index finds, or else the collection record by record. Memory is bounded. Through
    an index it holds 100,000 keys at most. A path that needs the whole list, such as `$[0:3]`,
    holds all records in memory. `explain()` tells what a query does.

    A query is put together first, and answered then. Whatever the order of the calls, it takes the
    records that match, sorts them (`order_by`, `reversed`), starts behind a place (`after`), leaves
    some out (`offset`), and stops (`limit`). Each call returns another query.

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
    >>> large.first(), large.last()
    (City(name='Kyiv', people=2900000), City(name='Lviv', people=720000))
    >>> list(large.limit(1))
    [City(name='Kyiv', people=2900000)]
    >>> cities.find(people=330_000).one()
    City(name='Bonn', people=330000)
    >>> large.min('people'), large.max('people'), large.sum('people'), large.mean('people')
    (720000, 2900000, 3620000, 1810000.0)
    >>> cities.find().order_by('-people').to_list('name')
    ['Kyiv', 'Lviv', 'Bonn']
    """

    # -- narrower, and in another order --------------------------------------------------------

    def find(self, path: str | Callable[[R], int] | None = None, /, **values: Any) -> "Query[K, R]":
        """Those of the records that match another filter too. Takes what `Collection.find` takes.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        ...     active: bool = True
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', 36), User('bob', 17), User('eve', 52, False)])
        3
        >>> adults = users.find('@.age >= 18')
        >>> list(adults.find(active=True).keys())
        ['ada']
        """
        filters = self._source.filters(path, values)
        return self._with(filters=self._selection.filters + filters)

    def order_by(self, *paths: str) -> "Query[K, R]":
        """The records sorted by one path or more, from low to high; from high to low with a `-`.

        A record without the value comes first, then None, bool, numbers, text, then dates and
        times; last if the path has a `-`. A list, a dict or a set has no place among its like: they
        come last. Where all values are equal, the keys decide, always from low to high.

        Any path works that leads to one value. Without an index, all that match are read. A query
        with a small limit holds as many records as the limit and the offset, twice; else it holds
        the keys and the sorted values, and reads the records again. A later `order_by` takes the
        place of an earlier one. Raises QueryError for a path that does not
        parse, names an unknown field, or may find several values.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int | None
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', 36), User('bob', None), User('cyd', 36), User('eve', 52)])
        4
        >>> users.find().order_by('age').to_list('name')
        ['bob', 'ada', 'cyd', 'eve']
        >>> users.find().order_by('-age').to_list('name')
        ['eve', 'ada', 'cyd', 'bob']
        """
        return self._ordered(order=self._source.sort_fields(paths))

    def reversed(self) -> "Query[K, R]":
        """The opposite order, of equal records too. `limit` takes the other end then.

        `reversed(query)` is another thing: the records of this query, the last one first.
        """
        return self._ordered(reverse=not self._selection.reverse)

    def limit(self, count: int | None) -> "Query[K, R]":
        """The same, but no more than `count` records. None changes nothing."""
        check_limit(count)
        return Query(self._source, self._limited(count))

    def offset(self, count: int) -> "Query[K, R]":
        """The same without the first `count` records, which are still read: O(count).

        For page after page take `after`: it costs the same for each page, and shows no record
        twice if others write in between. Raises what `limit` raises.
        """
        if count is None:
            raise ValueTypeError("an offset is an int, 0 or more, not None")
        check_limit(count, "an offset")
        return self._with(offset=self._selection.offset + count)

    def after(self, cursor: str | None) -> "Query[K, R]":
        """The records behind the place where another page has ended: what its `cursor()` gave.

        None is the beginning. An earlier `after` or `offset` counts no more, so `page.after(
        page.cursor())` is the next page. Each record that stays, and keeps the values that it is
        sorted by, is on one page only, whatever is written in between. A record whose value changes
        moves: it may be on two pages, or on none.

        Call `order_by` and `reversed` first. Raises QueryError for the cursor of another order or
        of another collection, and for a text that is no cursor.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', 36), User('bob', 17), User('eve', 36)])
        3
        >>> page = users.find().order_by('-age').limit(2)
        >>> [user.name for user in page]
        ['ada', 'eve']
        >>> users.delete('eve')
        True
        >>> [user.name for user in page.after(page.cursor())]
        ['bob']
        """
        if cursor is None:
            return self._with(after=None, offset=0)
        from .cursors import decode_cursor

        found, name = decode_cursor(cursor), self._records.name
        order = order_text(self._selection.order, self._selection.reverse)
        if found.collection != name:
            raise QueryError(
                f"after(): the cursor is of the collection {found.collection!r}, not of {name!r}"
            )
        if found.order != order:
            raise QueryError(
                f"after(): the cursor is of {found.order}, not of {order}: call order_by() and "
                "reversed() as for the page that gave the cursor, and then after()"
            )
        return self._with(after=found.place, offset=0)

    def using(self, index: str | None) -> "Query[K, R]":
        """The same, answered through the index of this name, or without any index for None.

        The answer is the same. Without this, the index that finds the fewest records is used, which
        is hardly ever wrong. `explain()` shows which one that is. A reader of the query raises
        QueryError if there is no such index, or if it cannot be used for the query.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, index, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int = index()
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', 36), User('bob', 17)])
        2
        >>> adults = users.find('@.age > 30')
        >>> adults.using('age').count(), adults.using(None).count()
        (1, 1)
        """
        if index is not None and not isinstance(index, str):
            raise QueryError(
                f"using() takes the name of an index, or None for no index, not {show_value(index)}"
            )
        return self._with(using=index)

    # -- writing -------------------------------------------------------------------------------

    @overload
    def update(self, change: Callable[[R], R | None], /) -> int: ...
    @overload
    def update(self, /, **changes: Any) -> int: ...
    def update(self, change: Callable[[R], R | None] | None = None, /, **changes: Any) -> int:
        """Change all records that match, in one transaction; how many there are.

        `update(active=True)` sets fields. `update(function)` replaces each record by what the
        function makes of it, which is another record, or None after changing it in place. The keys
        of all records are read first: no change makes a record match that did not, or twice.

        Raises RecordError with the key for a record that does not fit its class or has another key,
        DuplicateKeyError for a value that a unique index has: it is checked record by record.
        Raises RecordError before anything is read for an unknown field, a field of the key, and a
        value that does not fit. After an error nothing is written.

        >>> from attrs import define, evolve
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        ...     active: bool = True
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', 36), User('bob', 17)])
        2
        >>> users.find('@.age < 18').update(active=False)
        1
        >>> users.find().update(lambda user: evolve(user, age=user.age + 1))
        2
        >>> users['bob']
        User(name='bob', age=18, active=False)
        """
        if change is None and changes:
            return update_fields(self._source, self._selection, changes)
        if changes or not callable(change):
            given = "both" if changes else show_value(change)
            raise ValueTypeError(f"update() takes fields or a function, not {given}")
        return update_records(self._source, self._selection, change)

    def delete(self) -> int:
        """Remove all records that match, in one transaction; how many there were.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', 36), User('bob', 17), User('eve', 52)])
        3
        >>> users.find().order_by('-age').limit(2).delete()
        2
        >>> list(users)
        ['bob']
        """
        return delete_records(self._source, self._selection)

    # -- another selection ---------------------------------------------------------------------

    def _with(self, **changes: Any) -> "Query[K, R]":
        return Query(self._source, self._selection.changed(**changes))

    def _ordered(self, **changes: Any) -> "Query[K, R]":
        if self._selection.after is not None:
            raise QueryError("a cursor is a place in one order: call order_by() before after()")
        return self._with(**changes)
