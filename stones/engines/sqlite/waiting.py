"""Waiting for the writers of other processes, and who they are.

SQLite's own waiting looks again after up to 100 ms, and cannot be interrupted. Here the pauses are
shorter. A process that writes without a break would still take the lock again and again, and the
others would never find it free. So a process that waits has a shared lock of the directory (flock).
A process that writes without a break looks for that lock every few milliseconds, and makes a pause
if it is there. It is a hint only: no program waits for it. Two stores in one directory make a few
pauses too many.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from time import monotonic, sleep

from stones.engines.processes import described

from .errors import is_locked

OTHER_THREAD = "another thread of this process"
OTHER_PROCESS = "another process"

_SHORTEST, _LONGEST = 0.0001, 0.002
"""Seconds between two looks, at first and at last."""
_BREAK = 0.005
"""Seconds after which whoever writes without a break looks for those who wait."""
_PAUSE = 0.003
"""Seconds in which each of those who wait looks once."""
_WRITER_LOCK = "120"
"""The byte of PATH-shm that a writer locks. It is part of SQLite's file format, section 2.3.1."""


def until_free(action: Callable[[], object], timeout: float | None) -> bool:
    """Run `action` again and again while another connection has the lock that it needs.

    Waits at most `timeout` seconds, without a limit for None. Has it run? Raises sqlite3.Error.
    """
    until = None if timeout is None else monotonic() + timeout
    pause = _SHORTEST
    while True:
        try:
            action()
        except sqlite3.OperationalError as error:
            if not is_locked(error):
                raise
        else:
            return True
        if until is not None and monotonic() >= until:
            return False
        sleep(pause if until is None else min(pause, max(until - monotonic(), 0)))
        pause = min(pause * 1.5, _LONGEST)


def writer_of(shared: str, otherwise: str) -> str:
    """Who has the writers' lock of the store with the file `shared`, in words.

    `shared` is PATH-shm. Gives `otherwise` if the system does not tell.
    """
    with suppress(OSError, ValueError, IndexError), open("/proc/locks") as locks:
        inode = str(os.stat(shared).st_ino)
        for line in locks:
            # 1: POSIX  ADVISORY  WRITE 7013 fe:01:123456 120 120
            words = line.split()
            if words[1] == "POSIX" and words[-3].rpartition(":")[2] == inode:
                if words[-2:] != [_WRITER_LOCK] * 2 or int(words[-4]) <= 0:
                    continue
                process = int(words[-4])
                return OTHER_THREAD if process == os.getpid() else described(process)
    return otherwise


class Turns:
    """Who waits to write to the stores of a directory. For one thread at a time.

    A forked child needs another object.
    """

    __slots__ = ("_began", "_descriptor", "_last")

    def __init__(self, directory: str) -> None:
        self._descriptor = -1
        self._began = self._last = 0.0
        with suppress(OSError):
            self._descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def give_way(self) -> None:
        """Before a write: make a pause if others wait and this process writes without a break."""
        now = monotonic()
        has_paused, self._last = now - self._last > _PAUSE, now
        if has_paused or now - self._began < _BREAK:
            if has_paused:
                self._began = now
            return
        self._began = now
        try:
            flock(self._descriptor, LOCK_EX | LOCK_NB)
        except OSError:
            sleep(_PAUSE)
        else:
            flock(self._descriptor, LOCK_UN)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """This process waits until the block ends."""
        try:
            with suppress(OSError):
                flock(self._descriptor, LOCK_SH | LOCK_NB)
            yield
        finally:
            with suppress(OSError):
                flock(self._descriptor, LOCK_UN)
