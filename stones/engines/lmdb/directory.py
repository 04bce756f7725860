"""The directory of a store: is a store in it, can one be made there, and removing it.

A store is a directory with the file data.mdb, and lock.mdb beside it, which LMDB keeps.
"""

import errno
import os
import shutil
from contextlib import suppress
from time import time

from stones.errors import StorageError, StoreOpenError

MAKING = ".new-"
"""The beginning of the name of a directory in which a new data file is made."""


def identity(path: str) -> tuple[int, int] | None:
    """Device and inode of the data file in a directory; None if there is no data file yet.

    They are the same, whatever path leads to the file.
    """
    try:
        found = os.stat(os.path.join(path, "data.mdb"))
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_place(path: str, *, create: bool) -> None:
    """Raise StoreOpenError if no store can be at `path`.

    With `create=False`, also if there is no store yet.
    """
    if os.path.isfile(path):
        raise StoreOpenError(
            f"{path!r} is a file: an LMDB store is a directory, with the file data.mdb in it"
        )
    if not create and not os.path.isfile(os.path.join(path, "data.mdb")):
        raise StoreOpenError(f"there is no store at {path!r}")
    if not os.path.isdir(os.path.dirname(path)):
        raise StoreOpenError(f"cannot make the store {path!r}: the directory above it is not there")


def check_vacant(path: str) -> None:
    """Raise StoreOpenError if there is anything at `path` but an empty directory."""
    if not path or "\0" in path:
        raise StoreOpenError(f"the path of a new store is not empty and has no NUL: {path!r}")
    if os.path.islink(path) and not os.path.exists(path):
        raise StoreOpenError(f"{path!r} is a link that leads nowhere: name a new directory")
    if os.path.exists(path) and (not os.path.isdir(path) or os.listdir(path)):
        raise StoreOpenError(f"{path!r} is there already: name a new or an empty directory")


def can_lock(path: str) -> bool:
    """Whether this process can register its readers in lock.mdb, so that writers know of them."""
    lock = os.path.join(path, "lock.mdb")
    return os.access(lock, os.W_OK) if os.path.exists(lock) else os.access(path, os.W_OK)


def remove_files(path: str) -> None:
    """Delete the files of a store, and the directory if nothing else is in it.

    Raises StorageError if the directory cannot be removed.
    """
    for name in ("data.mdb", "lock.mdb"):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(path, name))
    sweep(path, age=0)
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise StorageError(f"cannot remove {path!r}: {error}") from error


def sweep(path: str, age: float = 60) -> None:
    """Remove what a killed process has left of a new store, if it is older than `age` seconds."""
    with suppress(FileNotFoundError):  # there is no directory yet, or another process was quicker
        for name in os.listdir(path):
            left = os.path.join(path, name)
            # To make a data file takes some milliseconds.
            if name.startswith(MAKING) and time() - os.stat(left).st_mtime >= age:
                shutil.rmtree(left, ignore_errors=True)


def sync(path: str) -> None:
    """Wait until a file or a directory is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
