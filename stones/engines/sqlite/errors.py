"""The errors of SQLite as errors of stones: what was wrong, in which store, and what to do."""

import os
import sqlite3

from stones.engines.full_disk import is_full
from stones.errors import (
    LockTimeoutError,
    ReadOnlyError,
    StoneError,
    StorageError,
    StoreFullError,
    TransactionError,
)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def code_of(error: sqlite3.Error) -> int:
    """The primary result code of SQLite; 0 for an error of the module `sqlite3` itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another connection has a lock. Later it may be free."""
    return code_of(error) in _LOCKED


def translated(error: sqlite3.Error, path: str) -> StoneError:
    """The error of stones for an error of SQLite on the store at `path`."""
    code = code_of(error)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return StoreFullError(f"no room for more in {path!r}: {error}; nothing was changed")
    if code in _DAMAGED:
        return StorageError(
            f"the file of the store {path!r} is damaged: {error}. `stones check sqlite:PATH` says "
            "what can be read; restore a backup, or try the command .recover of sqlite3"
        )
    if code in _LOCKED:
        return LockTimeoutError(
            f"another program has locked the file of the store {path!r}: {error}; nothing was "
            "written. Try again, or end that program"
        )
    if code == sqlite3.SQLITE_READONLY:
        return ReadOnlyError(f"the file of the store {path!r} cannot be written: {error}")
    if code == sqlite3.SQLITE_TOOBIG:
        return StorageError(f"a value is larger than SQLite can store in {path!r}: {error}")
    if code == 0 and isinstance(error, sqlite3.ProgrammingError):  # a closed cursor
        return TransactionError(f"the transaction on {path!r} has ended: {error}")
    return StorageError(f"SQLite failed on {path!r}: {error}")


def _is_full(path: str) -> bool:
    # A commit writes to the log, and so does a transaction that is larger than the memory for it.
    log = os.path.realpath(path) + "-wal"
    return is_full(path) or (os.path.exists(log) and is_full(log))
