"""Collection: records of one attrs class, kept in a store under a key prefix.

A collection works on the database of the store, beside the dict face. Whatever one operation
changes, the record and what is kept about it, it changes in one transaction (see
`stones.collections.stored_records`). The reading half is in `collection_reader`. What runs
steps is in `migrated_collection`.
"""

from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args, overload

from stones.collections.queries import bulk_changes
from stones.collections.records.reading_rules import Unknown
from stones.collections.records.record_type import record_type
from stones.errors import CollectionError
from stones.formats.messages import show
from stones.stores.claims import COLLECTION_NAME
from stones.stores.missing_keys import missing_key
from stones.stores.reader import Reader

from .collection_reader import K, R
from .later import Later
from .migrated_collection import MigratedCollection
from .movable_collection import MovableCollection
from .record_batch import OnDuplicate, RecordBatch
from .record_changes import RecordChanges
from .record_steps import Step
from .stored_records import StoredRecords

if TYPE_CHECKING:
    from . import index_declarations
    from .index_declarations import Index
else:
    index_declarations = Later("stones.collections.index_declarations")

T = TypeVar("T")

MISSING: Any = object()


class Collection(MigratedCollection[K, R], MovableCollection[K, R], MutableMapping[K, R]):
    """A mutable mapping from keys to records of an attrs class.

    `store` is an open store, or a snapshot of one for a collection that is only read. `record` is
    the class. Its fields made with `key()` are the primary key; several of them make a tuple.
    Without such a field a key is generated: a UUID that sorts by time. `name`, the name of the
    class unless it is given, makes the prefix: the records are the keys `name/...` of the store, as
    plain dicts.

    `unknown` is for stored fields that the class does not have: an "error" when they are read, or
    "drop" them, or "keep" them in the record when it is written. Opening only reads, unless it
    declares an index that the records lack. The store knows the collection once a record is
    written.

    `indexes` are indexes beside the fields made with `index()`: paths such as 'address.city',
    tuples of paths, or `Index(...)`. Writes of every program keep them. A collection with fewer
    than 10,000 records is indexed at once, a larger one by each write of this program and by
    `build_indexes`. An index stays until `drop_index`, also if no class declares it any more.

    `migrations` are the steps from older shapes of the records to the class: `Migration(1, ...)`.
    A record that lacks steps is upgraded as it is read. What is written is in the newest shape, and
    from then on programs with fewer steps only read. `migrate` brings all records to the last step.

    Records come in key order. What you get is a copy: `put` or `update` stores it again.
    Raises CollectionError for a class or a name that cannot be used, for a class that does not fit,
    and for an index of what cannot be indexed. Raises DuplicateKeyError if the records do not fit a
    unique index, and MigrationError for steps with gaps or with the same number.

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
        indexes: "Iterable[str | tuple[str, ...] | Index]" = (),
        migrations: Iterable[Step] = (),
    ) -> None:
        if not isinstance(store, Reader) or not store.is_whole:
            found = getattr(record, "__name__", "Class")
            hint = ""
            if isinstance(store, Reader):  # a namespace
                hint = f": give the store itself, Collection(store, {found})"
            elif hasattr(store, "slow"):  # a Tiered, whose module is not imported for this message
                hint = f": Collection(tiered.slow, {found})"
            raise CollectionError(f"a collection is kept in a store, not in {show(store)}{hint}")
        type_of_record = record_type(record, unknown)
        name = type_of_record.name if name is None else name
        if not isinstance(name, str) or not COLLECTION_NAME.fullmatch(name):
            raise CollectionError(
                f"{show(name)} cannot name a collection: use letters, digits, '_', '-' and "
                "'.', 64 at most: Collection(store, Class, name='users')"
            )
        declared = index_declarations.declared_indexes(type_of_record, indexes)
        records: StoredRecords[K, R] = StoredRecords(
            store.database, type_of_record, name, declared, migrations
        )
        super().__init__(records)
        if records.program.steps:
            self._warn_of_edited_steps()

    @classmethod
    def without_class(
        cls, store: Reader[Any, Any], name: str, *, any_type: bool = False
    ) -> "Collection[Any, dict[str, Any]]":
        """The collection `name` of a store whose class is not at hand. Its records are dicts.

        Everything that a collection can do works: `find`, `update`, indexes. The dicts are as they
        are stored: an enum is its value. Kept defaults are filled in.

        What is written has to have the fields of the stored records, each with a type that it has
        there. The first and the last 50 records tell the types, and which fields are the key. With
        `any_type` the types are not looked at.

        Raises CollectionError if there is no such collection, and MigrationError in the middle of a
        migration of its records. A write to a collection without records raises RecordError.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        >>> store = MemoryStore()
        >>> Collection(store, User).add(User('ada', 36))
        'ada'
        >>> users = Collection.without_class(store, 'User')
        >>> users.find('@.age > 30').one()
        {'name': 'ada', 'age': 36}
        >>> users['bob'] = {'name': 'bob', 'age': 17}
        >>> users['eve'] = {'name': 'eve', 'age': 'old'}
        Traceback (most recent call last):
            ...
        stones.errors.RecordError: User['eve']: age: expected int, got str 'old'
        """
        # It is loaded here, because most programs have the class.
        from stones.collections.without_class.opening import dict_records

        if not isinstance(store, Reader) or not store.is_whole:
            raise CollectionError(f"a collection is kept in a store, not in {show(store)}")
        made: Collection[Any, dict[str, Any]] = object.__new__(cls)  # type: ignore[arg-type]  # R is dict
        MigratedCollection.__init__(made, dict_records(store.database, name, any_type=any_type))
        return made

    # -- writing -------------------------------------------------------------------------------

    def add(self, record: R) -> K:
        """Store a new record and return its key.

        Raises DuplicateKeyError where there is a record with this key, RecordError for a record
        that does not fit the class.
        """

        def change(changes: RecordChanges) -> K:
            key: K = self._checks.key_for(record)
            self._records.write(changes, key, record, overwrite=False)
            return key

        return self._records.change(change)

    def add_many(
        self,
        records: Iterable[R],
        *,
        on_duplicate: OnDuplicate = "error",
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Store records in one transaction, all of them or none. Returns how many it has written.

        Takes any iterable, in constant memory. `on_duplicate` is for a record whose key is there
        already, also from earlier in `records`: "error" raises DuplicateKeyError, "skip" leaves
        the record that is there, "replace" writes over it. `progress` is called with the number of
        records so far, after each of them, written or not.

        Raises as `add` does, and CollectionError for another `on_duplicate`. A value in a unique
        index that another record has is an error whatever `on_duplicate` says.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     age: int
        >>> users: Collection[str, User] = Collection(MemoryStore(), User)
        >>> users.add_many([User('ada', 36), User('bob', 17)])
        2
        >>> users.add_many([User('bob', 18), User('eve', 52)], on_duplicate='skip')
        1
        >>> users['bob'].age
        17
        """
        if on_duplicate not in get_args(OnDuplicate):
            raise CollectionError(
                f'on_duplicate is "error", "skip" or "replace", not {show(on_duplicate)}'
            )
        is_seen = progress is not None or type(records) not in (list, tuple)
        with self._records.writing_many(is_seen=is_seen) as changes:
            batch = RecordBatch(self._records, changes, on_duplicate, progress)
            batch.write(records, self._checks.key_for)
        return batch.written

    def put_many(
        self, records: Iterable[R], *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Store records as `put` does, in one transaction, all of them or none. How many there are.

        Takes any iterable, in constant memory. Of two records with the same key the later one
        stays. `progress` is called with the number of records so far, after each of them.
        """
        return self.add_many(records, on_duplicate="replace", progress=progress)

    def put(self, record: R) -> K:
        """Store a record, in the place of the one with the same key if there is one.

        For a class without key fields each call stores another record: use `self[key] = record`.
        """

        def change(changes: RecordChanges) -> K:
            key: K = self._checks.key_for(record)
            self._records.write(changes, key, record)
            return key

        return self._records.change(change)

    def __setitem__(self, key: K, record: R) -> None:
        """Store a record under its key. Raises RecordError if the record has another one."""
        self._checks.check_key(key, record)
        self._records.change(lambda changes: self._records.write(changes, key, record))

    def update(self, key: K, /, **changes: Any) -> R:  # type: ignore[override]  # not dict's
        """Change some fields of a record, atomically, and return the changed one.

        Raises KeyError with the key, RecordError for a field or a value that does not fit.
        """
        return self.modify(key, lambda record: self._type.evolve(record, changes))

    def modify(self, key: K, change: Callable[[R], R | None]) -> R:
        """Replace a record by what `change` makes of it, atomically, and return that.

        `change` gets the record, and returns another one or None after changing it in place. It
        runs in this thread. It may run more than once, as the function of `Store.transact` may.

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

        def change_one(changes: RecordChanges) -> R:
            record = bulk_changes.change_record(self._queried, changes, key, change)
            if record is None:
                raise missing_key(key)
            return record

        # Joinable, so that `change` may use the store and its collections: all of it is one.
        return self._records.change(change_one, joinable=True)

    def __delitem__(self, key: K) -> None:
        """Remove a record. Raises KeyError with the key."""
        if not self.delete(key):
            raise missing_key(key)

    def delete(self, key: K) -> bool:
        """Remove a record; was it there?"""
        stored = self._records.encode_key(key)
        return self._records.change(lambda changes: self._records.remove(changes, stored))

    @overload
    def pop(self, key: K, /) -> R: ...
    @overload
    def pop(self, key: K, /, default: R) -> R: ...
    @overload
    def pop(self, key: K, /, default: T) -> R | T: ...
    def pop(self, key: K, /, default: Any = MISSING) -> Any:
        """Remove a record and return it; where it is not there, `default` or KeyError."""
        stored = self._records.encode_key(key)

        def change(changes: RecordChanges) -> R | None:
            record = self._records.read(changes, key)
            if record is not None:
                self._records.remove(changes, stored)
            return record

        found = self._records.change(change)
        if found is not None:
            return found
        if default is MISSING:
            raise missing_key(key)
        return default

    def popitem(self) -> tuple[K, R]:
        """Remove and return the last record in key order. KeyError in an empty collection."""

        def change(changes: RecordChanges) -> tuple[K, R]:
            last = self._records.last(changes)
            if last is None:
                raise KeyError(f"popitem(): the collection {self.name!r} is empty")
            stored, record = last
            self._records.remove(changes, stored)
            return self._records.decode_key(stored), record

        return self._records.change(change)

    def setdefault(self, key: K, default: R) -> R:
        """The record with this key; where there is none, `default` is stored there."""

        def change(changes: RecordChanges) -> R:
            record = self._records.read(changes, key)
            if record is None:
                self._checks.check_key(key, default)
                self._records.write(changes, key, default)
                return default
            return record

        return self._records.change(change)

    def clear(self) -> None:
        """Remove every record of this collection."""
        self._records.change(self._records.remove_all)

    # -- indexes -------------------------------------------------------------------------------

    def build_indexes(self, progress: Callable[[int], object] | None = None) -> None:
        """Build each index that is not ready, while others read and write.

        Works in short transactions, in bounded memory. A build that was interrupted goes on where
        it was. `progress` is called now and then, with the number of records so far. Also removes
        what dropped indexes have left.

        Raises DuplicateKeyError at the end if two records have the same values of a unique index:
        `indexes` then shows it as failed, and the next build tries again.
        """
        self._records.builder().build(progress)

    def drop_index(self, name: str) -> None:
        """Remove an index, by the name that `indexes` shows. Raises CollectionError without one.

        One short transaction; the entries are removed after it. A program whose class declares the
        index defines it again when it opens the collection.
        """
        self._records.builder().drop(name)
        self._records.declared.forget(name)
