"""The engine on LevelDB: one directory a store, many threads of one process, crash-proof.

LevelDB takes batches and has snapshots. A transaction is a `BufferedTransaction`, whose commit is
one batch. All stores of a process on one directory share one engine.
"""

import os
from collections.abc import Callable
from functools import partial
from threading import Lock, get_ident
from typing import Any, TypeVar

import plyvel

from stones.engine import Engine, Space, Supports, Transaction
from stones.engines.buffered.transaction import BufferedTransaction
from stones.engines.group_commit import GroupCommit
from stones.engines.lmdb.directory import identity, sync
from stones.engines.nested_write import nested_write
from stones.engines.sharing import SharedEngines
from stones.errors import LockTimeoutError, StorageError, StoreOpenError

from .backing import MAX_VALUE_SIZE, PREFIXES, LevelDBBacking
from .open_database import OpenDatabase
from .place import remove

T = TypeVar("T")

DURABILITY = ("full", "lazy")


class LevelDBEngine(Engine):
    """The LevelDB database in a directory, shared by all that open it in this process."""

    supports = Supports(
        snapshots=True,
        savepoints=True,
        timeouts=True,
        counts=True,
        durability=DURABILITY,
        max_value_size=MAX_VALUE_SIZE,
    )

    @classmethod
    def open(cls, path: str, *, create: bool = True, durability: str = "full") -> "LevelDBEngine":
        """The engine for the directory `path`. Call `close` on it as often as this.

        If it is open with another durability, the stricter one is taken for all.
        Raises StoreOpenError, also if another process has it open.
        """
        engine = _engines.open(path, lambda: cls(path, create=create))
        if engine.closed:  # by a fork
            raise StoreOpenError(
                f"{path!r} is open in the process that this one was forked from: LevelDB serves "
                "one process. Start processes with the method 'spawn', or take LMDB"
            )
        if durability == "full":
            engine._sync = True
        return engine

    def __init__(self, path: str, *, create: bool) -> None:
        self.users = 0
        """How many have opened it and not closed it."""
        for other in list(_closing):
            if os.path.realpath(other.path) == os.path.realpath(path):
                other.wait_closed()
            if not other.is_open():
                _closing.remove(other)
        self._database = OpenDatabase(os.path.abspath(path), create=create)
        self._sync = False
        self._writing = Lock()
        self._writer = 0  # the thread that holds the lock
        self._group_commit = GroupCommit(self._begin_writing, self._transact, self._late)

    @property
    def path(self) -> str:
        """The directory, as an absolute path."""
        return self._database.path

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of its file LOCK."""
        return self._database.identity

    # -- transactions ------------------------------------------------------------------------------

    def begin(self, *, write: bool = False, timeout: float | None = None) -> BufferedTransaction:
        if write:
            return self._begin_writing(timeout)
        snapshot = self._database.hold(self._database.raw.snapshot)
        return BufferedTransaction(
            LevelDBBacking(self._database, snapshot=snapshot), writable=False
        )

    def get(self, space: Space, key: bytes) -> bytes | None:
        database = self._database
        get = database.get  # as in `OpenDatabase.use`: this keeps the database open
        try:
            return get(PREFIXES[space] + key)
        except plyvel.Error as error:
            raise database.translated(error) from error
        finally:
            del get

    def write(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        self._check_writer()
        return self._group_commit.write(change, timeout)

    def _begin_writing(self, timeout: float | None) -> BufferedTransaction:
        self._check_writer()
        if not self._writing.acquire(timeout=-1 if timeout is None else timeout):
            raise self._late(timeout or 0)
        self._writer = get_ident()
        try:
            # Before there is a backing, which would release the lock a second time.
            self._database.check()
            release = partial(self._release, self._writing)
            backing = LevelDBBacking(self._database, sync=self._sync, release=release)
            return BufferedTransaction(backing, writable=True)
        except BaseException:
            self._release(self._writing)
            raise

    def _transact(
        self, change: Callable[[Transaction], T], /, *, timeout: float | None = None
    ) -> T:
        return self.transact(change, timeout=timeout)

    def _check_writer(self) -> None:
        self._database.check()
        if self._writer == get_ident():
            raise nested_write()

    def _release(self, lock: Any) -> None:
        if lock is self._writing:  # not after a fork
            self._writer = 0
            lock.release()

    def _late(self, timeout: float) -> LockTimeoutError:
        return LockTimeoutError(
            "nothing was written: another thread of this process has had the write lock of "
            f"{self.path!r} for more than {timeout:g} s; wait until its transaction has ended, or "
            "open the store with a longer timeout="
        )

    # -- the files ---------------------------------------------------------------------------------

    def sync(self) -> None:
        self._database.check()
        # LevelDB begins a new log now and then, and does not wait for the old one.
        for name in os.listdir(self.path):
            if name.endswith(".log"):
                try:
                    sync(os.path.join(self.path, name))
                except FileNotFoundError:  # its entries are in a table, which is synced
                    continue
                except OSError as error:
                    raise StorageError(f"cannot sync {self.path!r}: {error}") from error

    def stats(self) -> dict[str, Any]:
        """Figures of the database: `file_size` of all its files, and how writes are kept."""
        self._database.check()
        with os.scandir(self.path) as files:
            size = sum(file.stat().st_size for file in files if file.is_file())
        durability = "full" if self._sync else "lazy"
        return {"path": self.path, "durability": durability, "file_size": size}

    def close(self) -> None:
        _engines.close(self)

    def disconnect(self) -> None:
        """Let go of the database, for the last user. Does not wait."""
        self.closed = True
        _closing.append(self._database)
        self._database.close()

    def leave_to_parent(self) -> None:
        """In a forked child: the database is the parent's."""
        self.closed = True
        self._database.leave_to_parent()
        self._writing = Lock()
        self._writer = 0


_engines: SharedEngines[LevelDBEngine] = SharedEngines(partial(identity, name="LOCK"))
_closing: list[OpenDatabase] = []
"""Databases that are closed, or will be by the last thread that is inside of a call."""


def destroy(path: str) -> None:
    """Delete the database at `path`, which no store in this process may have open.

    Raises StoreOpenError if one has, StorageError if the database cannot be removed.
    """
    with _engines.reserved(path):
        remove(path)


def _after_fork() -> None:
    _engines.after_fork()
    for database in _closing:
        if database.is_open():
            database.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
