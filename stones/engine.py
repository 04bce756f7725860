"""The contract of an engine: ordered bytes in a few separate spaces, reached inside a transaction.

An engine knows nothing of serializers, dicts or records; a store (`stones.stores.store`) and the
collections above it know nothing else of where the bytes live. Whoever writes another engine
subclasses `Engine` and `Transaction` and proves it with `stones.testing.EngineTests`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, TypeVar

from .errors import StoreClosedError, TransactionError

T = TypeVar("T")

MAX_KEY_SIZE = 511
"""The longest key in bytes. It is LMDB's limit; the other engines keep it too, so that what is
tried out in memory works on disk."""


class Space(IntEnum):
    """The separate key spaces of an engine; the same key may be in each of them."""

    DATA = 0
    """What the user put there."""
    INDEX = 1
    """What the collections keep to find records by their fields."""
    META = 2
    """What the store knows of itself: formats, collections, counts."""


class Transaction(ABC):
    """A consistent view of an engine, and the changes made in it until `commit`.

    Keys are bytes, 1 to 511 of them, in the order of their unsigned bytes. A transaction belongs to
    one thread at a time. Any of its methods raises TransactionError once it has ended.
    """

    __slots__ = ()

    @abstractmethod
    def get(self, space: Space, key: bytes) -> bytes | None:
        """The value of `key`, or None. O(log n)."""

    @abstractmethod
    def put(self, space: Space, key: bytes, value: bytes) -> None:
        """Set the value of `key`. O(log n). Raises ReadOnlyError in a read transaction."""

    @abstractmethod
    def delete(self, space: Space, key: bytes) -> bool:
        """Remove `key`; was it there? O(log n). Raises ReadOnlyError in a read transaction."""

    @abstractmethod
    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """The entries with start <= key < stop in key order, or in reverse.

        The iterator goes on seeing what was there when `scan` was called, whatever is written in
        this transaction meanwhile. O(log n) to start, O(1) an entry.
        """

    @abstractmethod
    def count(self, space: Space) -> int:
        """How many keys there are. O(1)."""

    @abstractmethod
    def begin(self) -> "Transaction":
        """A savepoint: a transaction inside this one, which rests until the inner one ends."""

    @abstractmethod
    def commit(self) -> None:
        """Make the changes last: in the engine, or for a savepoint in the one around it."""

    @abstractmethod
    def abort(self) -> None:
        """Drop the changes. Without effect on a transaction that has ended."""

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        """The keys of `scan`, for an engine that can leave the values where they are."""
        for key, _ in self.scan(space, start, stop, reverse=reverse):
            yield key

    def clear(self, space: Space) -> None:
        """Remove every key of a space."""
        for key in self.keys(space):
            self.delete(space, key)


class Engine(ABC):
    """A place for bytes: opened by its constructor, shared by threads, gone after `close`."""

    readonly: bool = False
    closed: bool = False
    changes: int = 0
    """How often the metadata has been changed through this engine; see `Store._refresh`."""

    @property
    def legacy(self) -> bool:
        """It holds values as stones 0.3 wrote them: no metadata, no format bytes."""
        return False

    @abstractmethod
    def begin(self, *, write: bool = False) -> Transaction:
        """Start a transaction.

        Any number of read transactions may be open, each on the state at its start. There is one
        write transaction at a time: another thread or process waits here for it to end; where the
        same thread already has one open, waiting would never end, so that is a TransactionError.
        Raises StoreClosedError after `close`, ReadOnlyError for a write to a read-only engine.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of files and memory. Transactions still open are aborted; twice is harmless."""

    def sync(self) -> None:
        """Wait until all that is committed has reached the disk, where there is one."""
        self.begin().abort()  # a closed engine says so

    def stats(self) -> dict[str, Any]:
        """What the engine says of itself: sizes in bytes."""
        return {}

    def backup(self, path: str, *, compact: bool = True) -> None:
        """Write a copy of one instant into the directory `path`, as an LMDB file.

        It is on the disk when this returns, and there whole or not at all. `compact=False` allows
        gaps, where that is faster.
        """
        from stones.engines.lmdb.engine import (
            LmdbEngine,  # the only one with files that others can open
        )
        from stones.engines.lmdb.new_directory import new_directory

        source = self.begin()

        def copy(txn: Transaction) -> None:
            for space in Space:
                for key, value in source.scan(space):
                    txn.put(space, key, value)

        try:
            with new_directory(path) as partial:
                target = LmdbEngine.open(partial, new=True)
                try:
                    target.write(copy)
                finally:
                    target.close()
        finally:
            source.abort()

    def adopt(self, prefix: bytes, finish: Callable[[Transaction], None]) -> None:
        """Where the engine is `legacy`: turn it into one that is not, in one transaction.

        Each value gets `prefix` in front; `finish` writes the metadata.
        """
        raise TransactionError("this engine holds nothing of stones 0.3")

    def read(self, look: Callable[[Transaction], T]) -> T:
        """What `look` returns, given a read transaction. It may be called more than once."""
        txn = self.begin()
        try:
            return look(txn)
        finally:
            txn.abort()

    def get(self, space: Space, key: bytes) -> bytes | None:
        """One read in a transaction of its own."""
        return self.read(lambda txn: txn.get(space, key))

    def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in a write transaction and return its result once that is committed.

        An engine may commit the changes of several threads together; so `change` may run in
        another thread, and more than once where the transaction that it shared had to be undone.
        It must only depend on the transaction, and an exception from it undoes all of it.
        """
        txn = self.begin(write=True)
        try:
            result = change(txn)
        except BaseException:
            txn.abort()
            raise
        txn.commit()
        return result


class ClosedEngine(Engine):
    """What a closed store has in place of its engine."""

    def __init__(self, name: str) -> None:
        self._name = name

    def begin(self, *, write: bool = False) -> Transaction:
        raise StoreClosedError(f"the store {self._name!r} is closed: open it again to use it")

    def close(self) -> None:
        pass
