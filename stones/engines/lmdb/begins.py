"""Beginning a transaction on an open file: which locks it waits for, and how it reads.

A write transaction takes three locks: the lock of the threads of this process, the lock of the
processes, and LMDB's own. Only the first two can be given up after a time. A read transaction takes
no lock and waits for nobody.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic

import lmdb

from stones.engine import Space
from stones.errors import LockTimeoutError, ReadOnlyError, StorageError

from .databases import SPACES
from .growth import PATIENCE, Gate
from .open_file import OpenFile
from .page_reader import PageTransaction
from .process_lock import OTHER_PROCESS, OTHER_THREAD
from .transaction import LmdbTransaction
from .unregistered_reader import UnregisteredTransaction
from .writer_lock import WriterLock

READER_CHECK = 1000
"""After so many write transactions, the places of readers that were killed are cleared."""

_TRIES = 10
"""How often to begin while other processes write more than is mapped here."""


class Begins:
    """Begins the transactions of this process on an open file. Safe for threads.

    A forked child needs another object: it cannot use the lock of its parent's threads.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._lock = WriterLock()
        self._writes = 0

    def writing(self, timeout: float | None) -> LmdbTransaction:
        """A write transaction. Waits for other writers, at most `timeout` seconds.

        Raises LockTimeoutError, ReadOnlyError, StoreClosedError, and TransactionError where this
        thread has a write transaction open.
        """
        self.check_writable()
        return self.writing_checked(timeout)

    def writing_checked(self, timeout: float | None) -> LmdbTransaction:
        """As `writing`, for a thread that has just called `check_writable`."""
        txn = None
        lock = self._lock
        file = self._file
        remaining = timeout
        try:
            if not lock.acquire(False):
                remaining = self._await_thread(timeout)
            process_lock = file.process_lock
            if process_lock is None:  # in a forked child, the file is not open yet
                file.environment()
                process_lock = file.process_lock
                if process_lock is None:
                    raise file.closed_error()
            if not process_lock.acquire(remaining):
                raise file.lock_timeout(timeout or 0, OTHER_PROCESS)
            # A reader that was killed keeps old pages in use until a process clears its place.
            self._writes += 1
            if self._writes % READER_CHECK == 0:
                file.environment().reader_check()
            gate = file.gate
            txn = self._begin(write=True) if gate is None else self._begin_behind(gate)
            txn.holds_lock = True
        except BaseException:  # an interrupt comes anywhere, and must not leave a lock taken
            if txn is not None:
                txn.let_go()
            process_lock = None  # the traceback of the error would keep its file open
            if lock.is_mine() and file.process_lock is not None:
                file.process_lock.drop()
            while lock.is_mine():
                lock.release()
            raise
        return txn

    def reading(self) -> LmdbTransaction:
        """A read transaction. Waits for nobody. Raises StoreClosedError."""
        file = self._file
        file.environment()  # in a forked child, this decides whether there is a gate
        if file.databases is None:
            self._try_databases()
        gate = file.gate
        if gate is None:
            return self._begin(write=False)
        return self._begin_mapped(partial(gate.read, partial(self._begin, write=False)), gate)

    def check_writable(self) -> None:
        """Raise ReadOnlyError, or TransactionError where waiting for the lock would never end."""
        if self._file.readonly:
            raise ReadOnlyError(f"the store {self._file.path!r} was opened read-only")
        lock = self._lock
        if lock.left_by_another_thread is not None or lock.is_mine():
            lock.check_free()

    def has_grown(self, timeout: float | None) -> bool:
        """Whether there is more room now, after a change that found too little."""
        gate = self._file.gate
        if gate is None or not gate.too_small:
            return False
        self._await_thread(timeout)
        try:
            return gate.make_room()
        finally:
            self._lock.release()

    def late(self, timeout: float) -> LockTimeoutError:
        """The error to raise where a thread has waited `timeout` seconds for other threads."""
        return self._file.lock_timeout(timeout, OTHER_THREAD)

    def _await_thread(self, timeout: float | None) -> float | None:
        """Wait for the other threads of this process. How much of the time is left?"""
        if timeout is None:
            self._lock.acquire()
            return None
        until = monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise self.late(timeout)
        return max(until - monotonic(), 0)

    def _try_databases(self) -> None:
        """Open the databases, unless another thread or process writes."""
        file = self._file
        if not self._lock.acquire(False):
            return
        try:
            if file.databases is None:
                file.try_databases()
        except lmdb.Error as error:
            raise file.translated(error) from error
        finally:
            self._lock.release()

    def _begin_behind(self, gate: Gate) -> LmdbTransaction:
        gate.make_room()
        return self._begin_mapped(partial(self._begin, write=True), gate)

    def _begin_mapped(self, begin: Callable[[], LmdbTransaction], gate: Gate) -> LmdbTransaction:
        """Begin, once this process has mapped all that other processes have written."""
        for _ in range(_TRIES):
            with suppress(lmdb.MapResizedError):
                return begin()
            # Not within gate.read(): a writer has this lock when it comes to the gate.
            if self._lock.acquire(timeout=PATIENCE):
                try:
                    gate.take_over()
                finally:
                    self._lock.release()
        raise StorageError(
            f"other processes make {self._file.path!r} grow too fast to be mapped here"
        )

    def _begin(self, *, write: bool) -> LmdbTransaction:
        file = self._file
        made: LmdbTransaction | None = None
        try:
            databases = file.databases
            if databases is None and write:
                file.open_databases()
                databases = file.databases
            if databases is None:
                made = PageTransaction(file, (file.main,) * len(Space))
            elif write:
                made = LmdbTransaction(file, databases, self._lock, file.process_lock)
            elif file.unregistered:
                made = UnregisteredTransaction(file, databases)
            else:
                made = LmdbTransaction(file, databases)
            made.start(file.environment)
            if file.legacy and made.raw.get(SPACES[Space.META], db=file.main) is not None:
                # Another process has migrated the database of stones 0.3 since it was opened here.
                made.let_go()
                file.has_spaces_now()
                return self._begin(write=write)
        except BaseException as error:
            if made is not None:
                made.let_go()
            if not isinstance(error, lmdb.Error) or (
                isinstance(error, lmdb.MapResizedError) and file.gate is not None
            ):
                raise
            raise file.translated(error) from error
        return made
