"""Keeps all other programs away from the files of a store, while its data file is replaced.

Each process that has an LMDB file open holds a shared lock on the first byte of lock.mdb. An
exclusive lock on that byte proves that no process has the file open. But it is not enough to keep
others from opening the file. LMDB would wait for the lock, and then trust what it finds: the
read-only kind has opened the old data file by then, and the other kind takes lock.mdb for valid.

So there is a second lock, on the data file itself (flock). `opened` holds it shared while LMDB
opens the file, `sole_use` holds it exclusively. Whoever waits for it in `opened` looks again which
file is in its place, and only then lets LMDB open that. A program that opens the file by LMDB alone
does not know of this lock. It waits for the first lock, finds that lock.mdb is not valid, and gets
an error, until the next program has opened the file.

The system gives up both locks when the process ends, however it ends.
"""

import fcntl
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic, sleep

import lmdb

from stones.errors import StorageError, StoreOpenError

PATIENCE = 60.0
"""Seconds that an opening waits for the end of a compaction."""
_PATIENCE_WITH_OPENINGS = 5.0
"""Seconds that a compaction waits for an opening, which takes some milliseconds."""
_PAUSE = 0.005

_FLOCK = struct.Struct("hhqqi")
"""`struct flock` of Linux: type, whence, start, length, pid."""
_BY_FILE = sys.platform == "linux" and hasattr(fcntl, "F_OFD_SETLK")
"""Whether a lock may belong to a descriptor instead of the process.

Then another descriptor for lock.mdb may be closed in this process without giving up the lock.
"""
_MAGIC_SIZE = 8
"""The bytes at the beginning of lock.mdb by which LMDB knows that it is valid."""


def opened(path: str, open_environment: Callable[[], lmdb.Environment]) -> lmdb.Environment:
    """What `open_environment` gives: LMDB opens the files in the directory `path`.

    No compaction begins while LMDB opens the files. Waits for the end of one that has begun.
    Raises StoreOpenError if that takes long.
    """
    until = None
    was_blank = True
    while True:
        descriptor = _shared(os.path.join(path, "data.mdb"), path)
        try:
            return open_environment()
        except lmdb.InvalidError:
            # If a compaction is killed, the system gives up its two locks in any order. Programs
            # that got in between them have found a lock.mdb that is not valid. All of them try
            # again, until one of them is alone and LMDB makes lock.mdb anew.
            until = until or monotonic() + _PATIENCE_WITH_OPENINGS
            if not was_blank or monotonic() >= until:
                raise
            was_blank = _has_blank_lock(path)  # if not now, it may have been at the attempt
        finally:
            if descriptor is not None:
                _release(descriptor)
        from random import uniform  # loaded for a store that is in use only

        sleep(uniform(_PAUSE / 5, _PAUSE))


@contextmanager
def sole_use(path: str) -> Iterator[Callable[[str], None]]:
    """Keeps other processes from opening the files in the directory `path`, until the block ends.

    Gives a function that locks another data file in the same way. Call it before that file takes
    the place of the present one.

    Raises StoreOpenError where a process has the file open, StorageError where the file system has
    no locks, OSError where the files cannot be opened for writing.
    """
    with ExitStack() as held, ExitStack() as held_shorter:

        def lock_file(name: str) -> None:
            held.callback(_release, _exclusive(name, path))

        # The lock on lock.mdb ends before the other ones, or else an opening could wait for it.
        lock = os.open(os.path.join(path, "lock.mdb"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        held_shorter.callback(os.close, lock)
        lock_file(os.path.join(path, "data.mdb"))
        _lock_first_byte(lock, path)
        held_shorter.callback(_unlock_first_byte, lock)
        # The next program that opens the file makes lock.mdb anew.
        if os.fstat(lock).st_size >= _MAGIC_SIZE:
            os.pwrite(lock, bytes(_MAGIC_SIZE), 0)
        yield lock_file


def _shared(data: str, path: str) -> int | None:
    """A descriptor with a shared lock of the file that is at `data` now. None: there is no lock."""
    try:
        return _locked(data, path, os.O_RDONLY, fcntl.LOCK_SH, PATIENCE)
    except BlockingIOError:
        raise StoreOpenError(
            f"{path!r} is being compacted by another process: open it when that has ended"
        ) from None
    except OSError:
        # There is no file yet, or LMDB's error will say why it cannot be opened. Or the file system
        # has no such locks: compact() refuses to work there.
        return None


def _exclusive(data: str, path: str) -> int:
    """A descriptor with an exclusive lock of the file at `data`."""
    try:
        return _locked(data, path, os.O_RDWR, fcntl.LOCK_EX, _PATIENCE_WITH_OPENINGS)
    except BlockingIOError:
        raise StoreOpenError(
            f"{path!r} is being opened or compacted by another process: wait until that has ended"
        ) from None


def _locked(data: str, path: str, mode: int, lock: int, patience: float) -> int:
    """A descriptor with a lock of the file that is at `data` now.

    Raises BlockingIOError after `patience` seconds, StorageError where the file system has no
    locks, OSError where the file cannot be opened.
    """
    until = monotonic() + patience
    while True:
        descriptor = os.open(data, mode | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
            if _is_at(data, descriptor):
                return descriptor
        except BlockingIOError:
            if monotonic() >= until:
                os.close(descriptor)
                raise
            sleep(_PAUSE)
        except OSError as error:
            os.close(descriptor)
            raise _no_locks(path, error) from error
        os.close(descriptor)


def _has_blank_lock(path: str) -> bool:
    """Whether lock.mdb is as `sole_use` leaves it."""
    try:
        with open(os.path.join(path, "lock.mdb"), "rb") as lock:
            return lock.read(_MAGIC_SIZE) == bytes(_MAGIC_SIZE)
    except OSError:
        return False


def _is_at(data: str, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(data), os.fstat(descriptor))
    return False


def _release(descriptor: int) -> None:
    # Closing is not enough if a child of a fork has inherited the descriptor.
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _lock_first_byte(lock: int, path: str) -> None:
    try:
        if _BY_FILE:
            wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
            fcntl.fcntl(lock, fcntl.F_OFD_SETLK, wanted)
        else:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
    except (BlockingIOError, PermissionError):
        raise StoreOpenError(
            f"{path!r} is open in {_holder(lock)}: close it there, and compact it then"
        ) from None
    except OSError as error:
        raise _no_locks(path, error) from error


def _unlock_first_byte(lock: int) -> None:
    if _BY_FILE:
        fcntl.fcntl(lock, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 1, 0))


def _holder(lock: int) -> str:
    """The process that holds the lock, in words, as far as the system names it."""
    pid = 0
    if _BY_FILE:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        with suppress(OSError):
            pid = _FLOCK.unpack(fcntl.fcntl(lock, fcntl.F_OFD_GETLK, asked)[: _FLOCK.size])[-1]
    if pid == os.getpid():
        return "this process"
    return f"the process {pid}" if pid > 0 else "another process"


def _no_locks(path: str, error: OSError) -> StorageError:
    return StorageError(
        f"cannot compact {path!r}: the file system does not lock files ({error}), so other "
        "programs might use the store at the same time; make a backup, and put it in its place"
    )
