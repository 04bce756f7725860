"""The reading half of a collection: what can be asked of records, and what a query begins with.

`stones.collections.collection` has the writing half.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stones.collections.planning.selection import Selection
from stones.collections.queries.queried_records import QueriedRecords
from stones.collections.queries.query import Query
from stones.formats.registered_types import known
from stones.stores.bound_to_store import BoundToStore
from stones.stores.missing_keys import missing_key
from stones.stores.shown_counts import shown_count
from stones.stores.views import Items, Keys, Values

from .key_spans import key_span
from .record_checks import RecordChecks
from .record_range import RecordRange
from .stored_records import StoredRecords

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    # A default for a type variable (PEP 696): see stones.stores.reader.
    from typing_extensions import TypeVar

    from stones.collections.indexes.definition import IndexInfo

    K = TypeVar("K", default=str | bytes | int | UUID | date | tuple[Any, ...])
    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    K = TypeVar("K")
    R = TypeVar("R")


class CollectionReader(BoundToStore, Mapping[K, R]):
    """What can be asked of a collection: a read-only, ordered mapping from keys to records."""

    def __init__(self, records: StoredRecords[K, R]) -> None:
        self._bind(records)

    def _bind(self, records: StoredRecords[K, R]) -> None:
        """Take these records: at first, and when the collection has another name."""
        self.name = records.name
        self._type = records.type
        self._records = records
        self._checks: RecordChecks[R] = RecordChecks(records.type, records.name)
        self._queried = QueriedRecords(records, self._checks)

    # -- reading -------------------------------------------------------------------------------

    def __getitem__(self, key: K) -> R:
        """The record with this key. Raises KeyError with the key. O(log n)."""
        record = self._records.get(key)
        if record is None:
            raise missing_key(key)
        return record

    def get_many(self, keys: Iterable[K]) -> dict[K, R]:
        """The records with these keys, in that order, from one snapshot. O(log n) a key.

        A key that is not there is left out. Raises KeyTypeError for a key of another type.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', 36), User('bob', 17)])
        2
        >>> users.get_many(['bob', 'eve', 'ada'])
        {'bob': User(name='bob', age=17), 'ada': User(name='ada', age=36)}
        """
        return dict(self._records.get_many(keys))

    def __contains__(self, key: Any) -> bool:
        return self._records.contains(key)

    def __len__(self) -> int:
        """How many records there are. O(1)."""
        return self._records.count()

    def __iter__(self) -> Iterator[K]:
        return self._records.keys(self._records.span)

    def __reversed__(self) -> Iterator[K]:
        return self._records.keys(self._records.span.reversed())

    def keys(self) -> Keys[K]:
        """The keys: a set-like view, in order."""
        return Keys(self, self._records, self._records.span)

    def values(self) -> Values[R]:
        """The records, in key order."""
        return Values(self, self._records, self._records.span)

    def items(self) -> Items[K, R]:
        """The (key, record) pairs, in key order."""
        return Items(self, self._records, self._records.span)

    def range(
        self,
        *,
        ge: K | tuple[Any, ...] | None = None,
        gt: K | tuple[Any, ...] | None = None,
        le: K | tuple[Any, ...] | None = None,
        lt: K | tuple[Any, ...] | None = None,
        prefix: K | tuple[Any, ...] | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> RecordRange[K, R]:
        """The records between two keys, in key order, as a lazy read-only mapping.

        `ge`, `gt`, `le` and `lt` are bounds. `prefix` is what keys begin with: text, bytes, or the
        first parts of a tuple. With both, a key must fit both. A bound may be the first parts of a
        tuple too: it is below all keys that begin with them. Costs O(log n) to start, and O(1) a
        record. `find` of the range asks for records of the range.

        Raises KeyTypeError for a key or a part of another type, and ValueTypeError for a `limit`
        that is not an int. Raises InvalidKeyError for two bounds on the same side, a `prefix` where
        keys have none, or a negative `limit`.
        """
        bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt, "prefix": prefix}
        records = self._records
        span = key_span(self.name, self._type.key_codec, records.span, bounds, reverse, limit)
        return RecordRange(self, self._queried, span)

    @property
    def indexes(self) -> "tuple[IndexInfo, ...]":
        """The indexes that the store has of this collection, the oldest first."""
        return self._records.index_infos()

    # -- queries -------------------------------------------------------------------------------

    def find(self, path: str | Callable[[R], int] | None = None, /, **values: Any) -> Query[K, R]:
        """The records that match: lazily, in key order.

        `find('$[?(@.age > 30)]')` takes a JSONPath filter over the list of the records' dicts;
        `find('@.age > 30')` means the same. A `{name}` in it stands for the value `name=...`, which
        can never change the query: `find('$[?(@.name == {name})]', name=name)`. Without a path the
        fields must equal the values: `find(name='Ada')`; with nothing at all every record matches.

        A function of a record is a filter that type checkers look into: `find(lambda u: (u.age >
        30) & (each(u.tags) == 'navy'))`. It is called once, to record the condition. `&`, `|`, `~`
        join conditions; `each()` and `known()` help with lists and with what may be None.

        A value is converted as its field is when a record is stored: `find(tags={Tag.NEW})`.
        Raises RecordError for a field that the class does not have, and for a value that cannot be
        in its field; QueryError for a filter that does not parse or names a field that the class
        does not have, and for values it has no place for. In a filter, a str or number compares as
        a literal does; another value that cannot be in the field equals nothing.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        >>> users = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', 36), User('bob', 17)])
        2
        >>> users.find('$[?(@.age > {age})]', age=30).one(), users.find(age=17).count()
        (User(name='ada', age=36), 1)
        >>> users.find(lambda user: (user.age > 30) & (user.name != 'bob')).one()
        User(name='ada', age=36)
        """
        filters = self._queried.filters(path, values)
        return Query(self._queried, Selection(self._records.span, filters))

    def search(self, path: str, /, **values: Any) -> Iterator[Any]:
        """The values that any JSONPath finds in the list of the records' dicts.

        `search('$[*].address.city')` and what begins with a filter reads record by record; a path
        that needs the whole list (`$..city`, `$[0:3]`) holds all records in memory. Values are
        bound as in `find`. Raises QueryError as `find` does.
        """
        from stones.collections.scans import scan  # it loads the language of queries

        dicts = (value for _, value in scan.matches(self._records, self._records.span))
        return map(known, self._queried.paths.search(path).find(dicts, values))

    # -- records as dicts ----------------------------------------------------------------------

    def to_dict(self, record: R) -> dict[str, Any]:
        """The dict that is stored of a record, with the checks that `add` makes.

        All values in it are plain: an enum is its value, a record inside is a dict. Nothing is
        written, and to change the dict changes no record. Raises RecordError as `add` does.

        >>> from datetime import date
        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     born: date
        ...     tags: tuple[str, ...] = ()
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.to_dict(User('ada', date(1815, 12, 10)))
        {'name': 'ada', 'born': datetime.date(1815, 12, 10), 'tags': ()}
        >>> users.from_dict({'name': 'ada', 'born': date(1815, 12, 10)})
        User(name='ada', born=datetime.date(1815, 12, 10), tags=())
        """
        return self._checks.to_dict(record)

    def from_dict(self, fields: Mapping[str, Any]) -> R:
        """The record of a dict such as `to_dict` gives, made by the class.

        A missing field gets its default. Nothing is read or written, and the dict stays as it is.
        Raises RecordError for a missing field without a default, a name that no field has, and a
        value that does not fit its field.
        """
        return self._checks.from_dict(fields)

    def __repr__(self) -> str:
        name = f"Collection {self.name!r} of {self._type.cls.__name__}"
        count = shown_count(self, self._records.database, "record")
        return f"<{name}: {count}>" if count else f"<{name}>"


def records_of(collection: CollectionReader[Any, Any]) -> StoredRecords[Any, Any]:
    """What a collection reads its records from: for `stones.migrations`."""
    return collection._records


def queried_records(collection: CollectionReader[K, R]) -> QueriedRecords[K, R]:
    """The records of a collection, for the layers above."""
    return collection._queried
