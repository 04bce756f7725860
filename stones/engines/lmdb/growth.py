"""Growing the map of an LMDB file, where the system does not grant addresses without end.

Mostly the map is so large that it never has to grow (`environments.LARGEST_MAP`). Where addresses
are scarce (`ulimit -v`, 32 bits) it starts small. LMDB can only enlarge it while this process has
no transaction open, so all of them pass a gate:

- The map grows before a write transaction begins, as soon as half of it is in use, or the last one
  has found it too small. The file stays as small as its pages, whatever the map.
- Whoever enlarges it waits for the read transactions that are open, and holds up new ones. A thread
  that has one open itself waits for nobody, and is not held up: that could never end.
- Where another process has written more than this one has mapped, the next transaction takes over.

Processes do not grow the file against each other: LMDB notes the size of a map with a commit, under
its lock, and only ever a larger one.
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
    """What the transactions of a process on one small map pass. Safe for threads.

    `reopen` maps the file anew where the map could not be enlarged after all.
    """

    def __init__(
        self, env: lmdb.Environment, path: str, reopen: Callable[[], lmdb.Environment]
    ) -> None:
        self._env = env
        self._path = path
        self._reopen = reopen
        self._changed = Condition()
        self._readers: list[int] = []  # the thread of each read transaction that is open
        self._growing = False
        self._waited = 0  # how much was in use when a writer last waited for readers
        self.too_small = False
        """A transaction has failed for want of room in the map."""

    @property
    def size(self) -> int:
        """Of the map, in bytes."""
        return self._env.info()["map_size"]

    def read(self, begin: Callable[[], T]) -> T:
        """What `begin` returns: a read transaction, which counts until it ends or is dropped."""
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
        """Before a write transaction: enlarge the map where it has become small. Was it enlarged?

        As `take_over`, to be called by the one thread that may write.
        """
        size, used = self.size, self._used()
        if not self.too_small and 2 * used <= size:
            return False
        # It is worth waiting for readers after a failure, and while there is little room; but then
        # not before each of the writes that follow, for readers who may stay.
        urgent = self.too_small or (4 * used > 3 * size and 16 * (used - self._waited) > size)
        if urgent:
            self._waited = used
        self.too_small = False
        return 2 * size <= LARGEST_MAP and self._enlarge(2 * size, PATIENCE if urgent else 0)

    def take_over(self) -> None:
        """Map all that another process has written. Raises StorageError where that cannot be."""
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
        """How much of the map the last transaction needs, in bytes."""
        pages: int = self._env.info()["last_pgno"] + 1
        return pages * int(self._env.stat()["psize"])

    def _enlarge(self, size: int, patience: float) -> bool:
        if size > self.size and not _is_granted(size - self.size):
            return False
        with self._changed, self._held_up():
            if not self._is_quiet(patience):
                return False
            try:
                self._env.set_mapsize(size)
            except lmdb.Error:  # it was granted a moment ago; now there is no map at all
                self._env.close()
                self._env = self._reopen()
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
        """Wait until no read transaction is open, but not for one of this thread."""
        until = time.monotonic() + patience
        while self._readers:
            if get_ident() in self._readers or time.monotonic() >= until:
                return False
            self._changed.wait(until - time.monotonic())
        return True


def _is_granted(size: int) -> bool:
    """Whether the system grants so many more bytes of addresses, for a moment at least."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE, prot=0).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True
