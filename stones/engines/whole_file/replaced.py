"""Writing files so that they are there whole or not at all: beside their place, then renamed."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from stat import S_IMODE
from time import time_ns

from stones.errors import StorageError, StoreFullError

NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""The error codes of the system for a disk without room."""
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_beside(path: str, data: bytes, earlier: os.stat_result | None, durable: bool) -> None:
    """Write a new file at `path`, with the rights and the owner of the file that it replaces.

    A file that is at `path` is left over from a killed process, and is removed. Raises OSError; no
    file is left then.
    """
    with suppress(FileNotFoundError):
        os.unlink(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    mode = 0o666 if earlier is None else 0o600
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), mode)
    try:
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            if earlier is not None:
                keep_rights(path, earlier)
            finish_file(path, descriptor, earlier, durable)
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise


def keep_rights(path: str, earlier: os.stat_result) -> None:
    """Give a new file the rights of the file that it replaces, and its owner if that is allowed."""
    now = os.stat(path)
    if (now.st_uid, now.st_gid) != (earlier.st_uid, earlier.st_gid) and hasattr(os, "chown"):
        with suppress(OSError):  # only root may give files away
            os.chown(path, earlier.st_uid, earlier.st_gid)
    os.chmod(path, S_IMODE(earlier.st_mode))


def finish_file(path: str, descriptor: int, earlier: os.stat_result | None, durable: bool) -> None:
    """Give a new file a time of its own, and wait for the disk if it is to be durable."""
    # The clock of a file system may have steps of some milliseconds, and an inode is used again. So
    # two files in a row could look the same to whoever compares only that.
    after = 0 if earlier is None else earlier.st_mtime_ns + 1
    time = max(time_ns(), after)
    os.utime(path, ns=(time, time))
    if durable:
        os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Wait until the names in a folder have reached the disk, where the system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not on this file system
            raise
    finally:
        os.close(descriptor)


def sync_files(paths: Iterable[str]) -> None:
    """Wait until these files, and their names, have reached the disk."""
    folders = set()
    for path in paths:
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folders.add(os.path.dirname(path))
    for folder in folders:
        sync_folder(folder)


def write_error(path: str, error: OSError) -> StorageError:
    """The error of stones for a failure of the system to write the store at `path`."""
    if error.errno in NO_ROOM:
        return StoreFullError(f"no room for more in {path!r}: {error}; nothing was changed")
    hint = ""
    if error.errno == errno.ENOENT and not os.path.isdir(os.path.dirname(path)):
        hint = "; the directory above it is not there"
    if error.errno in _REFUSED:
        hint = (
            "; the file and its folder have to be writable, since each commit writes a new file "
            "beside it: to read only, open it with readonly=True"
        )
    return StorageError(f"{path!r} cannot be written: {error}; nothing was changed{hint}")
