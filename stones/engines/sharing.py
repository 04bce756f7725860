"""One engine a file: the stores of a process on one file share it, whatever path they name.

So they share its transactions, its group commits and its connections. And LMDB's locks are POSIX
locks, which belong to a process and a file. If a process opened a file twice, closing one of the
two would give up the locks of both.

Closing never waits. The garbage collector closes a store that was dropped, in any thread and in
the middle of anything. That may be an opening, which has the lock here and may itself wait for
another thread.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, Protocol, TypeVar

from stones.errors import StoreOpenError


class Shared(Protocol):
    """An engine, as far as sharing it goes."""

    users: int

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of its file."""
        ...

    def disconnect(self) -> None:
        """Let go of the file. Must not wait."""

    def leave_to_parent(self) -> None:
        """In a forked child: what is open is the parent's."""


S = TypeVar("S", bound=Shared)


class SharedEngines(Generic[S]):
    """The engines that are open in this process, one for each file. Safe for threads.

    `identify` gives the identity of the file at a path, or None if there is no file yet.
    """

    def __init__(self, identify: Callable[[str], tuple[int, int] | None]) -> None:
        self._identify = identify
        self._engines: dict[tuple[int, int], S] = {}
        self._reserved: set[tuple[int, int]] = set()  # files that may not be opened now
        self._closing: deque[S] = deque()  # whoever next has the lock closes these
        self._lock = Lock()

    def open(self, path: str, make: Callable[[], S]) -> S:
        """The engine for the file at `path`, with one user more.

        `make` gives a new engine where there is none. Call `close` as often as this.
        """
        with self._lock:
            self._close_all()
            found = self._identify(path) or (0, 0)
            if found in self._reserved:
                raise StoreOpenError(
                    f"{path!r} is being compacted by this process: open it when that has ended"
                )
            engine = self._engines.get(found)
            if engine is None:
                engine = make()
                self._engines[engine.identity] = engine
            engine.users += 1
        self._settle()
        return engine

    def close(self, engine: S) -> None:
        """One user less; the last one disconnects the engine. Does not wait."""
        self._closing.append(engine)
        self._settle()

    @contextmanager
    def reserved(self, path: str) -> Iterator[None]:
        """Keep this process from opening the file at `path`, until the block ends.

        Raises StoreOpenError if the process has it open.
        """
        found = self._identify(path) or (0, 0)
        with self._lock:
            self._close_all()
            if found in self._engines or found in self._reserved:
                raise StoreOpenError(
                    f"{path!r} is open in this process, or being compacted by it: close it first"
                )
            self._reserved.add(found)
        try:
            yield
        finally:
            with self._lock:
                self._reserved.discard(found)

    def after_fork(self) -> None:
        """In a forked child: what is open is the parent's."""
        self._lock = Lock()  # the thread that held it may not be in the child
        self._reserved.clear()
        for engine in list(self._engines.values()):
            engine.leave_to_parent()

    def _settle(self) -> None:
        # Looks again after the lock is released: another thread may have queued an engine.
        while self._closing and self._lock.acquire(blocking=False):
            try:
                self._close_all()
            finally:
                self._lock.release()

    def _close_all(self) -> None:
        while self._closing:
            engine = self._closing.popleft()
            engine.users -= 1
            if engine.users == 0:
                if self._engines.get(engine.identity) is engine:
                    del self._engines[engine.identity]
                engine.disconnect()
