"""Gives the free pages of the file of a store back to the disk."""

import os
import sqlite3

from stones.errors import LockTimeoutError, StoreOpenError

from .errors import translated
from .opening import connect, is_store, mode_for, opening_error
from .waiting import until_free

_TIMEOUT = 60.0
"""Seconds that it waits for programs that write, as a write does by default."""


def compact(path: str) -> tuple[int, int]:
    """Write the file at `path` anew, without free pages. Its bytes before and after, with its log.

    Other programs may have the store open. Writers wait meanwhile. The disk needs room for two more
    files. Raises StoreOpenError if there is no store, LockTimeoutError where other programs write
    all the time, and StorageError.
    """
    if not os.path.exists(path):
        raise StoreOpenError(f"there is no store at {path!r}")
    try:
        connection = connect(
            path, mode=mode_for(path, readonly=False, create=False), durability="full"
        )
    except sqlite3.Error as error:
        raise opening_error(error, path) from error
    try:
        if not is_store(connection, path):
            raise StoreOpenError(f"there is no store at {path!r}: the file is empty")
        connection.execute("PRAGMA busy_timeout = 0")
        before = _size(path)
        if not until_free(lambda: connection.execute("VACUUM"), _TIMEOUT):
            raise LockTimeoutError(
                f"another program has written to {path!r} for more than {_TIMEOUT:g} s: nothing "
                "was changed; try again"
            )
        # The new pages are in the log. While somebody reads, they come into the file later.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return before, _size(path)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()


def _size(path: str) -> int:
    return sum(os.path.getsize(name) for name in (path, f"{path}-wal") if os.path.exists(name))
