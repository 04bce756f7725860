"""Opening a connection to the file of a store, and making or checking its tables."""

import os
import sqlite3
from urllib.parse import quote

from stones.engines.lmdb.directory import open_error
from stones.errors import LockTimeoutError, StoreFullError, StoreOpenError

from .errors import code_of, translated
from .statements import APPLICATION_ID, COUNTS, CREATE, LAYOUT, TABLES
from .waiting import until_free

DURABILITY = {"full": "FULL", "lazy": "NORMAL", "none": "OFF"}
"""What `synchronous` of SQLite is for each durability, the strictest first."""

_PATIENCE = 10.0
"""Seconds that a reader waits. SQLite locks readers out while it mends the log after a crash."""


def connect(path: str, *, mode: str, durability: str) -> sqlite3.Connection:
    """A connection to a file, by `mode`: ro, rw, rwc, or immutable. Raises sqlite3.Error."""
    how = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
    connection = sqlite3.connect(
        # An absolute path. It may have any bytes, and `?` among them.
        f"file:{quote(os.fsencode(path))}?{how}",
        uri=True,
        timeout=_PATIENCE,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        for setting in (
            "trusted_schema = OFF",  # the file may be from anybody
            f"synchronous = {DURABILITY[durability]}",
            "fullfsync = ON",  # macOS has a second, stricter way to wait for the disk
            "checkpoint_fullfsync = ON",
            "journal_size_limit = 67108864",  # after a very large transaction, the log shrinks
        ):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens all three files
    except BaseException:
        connection.close()
        raise
    return connection


def mode_for(path: str, *, readonly: bool, create: bool) -> str:
    """The mode in which the file at `path` is opened. Raises StoreOpenError without the rights."""
    if not readonly:
        if os.path.exists(path) and not _may(path, os.W_OK):
            raise StoreOpenError(
                f"permission denied: the store {path!r} cannot be written; open it with "
                "readonly=True"
            )
        return "rwc" if create else "rw"
    # On a read-only file system the file cannot change, and SQLite cannot make PATH-shm.
    still = os.statvfs(path).f_flag & os.ST_RDONLY and not os.path.exists(path + "-wal")
    return "immutable" if still else "ro"


def prepare(
    connection: sqlite3.Connection, path: str, *, create: bool, timeout: float | None
) -> None:
    """Check that the file is a store, or make one in an empty file.

    Raises StoreOpenError for a file of something else, or of a later version. Nothing is written
    then. With `create=False`, also for an empty file.
    """

    def make() -> None:
        connection.execute("BEGIN IMMEDIATE")
        if not is_store(connection, path):  # another process may have been quicker
            for statement in CREATE:
                connection.execute(statement)
        connection.execute("COMMIT")

    def write_ahead() -> None:
        found = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if found != "wal":
            raise StoreOpenError(
                f"SQLite cannot share memory between processes for {path!r}, as on some network "
                "file systems: put the store on a local disk"
            )

    try:
        # One state of the file: without a transaction, another process could make the store between
        # two of the reads, and it would look like a file of something else.
        connection.execute("BEGIN")
        found = is_store(connection, path)
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")
    if found:
        return
    if not create:
        raise StoreOpenError(f"there is no store at {path!r}: the file is empty")
    try:
        if not (until_free(write_ahead, timeout) and until_free(make, timeout)):
            raise LockTimeoutError(
                f"the store {path!r} could not be made: another process has locked its file for "
                f"more than {timeout:g} s"
            )
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_store(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the file is a store; False if there is nothing in it.

    Raises StoreOpenError for a file of something else, or of a later version.
    """
    application, layout = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    there = dict(connection.execute("SELECT name, type FROM sqlite_master").fetchall())
    if application == APPLICATION_ID:
        if layout > LAYOUT:
            raise StoreOpenError(
                f"the store {path!r} was written by a later version of stones: its layout is "
                f"{layout}, this version knows {LAYOUT}; install that version"
            )
        # A trigger would run with each write.
        plain = {*there.values()} <= {"table", "index"}
        if plain and {*TABLES, COUNTS} <= there.keys():
            return True
        raise StoreOpenError(
            f"the store {path!r} has not the tables of a store: it is damaged, or another program "
            "has changed it; restore a backup"
        )
    if application or layout or there:
        found = f"it has {min(there)!r:.80}" if there else "another program has marked it"
        raise StoreOpenError(
            f"{path!r} is a SQLite file of something else, and not a store: {found}. Name another "
            "file"
        )
    return False


def opening_error(error: sqlite3.Error, path: str) -> Exception:
    """The error of stones for an error of SQLite while it opens the store at `path`."""
    code = code_of(error)
    if code == sqlite3.SQLITE_NOTADB:
        return StoreOpenError(f"{path!r} is no SQLite file, and not a store: name another file")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        folder = os.path.dirname(path)
        if os.path.exists(path) and not _may(path, os.R_OK):
            return open_error(path, PermissionError(13, os.strerror(13)))
        if not _may(folder, os.W_OK):
            return StoreOpenError(
                f"permission denied: cannot open the store {path!r}: SQLite makes two more files "
                f"beside it, and {folder!r} cannot be written; allow that, or copy the store"
            )
    translation = translated(error, path)
    if isinstance(translation, StoreFullError | LockTimeoutError):
        return translation
    return StoreOpenError(f"cannot open the store {path!r}: {error}")


def _may(path: str, access: int) -> bool:
    """Whether this process has a right to a file, by the user that it acts for now."""
    return os.access(path, access, effective_ids=os.access in os.supports_effective_ids)
