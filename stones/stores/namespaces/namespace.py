"""Namespace: a whole dict under a key prefix of a store.

It is a dict as a store is. `namespace_database` and `namespace_transaction` show it only the
keys of the namespace, and keep the count of the entries.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from stones.errors import (
    CollectionError,
    KeyTypeError,
    ReadOnlyError,
    ValueTypeError,
)
from stones.formats.messages import show
from stones.stores.claims import COLLECTION_NAME
from stones.stores.database_reader import DATA
from stones.stores.reader import K, Reader, V
from stones.stores.shown_counts import shown_count
from stones.stores.transacting import Transacting
from stones.stores.writer import Writer

from .database import NamespaceDatabase, NamespaceReader

N = TypeVar("N")
"""The type of the keys of a namespace."""


class _Whole(Reader[K, V]):
    """A store or a snapshot of one, which has namespaces."""

    @abstractmethod
    def _empty_twin(self, prefix: bytes = b"", **options: Any) -> Writer[Any, Any]:
        """An empty store in memory with the same options, for what is under a prefix."""

    def _key_and_value_type(self, key_type: type | None, value_type: type | None) -> list[type]:
        if key_type not in (None, bytes, str):
            raise KeyTypeError(f"key_type is bytes or str, not {show(key_type)}")
        if not (value_type is None or isinstance(value_type, type)):
            raise ValueTypeError(
                f"value_type is a class, list for instance, not {show(value_type)}"
            )
        return [key_type or self._key_type, value_type or self._value_type]


class StoreWithNamespaces(_Whole[K, V], Transacting[K, V]):
    """What a store has for its namespaces."""

    @overload
    def namespace(
        self, name: str, *, key_type: type[N], value_type: type | None = None
    ) -> "Namespace[N, V]": ...
    @overload
    def namespace(
        self, name: str, *, key_type: None = None, value_type: type | None = None
    ) -> "Namespace[K, V]": ...
    def namespace(
        self, name: str, *, key_type: type | None = None, value_type: type | None = None
    ) -> "Namespace[Any, V]":
        """The dict of its own under the prefix `name`, such as 'sessions/': see `Namespace`.

        `key_type` and `value_type` are those of the store, unless they are given. Opening it reads
        once and writes nothing.

        Raises CollectionError for a name that cannot be used, and for the name of a collection.
        Also if the store has keys with the prefix that were not written through the namespace.

        >>> from stones import MemoryStore
        >>> store = MemoryStore()
        >>> store.namespace('sessions/')['ada'] = 1
        >>> store.namespace('sessions/')
        <Namespace 'sessions/' of 'memory': 1 entry>
        """
        types = self._key_and_value_type(key_type, value_type)
        return Namespace(self, NamespaceDatabase(self.database, checked_name(name)), *types)


class SnapshotWithNamespaces(_Whole[K, V]):
    """What a snapshot of a store has for its namespaces."""

    @overload
    def namespace(
        self, name: str, *, key_type: type[N], value_type: type | None = None
    ) -> "SnapshotNamespace[N, V]": ...
    @overload
    def namespace(
        self, name: str, *, key_type: None = None, value_type: type | None = None
    ) -> "SnapshotNamespace[K, V]": ...
    def namespace(
        self, name: str, *, key_type: type | None = None, value_type: type | None = None
    ) -> "SnapshotNamespace[Any, V]":
        """The namespace `name` of the store as it was, read-only: see `Store.namespace`."""
        types = self._key_and_value_type(key_type, value_type)
        return SnapshotNamespace(self, NamespaceReader(self.database, checked_name(name)), *types)


class _Copyable(Reader[K, V]):
    """`copy()`, and `|` as with dict. They give a new store in memory."""

    is_whole = False

    def __init__(
        self, whole: _Whole[Any, Any], database: NamespaceReader, key_type: type, value_type: type
    ) -> None:
        super().__init__(database, key_type, value_type)
        self._whole = whole
        self.name = database.prefix.decode()
        """The prefix of the keys in the store, as text: 'sessions/'."""

    def copy(self) -> Writer[K, V]:
        """The same entries in a new MemoryStore with the same serializer."""
        twin = self._empty_twin()
        twin.update(self)
        return twin

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> Writer[K, V]:
        return self.copy()  # values are copies at any rate

    def __or__(self, other: Mapping[Any, Any]) -> Writer[K, V]:
        if not isinstance(other, Mapping):
            return NotImplemented
        twin = self.copy()
        twin.update(other)
        return twin

    def __ror__(self, other: Mapping[Any, Any]) -> Writer[K, V]:
        if not isinstance(other, Mapping):
            return NotImplemented
        twin = self._empty_twin()
        twin.update(other)
        twin.update(self)
        return twin

    def _empty_twin(self) -> Writer[K, V]:
        return self._whole._empty_twin(
            self.name.encode(), key_type=self._key_type, value_type=self._value_type
        )

    def __repr__(self) -> str:
        name = f"{type(self).__name__} {self.name!r} of {self._whole.database.name!r}"
        count = shown_count(self, self.database, "entry", "entries")
        return f"<{name}: {count}>" if count else f"<{name}>"


class Namespace(_Copyable[K, V], Transacting[K, V]):
    """A dict of its own under a prefix of a store: `store.namespace('sessions/')` gives it.

    It has all that a store has as a dict, and only its own entries: its own `clear()`, `len()` in
    O(1), ranges with bounds inside of it, keys without the prefix. Transactions are those of the
    store: the store, its namespaces and its collections share them. Serializer, checksums and
    durability are those of the store, too.

    The first write claims the keys. From then on the store refuses to write them itself, with
    ReservedKeyError, since the count would be wrong. It still reads them, with the prefix.

    >>> from stones import MemoryStore
    >>> store = MemoryStore()
    >>> sessions = store.namespace('sessions/', key_type=str)
    >>> sessions['ada'] = 1
    >>> sessions['bob'] = 2
    >>> list(sessions), len(sessions), list(sessions.range(gt='ada'))
    (['ada', 'bob'], 2, ['bob'])
    >>> dict(store)
    {b'sessions/ada': 1, b'sessions/bob': 2}
    >>> sessions.clear()
    >>> len(store)
    0
    """

    def update(  # type: ignore[override]  # keys may be str too
        self, other: Mapping[Any, V] | Iterable[tuple[Any, V]] = (), /, **kwargs: V
    ) -> None:
        """Set many values in one transaction: all of them or, on an error, none.

        `other` is whatever `Store.update` takes. A store gives its entries under their whole keys,
        the records of its collections as dicts.
        """
        super().update(other.items() if isinstance(other, Reader) else other, **kwargs)

    def clear(self) -> None:
        """Remove every entry of the namespace. The rest of the store stays. O(entries)."""
        self._target.write(lambda txn: txn.delete_range(DATA))


class SnapshotNamespace(_Copyable[K, V]):
    """A namespace as it was at one moment, read-only: what `snapshot.namespace(name)` gives."""

    def _read_only(self, *args: Any, **options: Any) -> Any:
        """In place of all that writes. Raises ReadOnlyError."""
        raise ReadOnlyError("this is a snapshot of a namespace: write to the store itself")

    if not TYPE_CHECKING:  # to type checkers it has no method that writes
        __setitem__ = __delitem__ = __ior__ = put = delete = update = pop = popitem = _read_only
        setdefault = clear = deep_add = deep_remove = transaction = transact = _read_only


def checked_name(name: object) -> str:
    """The name of a namespace without its slash. Raises CollectionError."""
    if isinstance(name, str) and name.endswith("/") and COLLECTION_NAME.fullmatch(name[:-1]):
        return name[:-1]
    hint = ""
    if isinstance(name, str) and COLLECTION_NAME.fullmatch(name):
        hint = f"; is {name + '/'!r} meant?"
    elif isinstance(name, str) and "/" in name.rstrip("/"):
        hint = "; a namespace has no namespaces inside: a name with a dot is as good"
    raise CollectionError(
        f"{show(name)} cannot name a namespace: use letters, digits, '_', '-' and '.', 64 at most, "
        f"and a '/' at the end{hint}"
    )
