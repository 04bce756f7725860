"""The engine that keeps everything in memory, in a sorted map for each space.

It costs nothing to open a snapshot or a transaction: it is a fork of the maps (see `sorted_map`). A
rollback drops the changed maps, and readers never wait. A write in a transaction of its own copies
one leaf and the list of leaves, which is about O(sqrt n).
"""

import os
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from threading import Lock, get_ident
from typing import Any, Self, TypeVar
from weakref import WeakSet

from stones.engine import (
    PAGE_BYTES,
    Engine,
    Page,
    Space,
    Supports,
    Transaction,
    page_sizes,
    parse_sum,
)
from stones.errors import (
    LockTimeoutError,
    ReadOnlyError,
    StoreClosedError,
    TransactionError,
)

from .nested_write import nested_write
from .sorted_map import SortedMap

T = TypeVar("T")


class MemoryEngine(Engine):
    """Ordered bytes in memory. Any number of threads may share it.

    A forked child has a copy, which holds what was last committed.
    """

    supports = Supports(snapshots=True, savepoints=True, timeouts=True, counts=True)

    def __init__(self) -> None:
        self._trees: tuple[SortedMap, ...] | None = tuple(SortedMap() for _ in Space)
        self._writing = Lock()
        self._writer = 0  # the thread that holds the lock
        _engines.add(self)

    @classmethod
    def of(cls, spaces: "tuple[SortedMap, ...]") -> Self:
        """An engine with these entries, one map for each space, which stay as they are."""
        engine = cls()
        engine._trees = tuple(space.fork() for space in spaces)
        return engine

    def spaces(self) -> "tuple[SortedMap, ...]":
        """The entries as of the last commit, one map for each space. They are only for reading."""
        return self._opened()

    def begin(self, *, write: bool = False, timeout: float | None = None) -> "MemoryTransaction":
        if not write:
            return MemoryTransaction(self, self._opened(), writable=False)
        if self._writer == get_ident():
            raise nested_write()
        if not self._writing.acquire(timeout=-1 if timeout is None else timeout):
            raise LockTimeoutError(
                "nothing was written: another thread of this process has had the write lock of the "
                f"store in memory for more than {timeout:g} s; wait until its transaction has "
                "ended, or open the store with a longer timeout="
            )
        self._writer = get_ident()
        try:
            return MemoryTransaction(self, self._opened(), writable=True)
        except StoreClosedError:
            self._release(self._writing)
            raise

    def get(self, space: Space, key: bytes) -> bytes | None:
        return self._opened()[space].get(key)

    def sum(self, key: bytes) -> int:
        return parse_sum(key, self.get(Space.META, key))

    def close(self) -> None:
        self._trees = None

    def _opened(self) -> "tuple[SortedMap, ...]":
        trees = self._trees
        if trees is None:
            raise StoreClosedError("the store is closed")
        return trees

    def _publish(self, trees: "tuple[SortedMap, ...]", lock: Any) -> None:
        if lock is not self._writing:
            raise TransactionError("the transaction was begun before fork(): it is the parent's")
        try:
            self._opened()
            self._trees = trees
        finally:
            self._release(lock)

    def _release(self, lock: Any) -> None:
        if lock is self._writing:
            self._writer = 0
            lock.release()

    def _after_fork(self) -> None:
        # The thread that held the lock may not be in the child. The trees are as last committed.
        self._writing = Lock()
        self._writer = 0


_engines: "WeakSet[MemoryEngine]" = WeakSet()


def _after_fork() -> None:
    for engine in list(_engines):
        engine._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class MemoryTransaction(Transaction):
    """A view of the trees of a MemoryEngine; a write transaction has trees of its own."""

    __slots__ = ("_engine", "_lock", "_open", "_parent", "_trees", "_writable")

    def __init__(
        self,
        engine: MemoryEngine,
        trees: "tuple[SortedMap, ...]",
        *,
        writable: bool,
        parent: "MemoryTransaction | None" = None,
    ) -> None:
        self._engine = engine
        self._trees = tuple(tree.fork() for tree in trees) if writable else trees
        self._writable = writable
        self._parent = parent
        self._lock = engine._writing if writable and parent is None else None
        self._open = True

    def get(self, space: Space, key: bytes) -> bytes | None:
        return self._tree(space).get(key)

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        self._tree(space, write=True).put(key, bytes(value))

    def delete(self, space: Space, key: bytes) -> bool:
        return self._tree(space, write=True).delete(key)

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._guarded(self._settled(space).scan(start, stop, reverse))

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
        spans = self._settled(space).spans(start, stop, reverse)
        return self._guarded(_pages(spans, keys, values))

    def count(self, space: Space) -> int:
        return self._tree(space).count

    def delete_range(self, space: Space, start: bytes = b"", stop: bytes | None = None) -> None:
        tree = self._tree(space, write=True)
        if start or stop is not None:
            super().delete_range(space, start, stop)
        else:
            tree.clear()

    def begin(self) -> "MemoryTransaction":
        self._tree(Space.DATA, write=True)
        return MemoryTransaction(self._engine, self._trees, writable=True, parent=self)

    def commit(self) -> None:
        if not self._open or not (self._parent is None or self._parent._open):
            raise TransactionError("the transaction has ended")
        trees = self._end()
        if self._parent is not None:
            self._parent._trees = trees
        elif self._writable:
            self._engine._publish(trees, self._lock)

    def abort(self) -> None:
        if self._open:
            self._end()
            if self._lock is not None:
                self._engine._release(self._lock)

    def _end(self) -> "tuple[SortedMap, ...]":
        """The changed trees. The transaction no longer holds them, so that they can be freed."""
        trees, self._trees, self._open = self._trees, (), False
        return trees

    def _tree(self, space: Space, *, write: bool = False) -> "SortedMap":
        if not self._open:
            raise TransactionError("the transaction has ended")
        if self._engine._trees is None:
            raise StoreClosedError("the store is closed")
        if write and not self._writable:
            raise ReadOnlyError("this is a read transaction: begin one with write=True to write")
        return self._trees[space]

    def _settled(self, space: Space) -> "SortedMap":
        """The tree for a scan. A later write in this transaction does not show in it."""
        tree = self._tree(space)
        # After the fork, a write copies each leaf anew.
        return tree.fork() if self._writable else tree

    def _guarded(self, scanned: Iterator[T]) -> Iterator[T]:
        for found in scanned:
            if not self._open or self._engine._trees is None:
                self._tree(Space.DATA)  # raises the error that says why
            yield found


def _pages(
    spans: Iterator[tuple[list[bytes], list[bytes]]], with_keys: bool, with_values: bool
) -> Iterator[Page]:
    sizes = page_sizes()
    for keys, values in spans:
        start = 0
        while start < len(keys):
            page = values[start : start + next(sizes)]
            if with_values:
                held = bisect_left(list(accumulate(map(len, page))), PAGE_BYTES) + 1
                del page[held:]
            stop = start + len(page)
            yield keys[start:stop] if with_keys else (), page if with_values else ()
            start = stop
