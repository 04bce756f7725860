"""Who has the write lock of a file: for the error that names the process, and for LMDB's own lock.

Two locks keep writers apart. stones takes the lock of `stones.engines.lmdb.process_lock` first, and
LMDB's lock after it. A program that uses LMDB without stones, or an earlier version of stones,
takes LMDB's lock only.

LMDB's lock is a mutex in lock.mdb. While a thread holds it, its first number has the id of that
thread. That is so with the C library of GNU on Linux, and the system shows there where lock.mdb is
in memory. Elsewhere LMDB's lock always looks free. Then a writer waits for it without a limit.
"""

import os
import platform
import sys
from contextlib import suppress
from typing import Any
from weakref import ref

import lmdb

_MAGIC = 0xBEEFC0DE
_TID = 0x3FFFFFFF
"""The part of the first number of a mutex that is the id of a thread."""
_MUTEX_SIZES = {"x86_64": 40, "aarch64": 48}
"""The size of a mutex in bytes, by the machine."""


class LmdbLock:
    """LMDB's lock of the writers of an open file. Reads it, never takes it.

    `lock_file` is the device and inode of lock.mdb in the directory `path`, where `environment` is
    open. Threads may share it.
    """

    __slots__ = ("_environment", "_words")

    def __init__(
        self, path: str, environment: lmdb.Environment, lock_file: tuple[int, int] | None
    ) -> None:
        # Not a reference that keeps the file open. As long as there is another one, the memory is
        # there.
        self._environment = ref(environment)
        self._words = _words(path, lock_file)

    def holder(self) -> int:
        """The id of the thread that holds the lock; 0 if it is free, or if that is not known."""
        words = self._words
        if words is None:
            return 0
        environment = self._environment()
        if environment is None:
            return 0
        thread: int = words[0] & _TID
        # In another layout of a mutex, the two are not the same.
        return thread if thread and thread == words[2] else 0


def _words(path: str, lock_file: tuple[int, int] | None) -> Any:
    """The first numbers of the mutex, where it is in memory: the lock, a count, the owner."""
    size = _MUTEX_SIZES.get(platform.machine())
    if size is None or lock_file is None or sys.platform != "linux":
        return None
    with suppress(OSError):
        start = _mapped_at(*lock_file, os.path.realpath(os.path.join(path, "lock.mdb")))
        if start is not None:
            from ctypes import c_uint32  # only a writer needs it

            if c_uint32.from_address(start).value == _MAGIC:
                # Two numbers, a transaction, a count and a mutex fill whole lines of 64 bytes.
                return (c_uint32 * 3).from_address(start + (24 + size + 63) // 64 * 64)
    return None


def _mapped_at(device: int, inode: int, path: str) -> int | None:
    """Where in memory this process has mapped the lock.mdb at `path`."""
    number = f"{os.major(device):02x}:{os.minor(device):02x}"
    with open("/proc/self/maps", errors="surrogateescape") as maps:
        for line in maps:
            # 7f00-7f01 rw-s 00000000 08:01 5678   /path/lock.mdb
            words = line.rstrip("\n").split(maxsplit=5)
            if len(words) < 6 or words[4] != str(inode) or "/lock.mdb" not in words[5]:
                continue
            # Files of two file systems may have the same inode. A file system in layers may show
            # another device here than os.stat() does.
            if words[3] == number or words[5] == path:
                return int(words[0].partition("-")[0], 16)
    return None
