"""The contract of an engine: ordered bytes in a few separate spaces, reached in transactions.

An engine knows nothing of serializers, dicts or records. The store above it knows nothing of where
the bytes are. An engine of your own is two classes, a subclass of `Engine` and a subclass of
`Transaction`; `stones.testing.EngineTests` proves them. Here is a small one that keeps a dict for
each space. A write transaction changes copies of the dicts, which its commit puts in their place:

>>> from threading import Lock, get_ident
>>> from stones.engine import Engine, Space, Supports, Transaction
>>> from stones.errors import ReadOnlyError, StoreClosedError, TransactionError
>>>
>>> class DictEngine(Engine):
...     supports = Supports(snapshots=True)
...
...     def __init__(self):
...         self.spaces = [{} for _ in Space]
...         self.lock = Lock()
...         self.writer = None
...
...     def begin(self, *, write=False):
...         if write and self.writer == get_ident():
...             raise TransactionError("this thread has a write transaction open")
...         if self.closed:
...             raise StoreClosedError("the engine is closed")
...         if write:
...             self.lock.acquire()
...             self.writer = get_ident()
...         return DictTransaction(self, write)
...
...     def close(self):
...         self.closed = True
>>>
>>> class DictTransaction(Transaction):
...     def __init__(self, engine, write):
...         self.engine, self.write = engine, write
...         self.spaces = [dict(entries) for entries in engine.spaces] if write else engine.spaces
...
...     def entries(self, space, write=False):
...         if self.spaces is None:
...             raise TransactionError("the transaction has ended")
...         if write and not self.write:
...             raise ReadOnlyError("this is a read transaction")
...         return self.spaces[space]
...
...     def get(self, space, key):
...         return self.entries(space).get(key)
...
...     def put(self, space, key, value):
...         self.entries(space, write=True)[key] = value
...
...     def delete(self, space, key):
...         return self.entries(space, write=True).pop(key, None) is not None
...
...     def scan(self, space, start=b"", stop=None, *, reverse=False):
...         entries = sorted(self.entries(space).items(), reverse=reverse)
...         return iter([e for e in entries if start <= e[0] and (stop is None or e[0] < stop)])
...
...     def commit(self):
...         self.entries(Space.DATA)
...         if self.write:
...             self.engine.spaces = self.spaces
...         self.abort()
...
...     def abort(self):
...         if self.write and self.spaces is not None:
...             self.engine.writer = None
...             self.engine.lock.release()
...         self.spaces = None
>>>
>>> engine = DictEngine()
>>> engine.write(lambda txn: txn.put(Space.DATA, b"key", b"value"))
>>> engine.get(Space.DATA, b"key")
b'value'
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Any, TypeVar

from .errors import CorruptValueError, UnexpectedError, UnsupportedError
from .pages import PAGE_BYTES, PAGE_ENTRIES, Page, page_sizes, pages_of_entries, pages_of_keys
from .supports import MAX_KEY_SIZE, Supports

__all__ = [
    "MAX_KEY_SIZE",
    "PAGE_BYTES",
    "PAGE_ENTRIES",
    "Engine",
    "Page",
    "Space",
    "Supports",
    "Transaction",
    "page_sizes",
]

T = TypeVar("T")


class Space(IntEnum):
    """The separate key spaces of an engine. The same key may be in each of them.

    >>> list(Space)
    [<Space.DATA: 0>, <Space.INDEX: 1>, <Space.META: 2>]
    """

    DATA = 0
    """The entries of the user, and the records of collections."""
    INDEX = 1
    """The entries that collections keep to find records by their fields."""
    META = 2
    """What the store knows of itself: formats, collections, counts."""


class Transaction(ABC):
    """A view of an engine, and the changes made in it until `commit`.

    Keys are bytes, at least one of them, in the order of their unsigned bytes. A transaction
    belongs to one thread at a time. Once it has ended, its methods raise TransactionError. A write
    transaction must be ended by the thread that began it.

    >>> from stones.engines.memory import MemoryEngine
    >>> txn = MemoryEngine().begin(write=True)
    >>> txn.put(Space.DATA, b"b", b"2")
    >>> txn.put(Space.DATA, b"a", b"1")
    >>> list(txn.scan(Space.DATA))
    [(b'a', b'1'), (b'b', b'2')]
    >>> txn.commit()
    """

    __slots__ = ()

    @abstractmethod
    def get(self, space: Space, key: bytes) -> bytes | None:
        """The value of `key`, or None. O(log n)."""

    @abstractmethod
    def put(self, space: Space, key: bytes, value: bytes) -> None:
        """Set the value of `key`. O(log n).

        Raises ReadOnlyError in a read transaction, StorageError for a value that is larger than
        `supports.max_value_size`.
        """

    @abstractmethod
    def delete(self, space: Space, key: bytes) -> bool:
        """Remove `key`. Was it there? O(log n). Raises ReadOnlyError in a read transaction."""

    @abstractmethod
    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """The entries with start <= key < stop in key order, or in reverse.

        The iterator shows the entries that this transaction saw when `scan` was called. Later
        writes in the same transaction do not change them. O(log n) to start, O(1) an entry.
        """

    @abstractmethod
    def commit(self) -> None:
        """End the transaction and keep its changes.

        The changes of a savepoint go into the transaction around it. Readers see all changes of a
        transaction at once, or no change. Raises TransactionError if it has ended, StorageError if
        the changes cannot be kept; they are undone then.
        """

    @abstractmethod
    def abort(self) -> None:
        """End the transaction and undo its changes. Without effect if it has ended."""

    def begin(self) -> "Transaction":
        """A savepoint: a transaction inside this one, which must not be used until that ends.

        Raises UnsupportedError where the engine does not support savepoints.
        """
        raise UnsupportedError(
            "this engine has no savepoints: end the transaction before you begin another one"
        )

    def count(self, space: Space) -> int:
        """The number of keys. O(n); an engine that knows the number overrides this."""
        return sum(1 for _ in self.keys(space))

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        """The keys of `scan`. An engine that can leave the values where they are overrides this."""
        return (key for key, _ in self.scan(space, start, stop, reverse=reverse))

    def pages(
        self,
        space: Space,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys: bool = True,
        values: bool = True,
    ) -> Iterator[Page]:
        """The entries of `scan`, several hundred at a time, which is faster.

        A page has at least one entry. It has at most PAGE_ENTRIES entries, and about PAGE_BYTES of
        values. The first pages are small, for a reader that needs only a few entries. With
        `keys=False` the sequence of keys is empty, with `values=False` the sequence of values. One
        of the two must be wanted. An engine that can read many entries at once overrides this.

        >>> from stones.engines.memory import MemoryEngine
        >>> txn = MemoryEngine().begin(write=True)
        >>> txn.put_many(Space.DATA, [(b"b", b"2"), (b"a", b"1")])
        >>> for keys, values in txn.pages(Space.DATA):
        ...     list(keys), list(values)
        ([b'a', b'b'], [b'1', b'2'])
        """
        if not values:
            return pages_of_keys(self.keys(space, start, stop, reverse=reverse))
        return pages_of_entries(self.scan(space, start, stop, reverse=reverse), keys)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key, or None, in the order of `keys`. A key may be there twice.

        An engine that can do it at once overrides this.
        """
        return [self.get(space, key) for key in keys]

    def put_many(self, space: Space, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Set many values, in any order of the keys; in key order it is fastest.

        Of two values for a key, the last stays. `entries` may be an iterator that reads from this
        transaction: it may or may not see what was put of it. After an error, of `entries` or of
        `put`, some entries are put: `abort` the transaction then. An engine that can do it at once
        overrides this.
        """
        for key, value in entries:
            self.put(space, key, value)

    def delete_many(self, space: Space, keys: Iterable[bytes]) -> None:
        """Remove these keys, whether they are there or not.

        Where the answer of `delete` is not needed, an engine need not find out. Such an engine
        overrides this.
        """
        for key in keys:
            self.delete(space, key)

    def delete_range(self, space: Space, start: bytes = b"", stop: bytes | None = None) -> None:
        """Remove the keys with start <= key < stop; without bounds, every key of the space.

        O(keys). An engine that can do it at once overrides this.
        """
        for key in self.keys(space, start, stop):
            self.delete(space, key)

    def expect(self, space: Space, key: bytes, value: bytes | None) -> None:
        """Raise UnexpectedError unless `key` has this value; None expects that it is not there.

        It raises here. Or, in a change that `Engine.write` or `Engine.transact` runs, the engine
        may compare at the commit. If the value differs then, the change runs again from its start,
        and it is here that it raises. If the change fails before the commit, it runs again too:
        maybe what was not compared is the reason. So a network needs one round trip less. For
        conflicts it counts as a read. An engine that compares at the commit overrides this.
        """
        found = self.get(space, key)
        if found != value:
            raise UnexpectedError(space, key, found)

    def add(self, key: bytes, number: int) -> None:
        """Add to the sum `key`, which is 0 at first; `number` may be negative.

        Transactions that only add to a sum are not in conflict with each other. Sums have keys of
        their own. By default they are entries of `Space.META`, in decimal digits. An engine may
        keep them elsewhere, and overrides `add`, `sum`, `sums` and `drop_sum` then.

        Raises CorruptValueError for a sum that is damaged, or that would fall below 0. An engine
        that adds without reading raises it in `sum`.
        """
        total = self.sum(key) + number
        if total < 0:
            raise CorruptValueError(f"the sum {key!r} would fall below 0: it is damaged")
        self.put(Space.META, key, b"%d" % total)

    def sum(self, key: bytes) -> int:
        """The sum `key`; 0 if nothing was added. Raises CorruptValueError if it is damaged."""
        return parse_sum(key, self.get(Space.META, key))

    def sums(self) -> Iterator[tuple[bytes, int]]:
        """The sums that are not entries of `Space.META`, by their keys. For copies of an engine."""
        return iter(())

    def drop_sum(self, key: bytes) -> None:
        """Make the sum `key` 0, whatever it was, also a damaged one."""
        self.delete(Space.META, key)


class Engine(ABC):
    """A place for bytes. Its constructor opens it, threads share it, `close` ends its use.

    >>> from stones.engines.memory import MemoryEngine
    >>> engine = MemoryEngine()
    >>> engine.write(lambda txn: txn.put(Space.DATA, b"key", b"value"))
    >>> engine.get(Space.DATA, b"key")
    b'value'
    >>> engine.close()
    """

    supports: Supports = Supports()
    """What this engine can do. A class attribute, or set by the constructor."""
    packs_values: bool = True
    """Whether values may be compressed and encrypted: not in files for people or other programs."""
    closed: bool = False
    """Whether the engine is closed. An iteration that is still open ends with an error then."""

    @abstractmethod
    def begin(self, *, write: bool = False, timeout: float | None = None) -> Transaction:
        """Start a transaction.

        Any number of read transactions may be open; they neither wait for a write transaction nor
        hold it up. One write transaction is open at a time. If another thread or process has it,
        `begin` waits for its end. If this thread has it, waiting would never end, and `begin`
        raises TransactionError. Raises StoreClosedError after `close`, ReadOnlyError for a write to
        an engine that was opened read-only.

        `timeout` limits the wait, in seconds; None does not. After that `begin` raises
        LockTimeoutError. Only an engine that supports `timeouts` is called with a `timeout`.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of files and memory. Open transactions are lost. Closing twice is harmless."""

    def sync(self) -> None:
        """Wait until all that is committed has reached the disk, where there is one."""
        self.begin().abort()  # raises StoreClosedError for a closed engine

    def stats(self) -> dict[str, Any]:
        """Some figures about the engine, by name. Sizes are in bytes."""
        return {}

    def problems(self) -> Iterator[str]:
        """What the engine finds wrong with its own file, in words. It may read all of it."""
        return iter(())

    def read(self, look: Callable[[Transaction], T]) -> T:
        """The result of `look`, called with a read transaction. It may be called more than once."""
        txn = self.begin()
        try:
            return look(txn)
        finally:
            txn.abort()

    def get(self, space: Space, key: bytes) -> bytes | None:
        """The value of `key`, or None: one read in a transaction of its own."""
        return self.read(lambda txn: txn.get(space, key))

    def write(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        """The result of `change`, called with a write transaction, once that is committed.

        An exception from `change` undoes all of it. An engine may commit the changes of several
        threads together. So `change` may run in another thread, and it may run again if the
        transaction that it shared had to be undone. It must depend on its transaction only.
        `timeout` limits the wait for other writers, as in `begin`.
        """
        # An engine without timeouts may not know the argument.
        if timeout is None:
            return self.transact(change)
        return self.transact(change, timeout=timeout)

    def transact(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        """The result of `change`, as `write` gives it, always in this thread and not in a group.

        An engine may run transactions of several writers at once. If two are in conflict, the
        change runs again, with another transaction, so it must depend on its transaction only.
        Raises ConflictError when the engine gives up; nothing is changed then. Raises
        UnknownOutcomeError if the connection was lost in the commit, and nobody can tell whether it
        was made.
        """
        txn = self.begin(write=True) if timeout is None else self.begin(write=True, timeout=timeout)
        try:
            result = change(txn)
            txn.commit()
        except BaseException:  # also an interrupt just before the commit begins
            txn.abort()
            raise
        return result

    def sum(self, key: bytes) -> int:
        """The sum `key`: one read in a transaction of its own."""
        return self.read(lambda txn: txn.sum(key))


def parse_sum(key: bytes, raw: bytes | None) -> int:
    """A sum that is stored in decimal digits. Raises CorruptValueError."""
    if raw is None:
        return 0
    if not raw.isdigit() or len(raw) > _SUM_DIGITS:
        raise CorruptValueError(f"the sum {key!r} is {raw[:40]!r}: it is damaged")
    return int(raw)


_SUM_DIGITS = 18  # len() takes no larger number
