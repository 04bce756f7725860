"""The directory of a store: is a store in it, can one be made there, and removing it.

A store is a directory with the file data.mdb, and lock.mdb beside it, which LMDB keeps.
"""

import errno
import os
from contextlib import suppress
from stat import S_ISDIR, S_ISREG
from time import time

from stones.errors import StorageError, StoreOpenError

from .other_kinds import suggested_url

MAKING = ".new-"
"""The beginning of the name of a directory in which a new data file is made."""
COMPACTING = ".compacting"
"""The directory in which `compact` makes the new data file. A killed one leaves it."""


def path_of(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """The path as a str, as `os.fsdecode` makes it: a byte that is not UTF-8 is a lone surrogate.

    Raises StoreOpenError if it is no path, is empty, has a NUL, or is text that no path can have.
    Also if it is relative, and the current directory has been removed.
    """
    try:
        text = str.__str__(os.fsdecode(path))  # the repr of a subclass may be anything
        encoded = os.fsencode(text)
    except TypeError as error:
        kind = type(path).__name__
        raise StoreOpenError(
            f"the path of a store is a str or a Path, or bytes, not of type {kind}"
        ) from error
    except UnicodeError as error:
        raise StoreOpenError(f"the path of a store cannot be {str(path)!r:.80}: {error}") from error
    if not encoded or b"\0" in encoded:
        raise StoreOpenError(
            f"the path of a store is a str or a Path, not empty and without a NUL: not {text!r}"
        )
    try:
        os.path.abspath(text)
    except OSError as error:  # the path is relative, and the current directory has been removed
        raise open_error(text, error) from error
    return text


def open_error(path: str, error: Exception) -> StoreOpenError:
    """The error for a failure of the system or of LMDB to open the store at `path`."""
    code = error.errno if isinstance(error, OSError) else getattr(error, "code", None)
    what = "cannot open the store"
    if code in (errno.EACCES, errno.EPERM):
        what = "permission denied: cannot open the store"
    shown, reason = repr(path), str(error)
    if code == errno.ENAMETOOLONG:
        shown, reason = (
            f"{path[:40]!r}...",
            f"{os.strerror(errno.ENAMETOOLONG)}, {len(path):,} characters",
        )
    return StoreOpenError(f"{what} {shown}: {reason}")


def identity(path: str, name: str = "data.mdb") -> tuple[int, int] | None:
    """Device and inode of the data file in a directory; None if there is no data file yet.

    They are the same, whatever path leads to the file. `name` may be another file than data.mdb.
    """
    try:
        found = os.stat(os.path.join(path, name))
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_place(path: str, *, create: bool) -> None:
    """Raise StoreOpenError if no store can be at `path`.

    With `create=False`, also if there is no store yet.
    """
    kind = _mode(path, path)
    if kind is None:
        if not create:
            raise _no_store(path)
        if os.path.islink(path):
            raise StoreOpenError(f"{path!r} is a link that leads nowhere: name a directory")
        if _mode(os.path.dirname(path), path) is None:
            raise StoreOpenError(
                f"cannot make the store {path!r}: the directory above it is not there"
            )
        return
    if not S_ISDIR(kind):
        raise StoreOpenError(
            f"{path!r} is a file: an LMDB store is a directory, with the file data.mdb in it"
            f"{suggested_url(path)}"
        )
    kind = _mode(os.path.join(path, "data.mdb"), path)
    if kind is None and not create:
        raise _no_store(path)
    if kind is not None and not S_ISREG(kind):
        raise StoreOpenError(f"the data.mdb in {path!r} is no file: move it away")


def _no_store(path: str) -> StoreOpenError:
    return StoreOpenError(f"there is no store at {path!r}{suggested_url(path)}")


def _mode(place: str, path: str) -> int | None:
    """What is at `place`, as in `os.stat`, or None if there is nothing.

    Raises StoreOpenError for the store at `path` if the system does not tell.
    """
    try:
        return os.stat(place).st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise open_error(path, error) from error


def check_vacant(path: str) -> None:
    """Raise StoreOpenError if there is anything at `path` but an empty directory."""
    kind = _mode(path, path)
    if kind is None and os.path.islink(path):
        raise StoreOpenError(f"{path!r} is a link that leads nowhere: name a new directory")
    try:
        if kind is not None and (not S_ISDIR(kind) or os.listdir(path)):
            raise StoreOpenError(f"{path!r} is there already: name a new or an empty directory")
    except PermissionError as error:
        raise open_error(path, error) from error


def can_lock(path: str) -> bool:
    """Whether this process can register its readers in lock.mdb, so that writers know of them."""
    lock = os.path.join(path, "lock.mdb")
    return os.access(lock, os.W_OK) if os.path.exists(lock) else os.access(path, os.W_OK)


def remove_files(path: str) -> None:
    """Delete the files of a store, and the directory if nothing else is in it.

    Raises StorageError if the files or the directory cannot be removed.
    """
    try:
        for name in ("data.mdb", "lock.mdb"):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(path, name))
        sweep(path, age=0)
        _remove_directory(os.path.join(path, COMPACTING))
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
                _remove_directory(left)


def _remove_directory(path: str) -> None:
    """Remove a directory with all that is in it, as far as that is possible."""
    from shutil import rmtree  # it takes 2 ms to load, and an open store needs none of it

    rmtree(path, ignore_errors=True)


def sync(path: str) -> None:
    """Wait until a file or a directory is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
