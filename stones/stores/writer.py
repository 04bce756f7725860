"""The writing half of the dict face: what changes single entries, or many in one transaction."""

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Self, overload

from stones.engine import Space, Transaction
from stones.errors import UnexpectedError
from stones.formats.generation import next_generation

from .claims import drop_counts
from .containers import added, removed
from .copying import copy_entries
from .database import Database
from .database_reader import DATA
from .dict_keys import decode_key, encode_key, encode_new_key
from .many_values import BATCH_BYTES, put_values
from .missing_keys import missing_key
from .reader import K, Reader, T, V
from .step_keys import drop_all_steps

MISSING: Any = object()
_CONTAINERS = frozenset({dict, list, tuple})


class Writer(Reader[K, V], MutableMapping[K, V]):
    """What can be done to a store beyond reading: a mutable, ordered dict.

    Each operation is one transaction, or is part of the one that is open. A key that belongs to a
    collection is refused with ReservedKeyError: its count and its indexes would be wrong.
    """

    _open = staticmethod(Database.open)  # `existing` leaves it out: metadata may be damaged

    def __init__(self, database: Database, key_type: type, value_type: type) -> None:
        super().__init__(database, key_type, value_type)
        self._target = database
        self._max_key_size = database.max_key_size

    @property
    def database(self) -> Database:
        """The layer below the dict, which collections and migrations work on too."""
        return self._target

    def __setitem__(self, key: K | bytes | str, value: V) -> None:
        """Set the value of `key`. O(log n).

        Raises SerializerError for a value that the serializer cannot hold, and for the key
        KeyTypeError, InvalidKeyError, KeyTooLongError or ReservedKeyError.
        """
        self.put(key, value)

    def put(self, key: K | bytes | str, value: V, overwrite: bool = True) -> bool:
        """Set the value of `key`, unless it has one and `overwrite` is False. Was it written?

        >>> from stones import MemoryStore
        >>> store = MemoryStore()
        >>> store.put('limit', 10), store.put('limit', 20, overwrite=False)
        (True, False)
        """
        database = self._target
        stored = encode_new_key(key, self._max_key_size)
        codec = database.codec
        raw = codec.encode(stored, value)  # before the lock is taken, and in this thread

        def change(txn: Transaction) -> bool:
            now = database.codec_for_writing(txn)
            if now.metadata.has_collections:
                database.check_unclaimed(txn, stored)
            if not overwrite:
                try:
                    txn.expect(DATA, stored, None)
                except UnexpectedError:
                    return False
            # Another process may have changed the format since the value was encoded.
            txn.put(DATA, stored, raw if now is codec else now.encode(stored, value))
            return True

        return database.write(change)

    def __delitem__(self, key: K | bytes | str) -> None:
        """Remove `key`. Raises KeyError with the key where it is not there."""
        if not self.delete(key):
            raise missing_key(key)

    def delete(self, key: K | bytes | str) -> bool:
        """Remove `key`; was it there?"""
        database = self._target
        stored = encode_key(key)

        def change(txn: Transaction) -> bool:
            database.codec_for_writing(txn)
            database.check_unclaimed(txn, stored)
            return txn.delete(DATA, stored)

        return database.write(change)

    @overload
    def pop(self, key: K | bytes | str) -> V: ...
    @overload
    def pop(self, key: K | bytes | str, default: V) -> V: ...
    @overload
    def pop(self, key: K | bytes | str, default: T) -> V | T: ...
    def pop(self, key: Any, default: Any = MISSING) -> Any:
        """Remove `key` and return its value; where it is not there, `default` or KeyError."""
        stored = encode_key(key)
        database = self._target

        def change(txn: Transaction) -> Any:
            raw = txn.get(DATA, stored)
            if raw is None:
                return MISSING
            database.check_unclaimed(txn, stored)
            value = database.decode(stored, raw)
            txn.delete(DATA, stored)
            return value

        value = database.transact(change)
        if value is not MISSING:
            return value
        if default is MISSING:
            raise missing_key(key)
        return default

    def popitem(self) -> tuple[K, V]:
        """Remove and return the last entry in key order. Raises KeyError in an empty store."""
        database = self._target

        def change(txn: Transaction) -> tuple[Any, Any]:
            last = next(txn.scan(DATA, reverse=True), None)
            if last is None:
                raise KeyError("popitem(): the store is empty")
            stored = last[0]
            database.check_unclaimed(txn, stored)
            value = database.decode(*last)
            txn.delete(DATA, stored)
            return decode_key(stored, self._key_type), value

        return database.transact(change)

    def setdefault(self, key: K | bytes | str, default: V = None) -> V:  # type: ignore[assignment]  # as dict
        """The value of `key`; where it has none, `default` becomes its value."""
        stored = encode_new_key(key, self._max_key_size)
        database = self._target

        def change(txn: Transaction) -> Any:
            raw = txn.get(DATA, stored)
            if raw is None:
                database.check_unclaimed(txn, stored)
                raw = database.codec.encode(stored, default)
                txn.put(DATA, stored, raw)
            return database.decode(stored, raw)

        value: V = database.transact(change)
        return value

    def update(  # type: ignore[override]  # keys may be str too
        self, other: Mapping[Any, V] | Iterable[tuple[Any, V]] = (), /, **kwargs: V
    ) -> None:
        """Set many values in one transaction: all of them or, on an error, none.

        `other` is a mapping, an object with `keys()`, or any iterable of pairs. It is read while
        its entries are written, in constant memory. If it reads from this store, it sees the store
        as it was before.

        If `other` is a store or a snapshot, its collections come along, with their records and
        indexes. A collection that this store has too gets the records in addition; a record with
        the same key is replaced. Raises CollectionError if the keys of the two are of different
        types, if an index is of another kind in the two, or if this store has other entries under
        the keys of the collection. Raises DuplicateKeyError if two records would have the same
        values in a unique index: also while the values of two records are exchanged.

        >>> from stones import MemoryStore
        >>> store = MemoryStore()
        >>> store.update({'a': 1}, b=2)
        >>> dict(store)
        {b'a': 1, b'b': 2}
        """
        database = self._target
        # Inside a transaction, an iterator sees what was written of it so far.
        is_seen = database.in_transaction() and type(other) not in _CONTAINERS
        with database.writing() as txn:
            if isinstance(other, Reader) and other.is_whole:
                copy_entries(other.database, database, txn)
                other = ()
            put_values(database, txn, pairs(other), 0 if is_seen else BATCH_BYTES)
            put_values(database, txn, kwargs.items(), BATCH_BYTES)

    def __ior__(self, other: Mapping[Any, V] | Iterable[tuple[Any, V]]) -> Self:
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove every entry, the records of collections included.

        The records go without `StoredRecords.remove`: all that is kept about them goes here too.
        """

        def change(txn: Transaction) -> None:
            txn.delete_range(DATA)
            txn.delete_range(Space.INDEX)
            drop_counts(txn)
            if drop_all_steps(txn):
                next_generation(txn)
                self._target.reload(txn)

        self._target.transact(change)

    def deep_add(self, key: K | bytes | str, value: Any) -> None:
        """Add `value` to the container at `key`, which is made where there is no container yet.

        The store's `value_type` says of which class it is: list, tuple (both add at the end), set
        or frozenset. Raises ValueTypeError (a TypeError) for another class, and where the value at
        `key` is not a container.

        >>> from stones import MemoryStore
        >>> store = MemoryStore(value_type=list)
        >>> store.deep_add('names', 'Ada')
        >>> store.deep_add('names', 'Grace')
        >>> store['names']
        ['Ada', 'Grace']
        """
        stored = encode_new_key(key, self._max_key_size)
        database = self._target

        def change(txn: Transaction) -> None:
            database.check_unclaimed(txn, stored)
            grown = added(self._value_type, self._container(txn, stored), value)
            txn.put(DATA, stored, database.codec.encode(stored, grown))

        database.transact(change)

    def deep_remove(self, key: K | bytes | str, value: Any) -> bool:
        """Take `value` out of the container at `key`, the first one in a list; was it in there?"""
        stored = encode_key(key)
        database = self._target

        def change(txn: Transaction) -> bool:
            database.check_unclaimed(txn, stored)
            rest = removed(self._value_type, self._container(txn, stored), value)
            if rest is None:
                return False
            txn.put(DATA, stored, database.codec.encode(stored, rest))
            return True

        return database.transact(change)

    def _container(self, txn: Transaction, stored: bytes) -> Any:
        raw = txn.get(DATA, stored)
        return () if raw is None else self._target.decode(stored, raw)


def pairs(other: Any) -> Iterable[tuple[Any, Any]]:
    """The (key, value) pairs of what dict.update() takes: a mapping, or an iterable of pairs."""
    if isinstance(other, Mapping):
        return other.items()
    if hasattr(other, "keys"):
        return ((key, other[key]) for key in other.keys())  # noqa: SIM118  # it has only keys()
    return other  # type: ignore[no-any-return]  # whatever it is, iterating it tells
