"""The directory of a LevelDB store: is a database in it, can one be made there, and removing it.

LevelDB itself writes into any directory that it is told to open. So the directory is looked at
first.
"""

import os
import re

import plyvel

from stones.engines.lmdb.directory import open_error
from stones.errors import StorageError, StoreFullError, StoreOpenError

_UNFINISHED = re.compile(r"LOCK|LOG(\.old)?|MANIFEST-\d+|\d+\.dbtmp")
"""What a process leaves that is killed while it makes a database. CURRENT comes last."""


def check_place(path: str, *, create: bool) -> None:
    """Raise StoreOpenError unless there is a LevelDB database at `path`, or one can be made there.

    With `create=False`, also if there is no database yet. Writes nothing.
    """
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        if not create:
            raise StoreOpenError(f"there is no store at {path!r}") from None
        if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise StoreOpenError(
                f"cannot make the store {path!r}: the directory above it is not there"
            ) from None
        return
    except NotADirectoryError:
        raise StoreOpenError(f"{path!r} is a file: a LevelDB store is a directory") from None
    except OSError as error:
        raise open_error(path, error) from error
    if "CURRENT" in names and "IDENTITY" not in names:
        return
    if "IDENTITY" in names:
        raise StoreOpenError(f"{path!r} is a database of RocksDB, not of LevelDB: name another one")
    foreign = [name for name in names if not _UNFINISHED.fullmatch(name)]
    if foreign:
        raise StoreOpenError(
            f"{path!r} is no LevelDB database: there is no file CURRENT, but {min(foreign)!r}; "
            "name a new or an empty directory"
        )
    if not create:
        raise StoreOpenError(f"there is no store at {path!r}")


def opened(path: str, *, create: bool) -> plyvel.DB:
    """The database at `path`, made where it is not there yet.

    Raises StoreOpenError if it cannot be opened, StoreFullError if the disk has no room for it.
    """
    check_place(path, create=create)
    try:
        return plyvel.DB(
            path,
            create_if_missing=create,
            paranoid_checks=True,  # or damage at the end of the log would silently lose writes
            bloom_filter_bits=10,  # a commit asks for keys that are not there, to count them
        )
    except plyvel.Error as error:
        text = text_of(error)
        if "already held by process" in text:  # opened before a fork, or by code of others
            raise StoreOpenError(
                f"{path!r} is open in the process that this one was forked from, or by LevelDB "
                "without stones: LevelDB serves one process. Close it there and start a new "
                "process, or take LMDB"
            ) from error
        if "/LOCK" in text and ("unavailable" in text or "denied" in text):
            raise StoreOpenError(
                f"{path!r} is open in another process: LevelDB serves one process at a time. Close "
                "it there, or take LMDB, which any number of processes may open"
            ) from error
        if isinstance(error, plyvel.CorruptionError) or "missing" in text.lower():
            raise StoreOpenError(
                f"the LevelDB database {path!r} is damaged: {text}; restore it from a backup, or "
                "try plyvel.repair_db() on a copy of it"
            ) from error
        problem = f"cannot open the store {path!r}: {text}"
        raise (full_error(path, text) or StoreOpenError(problem)) from error


def full_error(path: str, text: str) -> StoreFullError | None:
    """The error for what LevelDB says of a disk without room; None if it says something else."""
    if "No space left" not in text and "quota" not in text and "too large" not in text:
        return None
    return StoreFullError(
        f"no room for more in {path!r}: {text}; nothing was changed; "
        "make room, and open the store again if it still refuses to write"
    )


def log_files(path: str) -> dict[str, int]:
    """The sizes of the files in a database that hold what is in no table yet, by their names."""
    with os.scandir(path) as files:
        return {file.name: file.stat().st_size for file in files if file.name.endswith(".log")}


def text_of(error: plyvel.Error) -> str:
    """What LevelDB says of an error."""
    found = error.args[0] if error.args else ""
    return os.fsdecode(found) if isinstance(found, bytes) else str(found)


def remove(path: str) -> None:
    """Delete the database at `path`, and the directory if nothing else is in it.

    Raises StorageError if it is open in another process, or cannot be removed.
    """
    try:
        plyvel.destroy_db(path)
    except plyvel.Error as error:
        raise StorageError(f"cannot remove {path!r}: {text_of(error)}") from error
