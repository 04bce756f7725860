"""Waiting for the writers of other processes, and who they are.

SQLite's own waiting looks again after up to 100 ms, and cannot be interrupted. Here the pauses are
shorter.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep

from stones.engines.processes import described

from .errors import is_locked

OTHER_THREAD = "another thread of this process"
OTHER_PROCESS = "another process"

_SHORTEST, _LONGEST = 0.0001, 0.002
"""Seconds between two looks, at first and at last."""
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
