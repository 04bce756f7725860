"""Collection: records of one attrs class, kept in a store under a key prefix.

A collection works on the database of the store, beside the dict face. Whatever one operation
changes, the record and what is kept about it, it changes in one transaction (see
`stones.collections.stored_records`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, overload

from stones.collections.queries.jsonpath import equality_filter
from stones.collections.queries.query import Query
from stones.collections.queries.record_paths import RecordPaths
from stones.collections.queries.selection import Selection
from stones.collections.records.reading_rules import Unknown
from stones.collections.records.record_type import record_type
from stones.errors import CollectionError, RecordError
from stones.formats.messages import show, show_count, show_key
from stones.formats.registered_types import known
from stones.stores.bound_to_store import BoundToStore
from stones.stores.claims import COLLECTION_NAME
from stones.stores.missing_keys import missing_key
from stones.stores.reader import Reader
from stones.stores.views import Items, Keys, Range, Values

from .key_spans import key_span
from .record_checks import RecordChecks
from .stored_records import StoredRecords

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    # A default for a type variable (PEP 696): see stones.stores.reader.
    from typing_extensions import TypeVar

    K = TypeVar("K", default=str | bytes | int | UUID | date | tuple[Any, ...])
    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    K = TypeVar("K")
    R = TypeVar("R")
T = TypeVar("T")

MISSING: Any = object()


class Collection(BoundToStore, MutableMapping[K, R]):
    """A mutable mapping from keys to records of an attrs class.

    `store` is an open store, or a snapshot of one for a collection that is only read. `record` is
    the class. Its fields made with `key()` are the primary key; several of them make a tuple.
    Without such a field a key is generated: a UUID that sorts by time. `name`, the name of the
    class unless it is given, makes the prefix: the records are the keys `name/...` of the store, as
    plain dicts.

    `unknown` is for stored fields that the class does not have: an "error" when they are read, or
    "drop" them, or "keep" them in the record when it is written. Opening only reads. The store
    knows the collection once a record is written.

    Records come in key order. What you get is a copy: `put` or `update` stores it again.
    Raises CollectionError for a class or a name that cannot be used, or a class that does not fit.

    Type checkers cannot see the type of the key field. Name it, and they know all the rest:

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     age: int
    >>> users: Collection[str, User] = Collection(MemoryStore(), User)
    >>> users.add(User('ada', 36))
    'ada'
    >>> users.add_many([User('bob', 17), User('eve', 52)])
    2
    >>> users['ada'].age
    36
    >>> list(users.range(ge='b')), list(users.search('$[*].age'))
    (['bob', 'eve'], [36, 17, 52])
    >>> users.put(User('bob', 18))
    'bob'
    >>> users.update('bob', age=19)
    User(name='bob', age=19)
    >>> users.pop('bob')
    User(name='bob', age=19)
    >>> users.setdefault('eve', User('eve', 0))
    User(name='eve', age=52)
    """

    _copied_by = "copy the store: Collection(copy.deepcopy(store), Class)"

    def __init__(
        self,
        store: Reader[Any, Any],
        record: type[R],
        name: str | None = None,
        *,
        unknown: Unknown = "error",
    ) -> None:
        if not isinstance(store, Reader):
            raise CollectionError(f"a collection is kept in a store, not in {show(store)}")
        self._type = record_type(record, unknown)
        self.name = self._type.name if name is None else name
        if not isinstance(self.name, str) or not COLLECTION_NAME.fullmatch(self.name):
            raise CollectionError(
                f"{show(self.name)} cannot name a collection: use letters, digits, '_', '-' and "
                "'.', 64 at most: Collection(store, Class, name='users')"
            )
        self._records: StoredRecords[K, R] = StoredRecords(store.database, self._type, self.name)
        self._checks: RecordChecks[R] = RecordChecks(self._type, self.name)
        self._paths = RecordPaths(self._type.conversion, *self._records.extra_fields())

    # -- reading -------------------------------------------------------------------------------

    def __getitem__(self, key: K) -> R:
        """The record with this key. Raises KeyError with the key. O(log n)."""
        record = self._records.get(key)
        if record is None:
            raise missing_key(key)
        return record

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
    ) -> Range[K, R]:
        """The records between two keys, in key order, as a lazy read-only mapping.

        `ge`, `gt`, `le` and `lt` are bounds. `prefix` is what keys begin with: text, bytes, or the
        first parts of a tuple. With both, a key must fit both. A bound may be the first parts of a
        tuple too: it is below all keys that begin with them. Costs O(log n) to start, and O(1) a
        record.

        Raises KeyTypeError for a key or a part of another type, and ValueTypeError for a `limit`
        that is not an int. Raises InvalidKeyError for two bounds on the same side, a `prefix` where
        keys have none, or a negative `limit`.
        """
        bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt, "prefix": prefix}
        records = self._records
        span = key_span(self.name, self._type.key_codec, records.span, bounds, reverse, limit)
        return Range(self, self._records, span)

    # -- queries -------------------------------------------------------------------------------

    def find(self, path: str | None = None, /, **values: Any) -> Query[K, R]:
        """The records that match: lazily, in key order.

        `find('$[?(@.age > 30)]')` takes a JSONPath filter over the list of the records' dicts;
        `find('@.age > 30')` means the same. A `{name}` in it stands for the value `name=...`, which
        can never change the query: `find('$[?(@.name == {name})]', name=name)`. Without a path the
        fields must equal the values: `find(name='Ada')`; with nothing at all every record matches.

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
        """
        records, paths = self._records, self._paths
        if path is None:
            stored = self._checks.stored_values(values)
            filters = (equality_filter(stored),) if stored else ()
        else:
            filters = (paths.filter(path).bound(values),)
        return Query(records, paths, Selection(records.span, filters))

    def search(self, path: str, /, **values: Any) -> Iterator[Any]:
        """The values that any JSONPath finds in the list of the records' dicts.

        `search('$[*].address.city')` and what begins with a filter reads record by record; a path
        that needs the whole list (`$..city`, `$[0:3]`) holds all records in memory. Values are
        bound as in `find`. Raises QueryError as `find` does.
        """
        dicts = (value for _, value in self._records.scan())
        return map(known, self._paths.search(path).find(dicts, values))

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

    # -- writing -------------------------------------------------------------------------------

    def add(self, record: R) -> K:
        """Store a new record and return its key.

        Raises DuplicateKeyError where there is a record with this key, RecordError for a record
        that does not fit the class.
        """
        with self._records.writing() as changes:
            key: K = self._checks.key_for(record)
            self._records.write(changes, key, record, overwrite=False)
        return key

    def add_many(
        self, records: Iterable[R], *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Store new records in one transaction, all of them or none; how many there were.

        Takes any iterable, in constant memory. `progress` is called with the number of records so
        far, after each of them.
        """
        added = 0
        write, key_of = self._records.write, self._checks.key_for
        with self._records.writing() as changes:
            for record in records:
                write(changes, key_of(record), record, overwrite=False)
                added += 1
                if progress is not None:
                    progress(added)
        return added

    def put(self, record: R) -> K:
        """Store a record, in the place of the one with the same key if there is one.

        For a class without key fields each call stores another record: use `self[key] = record`.
        """
        with self._records.writing() as changes:
            key: K = self._checks.key_for(record)
            self._records.write(changes, key, record)
        return key

    def __setitem__(self, key: K, record: R) -> None:
        """Store a record under its key. Raises RecordError if the record has another one."""
        self._checks.check_key(key, record)
        with self._records.writing() as changes:
            self._records.write(changes, key, record)

    def update(self, key: K, /, **changes: Any) -> R:  # type: ignore[override]  # not dict's
        """Change some fields of a record, atomically, and return the changed one.

        Raises KeyError with the key, RecordError for a field or a value that does not fit.
        """
        return self.modify(key, lambda record: self._type.evolve(record, changes))

    def modify(self, key: K, change: Callable[[R], R | None]) -> R:
        """Replace a record by what `change` makes of it, atomically, and return that.

        `change` gets the record, and returns another one or None after changing it in place.

        >>> from attrs import define, evolve
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        >>> users = Collection(MemoryStore(), User)
        >>> users['ada'] = User('ada', 36)
        >>> users.modify('ada', lambda user: evolve(user, age=user.age + 1))
        User(name='ada', age=37)
        """
        # Joinable, so that `change` may use the store and its collections: all of it is one.
        with self._records.writing(joinable=True) as changes:
            before = self._records.read(changes, key)
            if before is None:
                raise missing_key(key)
            try:
                result = change(before)
            except RecordError as error:
                raise RecordError(f"{self.name}[{show_key(key)}]: {error}") from error
            record = before if result is None else result
            self._checks.check_key(key, record)
            self._records.write(changes, key, record)
        return record

    def __delitem__(self, key: K) -> None:
        """Remove a record. Raises KeyError with the key."""
        if not self.delete(key):
            raise missing_key(key)

    def delete(self, key: K) -> bool:
        """Remove a record; was it there?"""
        stored = self._records.encode_key(key)
        with self._records.writing() as changes:
            return self._records.remove(changes, stored)

    @overload
    def pop(self, key: K, /) -> R: ...
    @overload
    def pop(self, key: K, /, default: R) -> R: ...
    @overload
    def pop(self, key: K, /, default: T) -> R | T: ...
    def pop(self, key: K, /, default: Any = MISSING) -> Any:
        """Remove a record and return it; where it is not there, `default` or KeyError."""
        stored = self._records.encode_key(key)
        with self._records.writing() as changes:
            record = self._records.read(changes, key)
            if record is not None:
                self._records.remove(changes, stored)
                return record
        if default is MISSING:
            raise missing_key(key)
        return default

    def popitem(self) -> tuple[K, R]:
        """Remove and return the last record in key order. KeyError in an empty collection."""
        with self._records.writing() as changes:
            last = self._records.last(changes)
            if last is None:
                raise KeyError(f"popitem(): the collection {self.name!r} is empty")
            stored, record = last
            self._records.remove(changes, stored)
        return self._records.decode_key(stored), record

    def setdefault(self, key: K, default: R) -> R:
        """The record with this key; where there is none, `default` is stored there."""
        with self._records.writing() as changes:
            record = self._records.read(changes, key)
            if record is None:
                self._checks.check_key(key, default)
                self._records.write(changes, key, default)
                return default
        return record

    def clear(self) -> None:
        """Remove every record of this collection."""
        with self._records.writing() as changes:
            self._records.remove_all(changes)

    def __repr__(self) -> str:
        records = show_count(len(self), "record")
        return f"<Collection {self.name!r} of {self._type.cls.__name__}: {records}>"
