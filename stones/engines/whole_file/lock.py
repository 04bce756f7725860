"""The lock of the writers of all processes: a lock on a file of its own, `NAME.lock`.

The system gives the lock back when its process ends, in whatever way. The file stays, and holds the
number of the process that locked it last. On Linux and macOS it is flock(), on Windows the lock of
the first byte.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident
from time import monotonic, sleep

from stones.engines.processes import described
from stones.errors import TransactionError

OTHER_THREAD = "another thread of this process"

_SHORTEST, _LONGEST = 0.0001, 0.002
"""Seconds between two looks, at first and at last."""
_BREAK_AFTER, _BREAK = 0.1, 0.0025
"""A process that writes for so many seconds without a break lets others have their turn."""

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

    def _lock(descriptor: int) -> None:
        flock(descriptor, LOCK_EX | LOCK_NB)

    def _unlock(descriptor: int) -> None:
        flock(descriptor, LOCK_UN)


class FileLock:
    """The lock of the writers of one place. One thread at a time may wait for it or hold it.

    `path` gives the path of the lock file, each time that the lock is taken.
    """

    __slots__ = ("_busy_since", "_descriptor", "_identity", "_path", "_released")

    def __init__(self, path: Callable[[], str]) -> None:
        self._path = path
        self._descriptor = -1
        self._identity = (0, 0)
        self._released = self._busy_since = 0.0

    def acquire(self, timeout: float | None) -> bool:
        """Wait for the lock, at most `timeout` seconds, without a limit for None. Is it held now?

        Raises OSError if the lock file cannot be made, TransactionError if this thread has the lock
        by another opening of the same file: it would wait for itself.
        """
        self._take_break()
        until = None if timeout is None else monotonic() + timeout
        pause = _SHORTEST
        while not self._try(self._path()):
            if until is not None and monotonic() >= until:
                return False
            sleep(pause if until is None else min(pause, max(until - monotonic(), 0)))
            pause = min(pause * 1.5, _LONGEST)
        return True

    def release(self) -> None:
        """Let go of the lock. Without effect if it is not held."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _threads.pop(self._identity, None)
            with suppress(OSError):  # closing it is enough, unless a child has it open
                _unlock(descriptor)
            os.close(descriptor)
            self._released = monotonic()

    def leave_to_parent(self) -> None:
        """In a forked child: let go of the file, but not of the lock, which is the parent's."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _threads.pop(self._identity, None)
            os.close(descriptor)

    def holder(self) -> str:
        """Who holds the lock, in words."""
        with suppress(OSError, ValueError), open(self._path(), "rb") as file:
            process = int(file.read(20))
            return OTHER_THREAD if process == os.getpid() else described(process)
        return "another process"

    def _take_break(self) -> None:
        # A waiting process looks every few milliseconds. Without a break it would seldom look in
        # the short time between two commits.
        now = monotonic()
        if now - self._released > _BREAK:
            self._busy_since = now
        elif now - self._busy_since > _BREAK_AFTER:
            sleep(_BREAK)
            self._busy_since = monotonic()

    def _try(self, path: str) -> bool:
        descriptor = _opened(path)
        try:
            try:
                _lock(descriptor)
            except OSError:
                found = os.fstat(descriptor)
                if _threads.get((found.st_dev, found.st_ino)) == get_ident():
                    raise TransactionError(
                        "this thread has a transaction open on the same file, in another store: "
                        "end that one first, or use one store for both"
                    ) from None
                os.close(descriptor)
                return False
            found = os.fstat(descriptor)
            identity = found.st_dev, found.st_ino
            if not _is_at(path, identity):  # destroy() has removed it meanwhile
                os.close(descriptor)
                return False
            with suppress(OSError):  # the number is for messages only
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, b"%-20d" % os.getpid())
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise
        self._descriptor, self._identity = descriptor, identity
        _threads[identity] = get_ident()
        return True


def _opened(path: str) -> int:
    """The lock file, which is made if it is not there. Raises OSError."""
    more = getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | more, 0o666)
    except PermissionError:  # another user has made it
        return os.open(path, os.O_RDONLY | more)


def _is_at(path: str, identity: tuple[int, int]) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == identity


_threads: dict[tuple[int, int], int] = {}
"""The thread of this process that holds each lock, by the device and inode of the lock file."""
