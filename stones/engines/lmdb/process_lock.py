"""The lock of the writers of all processes, which a writer takes before LMDB's lock.

LMDB has no limit for waiting for its lock. A writer can give up waiting for this one. It is a lock
of one byte of the data file, of the kind F_OFD_SETLK, which only Linux has. It belongs to the open
file. So it does not end when the process closes another descriptor of that file, and it ends with
the process. On other systems, writers of other processes wait in LMDB, without a limit. flock() is
taken: openings and compactions use it (`stones.engines.lmdb.sole_use`).

A process that waits looks again and again. So that it gets its turn, it first takes a place in the
queue, the lock of another byte. Whoever writes without a break looks at the queue every few
milliseconds, and waits there too if another process has the place.
"""

import os
import struct
from fcntl import F_UNLCK, F_WRLCK, fcntl
from time import monotonic, sleep
from weakref import WeakSet

import lmdb

from stones.engines.processes import described, process_of

from .lock_holder import LmdbLock

try:
    from fcntl import F_OFD_SETLK

    SET_LOCK: int | None = F_OFD_SETLK
except ImportError:
    SET_LOCK = None

OTHER_THREAD = "another thread of this process"
OTHER_PROCESS = "another process"

_SHORTEST, _LONGEST = 0.0001, 0.002
"""Seconds between two looks, at first and at last."""
_BREAK = 0.005
"""Seconds after which a process that writes without a break looks at the queue."""


def _byte(kind: int, place: int) -> bytes:
    """`struct flock` of Linux for one byte: type, whence, start, length, pid."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, place, 1, 0)


# Far behind the end of any file.
_WRITER, _QUEUE = (1 << 62) - 1, (1 << 62) - 2
_TAKE, _LEAVE = _byte(F_WRLCK, _WRITER), _byte(F_UNLCK, _WRITER)
_TAKE_PLACE, _LEAVE_PLACE = _byte(F_WRLCK, _QUEUE), _byte(F_UNLCK, _QUEUE)
_LEAVE_BOTH = struct.pack("hhqqi4x", F_UNLCK, os.SEEK_SET, _QUEUE, 2, 0)


class ProcessLock:
    """The lock of the writers of the store in the directory `path`.

    `environment` is open on its file, and `lock_file` is the device and inode of lock.mdb. One
    thread at a time uses it: the thread that holds the lock of `stones.engines.lmdb.writer_lock`.
    Raises OSError.
    """

    __slots__ = ("__weakref__", "_descriptor", "_foreign", "_look_at_queue", "_path")

    def __init__(
        self, path: str, environment: lmdb.Environment, lock_file: tuple[int, int] | None
    ) -> None:
        self._descriptor = -1
        self._path = path
        self._foreign = LmdbLock(path, environment, lock_file)
        self._look_at_queue = 0.0
        # Not closed by whoever is done with it: another thread may be about to lock its number,
        # which would be another file by then.
        self._descriptor = os.open(os.path.join(path, "data.mdb"), os.O_RDWR | os.O_CLOEXEC)
        _all.add(self)

    def __del__(self) -> None:
        self.leave_to_parent()

    def follow(self, environment: lmdb.Environment, lock_file: tuple[int, int] | None) -> None:
        """The file was opened anew, in another environment."""
        self._foreign = LmdbLock(self._path, environment, lock_file)

    def acquire(self, timeout: float | None) -> bool:
        """Wait for the lock, at most `timeout` seconds, without a limit for None. Is it held now?

        It counts as held by another program too if that has LMDB's lock only.
        """
        if monotonic() < self._look_at_queue and SET_LOCK is not None:
            try:  # as _locked(), without its call
                fcntl(self._descriptor, SET_LOCK, _TAKE)
                if not self._foreign.holder():
                    return True
            except (BlockingIOError, PermissionError):
                pass
        return self._wait(timeout)

    def release(self) -> None:
        """Let go of the lock. Without effect if it is not held."""
        if SET_LOCK is not None:
            fcntl(self._descriptor, SET_LOCK, _LEAVE)

    def drop(self) -> None:
        """Let go of the lock, and of the place in the queue: after an interrupt of `acquire`."""
        if SET_LOCK is not None:
            fcntl(self._descriptor, SET_LOCK, _LEAVE_BOTH)

    def holder(self, otherwise: str) -> str:
        """Who holds the lock, in words: `otherwise` if the system does not tell."""
        thread = self._foreign.holder()
        process = process_of(thread) if thread else None
        if process is None:
            return otherwise
        return OTHER_THREAD if process == os.getpid() else described(process)

    def leave_to_parent(self) -> None:
        """In a forked child: let go of the file, but not of the lock, which is the parent's.

        The lock ends when all that have the open file have closed it, or when one of them releases
        it. So a child must not keep it open, nor release it.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _wait(self, timeout: float | None) -> bool:
        until = None if timeout is None else monotonic() + timeout
        pause = _SHORTEST
        queued = held = False
        try:
            while True:
                queued = queued or self._locked(_TAKE_PLACE)
                if queued and self._locked(_TAKE) and not self._foreign.holder():
                    held = True
                    return True
                if until is not None and monotonic() >= until:
                    return False
                sleep(pause if until is None else min(pause, max(until - monotonic(), 0)))
                pause = min(pause * 1.5, _LONGEST)
        finally:
            if held:
                self._locked(_LEAVE_PLACE)
            else:
                self.drop()
            self._look_at_queue = monotonic() + _BREAK

    def _locked(self, wanted: bytes) -> bool:
        """Lock or unlock a byte. False if another process has locked it."""
        if SET_LOCK is None:
            return True
        try:
            fcntl(self._descriptor, SET_LOCK, wanted)
        except (BlockingIOError, PermissionError):
            return False
        return True


_all: "WeakSet[ProcessLock]" = WeakSet()


def after_fork() -> None:
    """In a forked child: the open files are the parent's."""
    for lock in list(_all):
        lock.leave_to_parent()
    _all.clear()
