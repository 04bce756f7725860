"""Growing the map of an LMDB file, where the system does not grant addresses without end.

Mostly the map is so large that it never has to grow (`environment.LARGEST_MAP`). If addresses are
scarce (`ulimit -v`, 32 bits), it starts small. LMDB can only enlarge the map while this process has
no transaction open. So all transactions pass a gate:

- The map grows before a write transaction begins, if half of the map is in use, or if the last
  transaction found it too small. The file stays as small as its pages, whatever the map.
- The thread that enlarges the map waits for the open read transactions, and holds up new ones. A
  thread that has a read transaction open waits for nobody and is not held up: that would never end.
- If another process has written more than this one has mapped, the next transaction maps it.

Two processes cannot undo each other's growth: LMDB notes the size of a map with a commit, under its
lock, and only ever a larger size.
"""

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, get_ident
from typing import Protocol, TypeVar
from weakref import finalize

import lmdb

from stones.errors import StorageError

from .environment import LARGEST_MAP


class Ending(Protocol):
    """A transaction that calls `on_end` when it ends."""

    on_end: Callable[[], object] | None


T = TypeVar("T", bound=Ending)

PATIENCE = 5.0
"""Seconds to wait for the read transactions of other threads before a map is left as it is."""


class Gate:
    """The gate that all transactions of a process on one small map pass. Safe for threads.

    `environment` gives the environment. `reopen` maps the file anew, in another environment, if
    enlarging the map has failed half-way.
    """

    def __init__(
        self, environment: Callable[[], lmdb.Environment], path: str, reopen: Callable[[], object]
    ) -> None:
        # Not the environment itself: an exception with the frames that had the gate would keep the
        # file open.
        self._environment = environment
        self._path = path
        self._reopen = reopen
        self._changed = Condition()
        self._readers: list[int] = []  # the thread of each read transaction that is open
        self._growing = False
        self._waited = 0  # bytes in use when a writer last waited for readers
        self.too_small = False
        """A transaction has failed because the map has no room."""

    @property
    def size(self) -> int:
        """The size of the map in bytes."""
        return self._environment().info()["map_size"]

    def read(self, begin: Callable[[], T]) -> T:
        """A read transaction from `begin`. It counts as open until it ends or is dropped."""
        me = get_ident()
        with self._changed:
            if me not in self._readers:
                self._changed.wait_for(lambda: not self._growing, PATIENCE)
            txn = begin()
            self._readers.append(me)
            txn.on_end = ended = finalize(txn, self._ended, me)
            ended.atexit = False
        return txn

    def _ended(self, thread: int) -> None:
        with self._changed:  # reentrant: the garbage collector may call this anywhere
            self._readers.remove(thread)
            self._changed.notify_all()

    def make_room(self) -> bool:
        """Before a write transaction: enlarge the map if it has become small. Was it enlarged?

        Only the thread that may write calls this, and `take_over`.
        """
        size, used = self.size, self._used()
        if not self.too_small and 2 * used <= size:
            return False
        # It is worth waiting for readers after a failure, or if there is little room. It is not
        # worth it again before each following write: the readers may stay.
        urgent = self.too_small or (4 * used > 3 * size and 16 * (used - self._waited) > size)
        if urgent:
            self._waited = used
        self.too_small = False
        return 2 * size <= LARGEST_MAP and self._enlarge(2 * size, PATIENCE if urgent else 0)

    def take_over(self) -> None:
        """Map all that another process has written. Raises StorageError if that cannot be done."""
        size, wanted = self.size, self._used()
        if wanted <= size:
            return  # another thread was quicker
        while size < wanted:
            size *= 2
        if not self._enlarge(size, PATIENCE):
            raise StorageError(
                f"another process has made {self._path!r} larger than is mapped here, and it "
                "cannot be mapped anew while snapshots or iterations are open, or the system "
                "grants no more addresses: end them, or allow more with `ulimit -v`"
            )

    def _used(self) -> int:
        """The part of the map that the last transaction needs, in bytes."""
        pages: int = self._environment().info()["last_pgno"] + 1
        return pages * int(self._environment().stat()["psize"])

    def _enlarge(self, size: int, patience: float) -> bool:
        if size > self.size and not _is_granted(size - self.size):
            return False
        with self._changed, self._held_up():
            if not self._is_quiet(patience):
                return False
            try:
                self._environment().set_mapsize(size)
            except lmdb.Error:  # it was granted a moment ago, and now there is no map at all
                self._environment().close()
                self._reopen()
                return False
        return True

    @contextmanager
    def _held_up(self) -> Iterator[None]:
        self._growing = True
        try:
            yield
        finally:
            self._growing = False
            self._changed.notify_all()

    def _is_quiet(self, patience: float) -> bool:
        """Wait until no read transaction is open, unless one is of this thread. Did they end?"""
        until = time.monotonic() + patience
        while self._readers:
            if get_ident() in self._readers or time.monotonic() >= until:
                return False
            self._changed.wait(until - time.monotonic())
        return True


def _is_granted(size: int) -> bool:
    """Whether the system grants `size` more bytes of addresses, for a moment at least."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE, prot=0).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True
