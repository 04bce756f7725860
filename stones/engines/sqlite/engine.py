"""The engine on SQLite: one file a store, many readers and one writer, crash-proof.

`stones.engines.sqlite.connections` has what needs care: threads, closing and forks. All stores of a
process on the same file share one engine.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any, TypeVar
from weakref import WeakSet, ref

from stones.engine import MAX_KEY_SIZE, Engine, Space, Supports, Transaction
from stones.engines.group_commit import GroupCommit
from stones.engines.lmdb.directory import open_error
from stones.engines.lmdb.writer_lock import WriterLock
from stones.engines.sharing import SharedEngines
from stones.errors import (
    LockTimeoutError,
    ReadOnlyError,
    StoneError,
    StorageError,
    StoreClosedError,
    StoreOpenError,
)

from .connections import Connections, Link
from .errors import is_locked, translated
from .opening import DURABILITY, connect, mode_for, opening_error, prepare
from .place import Place, check_place, identity
from .refusals import MAX_VALUE_SIZE
from .statements import GET, READ_COUNTS
from .transaction import SqliteTransaction
from .waiting import OTHER_PROCESS, OTHER_THREAD, Turns, until_free, writer_of

T = TypeVar("T")


class SqliteEngine(Engine):
    """The SQLite file at a path, shared by all that open it in this process."""

    supports = Supports(
        processes=True,
        snapshots=True,
        savepoints=True,
        timeouts=True,
        counts=True,
        durability=tuple(DURABILITY),
        max_key_size=MAX_KEY_SIZE,
        max_value_size=MAX_VALUE_SIZE,
    )

    @classmethod
    def open(
        cls,
        path: str,
        *,
        readonly: bool = False,
        create: bool = True,
        durability: str = "full",
        timeout: float | None = None,
    ) -> "SqliteEngine":
        """The engine for the file `path`. Call `close` on it as often as this.

        `create=False` refuses a path where there is no store. Where a store has to be made, this
        waits at most `timeout` seconds for other programs. Raises StoreOpenError, LockTimeoutError.
        """
        make = partial(
            cls, path, readonly=readonly, create=create, durability=durability, timeout=timeout
        )
        engine = _engines.open(path, make)
        if engine._readonly and not readonly:
            engine.close()
            raise StoreOpenError(
                f"{path!r} is open read-only in this process: close that before you write to it"
            )
        if not readonly and _strictness(engine._durability) > _strictness(durability):
            engine.close()
            raise StoreOpenError(
                f"{path!r} is open with durability={engine._durability!r} in this process, which "
                f"is less than {durability!r}: close it first, or open it in the same way"
            )
        return engine

    def __init__(
        self, path: str, *, readonly: bool, create: bool, durability: str, timeout: float | None
    ) -> None:
        self.users = 0
        """How many have opened it and not closed it."""
        self.closed = False
        path = os.path.abspath(path)
        create = create and not readonly
        check_place(path, create=create)
        mode = mode_for(path, readonly=readonly, create=create)
        try:
            connection = connect(path, mode=mode, durability=durability)
            try:
                prepare(connection, path, create=create, timeout=timeout)
                self.place = Place(path)
                self._connections = Connections(
                    self.place, mode=mode.removesuffix("c"), durability=durability
                )
                self._connections.give(self._connections.take())
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise opening_error(error, path) from error
        except OSError as error:
            if isinstance(error, StoneError):
                raise
            raise open_error(path, error) from error
        self._readonly = readonly
        self._durability = durability
        self.is_new = [True] * len(Space)
        self._start()
        _all.add(self)

    def _start(self) -> None:
        """Make the parts that each process has for itself."""
        self._lock = WriterLock()
        self._turns = Turns(os.path.dirname(self.place.path))
        self._group_commit = GroupCommit(self._writing, super().transact, self._late)

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the file."""
        return self.place.identity

    # -- transactions --------------------------------------------------------------------------

    def begin(self, *, write: bool = False, timeout: float | None = None) -> SqliteTransaction:
        return self._writing(timeout) if write else self._reading()

    def _reading(self) -> SqliteTransaction:
        link = self._connections.take()
        try:
            link.run("BEGIN")
            # The first read decides which state the transaction sees.
            counts = [entries for (entries,) in link.run(READ_COUNTS).fetchall()]
        except sqlite3.Error as error:
            link.close()
            raise self.translated(error) from error
        txn = SqliteTransaction(self, link, counts=counts)
        link.user = ref(txn)
        return txn

    def _writing(self, timeout: float | None) -> SqliteTransaction:
        self._check_writable()
        lock = self._lock
        link = txn = None
        remaining = timeout
        try:
            if not lock.acquire(False):
                remaining = self._await_thread(timeout)
            link = self._connections.take_writer()
            begin = partial(link.run, "BEGIN IMMEDIATE")
            self._turns.give_way()
            if not until_free(begin, 0):
                with self._turns.waiting():
                    begun = until_free(begin, remaining)
                if not begun:
                    raise self._late(timeout or 0, OTHER_PROCESS)
            txn = SqliteTransaction(self, link, lock=lock)
            txn.holds_lock = True
            link.user = ref(txn)
        except BaseException as error:
            # An interrupt comes anywhere, and must not leave a lock taken.
            if link is not None:
                link.close()
            while lock.is_mine():
                lock.release()
            if isinstance(error, sqlite3.Error):
                raise self.translated(error) from error
            raise
        return txn

    def _check_writable(self) -> None:
        self._lock.check_free()
        if self.closed:
            self._connections.take()  # raises
        if self._readonly:
            raise ReadOnlyError(f"the store {self.place.path!r} was opened read-only")

    def _await_thread(self, timeout: float | None) -> float | None:
        """Wait for the other threads. The seconds that are left for other processes."""
        if timeout is None:
            self._lock.acquire()
            return None
        until = monotonic() + timeout
        if not self._lock.acquire(True, timeout):
            raise self._late(timeout)
        return max(until - monotonic(), 0)

    def _late(self, timeout: float, otherwise: str = OTHER_THREAD) -> LockTimeoutError:
        holder = writer_of(self.place.shared_path, otherwise)
        return LockTimeoutError(
            f"nothing was written to {self.place.path!r}: {holder} has had the write lock for more "
            f"than {timeout:g} s; wait until its transaction has ended, or open the store with a "
            "longer timeout="
        )

    # -- reading and writing -------------------------------------------------------------------

    def get(self, space: Space, key: bytes) -> bytes | None:
        connections = self._connections
        idle = connections.idle
        try:
            # No object of ours: a transaction takes three times as long.
            link = idle.pop() if idle else connections.take()
            row = link.run(GET[space], (key,)).fetchone()
        except IndexError:  # another thread was quicker
            return super().get(space, key)
        except sqlite3.Error as error:
            raise self.translated(error) from error
        idle = connections.idle  # another list, if connections were closed for a fork
        idle.append(link)
        if connections.closed:  # by another thread, just now
            connections.close_idle()
        return None if row is None else row[0]

    def write(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        self._check_writable()
        return self._group_commit.write(change, timeout)

    def sync(self) -> None:
        txn = self._reading()  # as long as it is open, SQLite has the files open
        try:
            if self._readonly:
                raise ReadOnlyError(
                    f"the store {self.place.path!r} was opened read-only: it writes nothing"
                )
            self.place.check()
            self.place.sync()
        finally:
            txn.abort()

    # -- the file as a whole -------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Figures of the file.

        `path` and `durability`; in bytes, `file_size`, `log_size` (the last commits, which SQLite
        keeps beside the file) and `used_size` (the part of the file that is not free).
        """
        pages = self._figures()
        return {
            "path": self.place.path,
            "durability": self._durability,
            "file_size": _size(self.place.path),
            "log_size": _size(self.place.log_path),
            "used_size": (pages["page_count"] - pages["freelist_count"]) * pages["page_size"],
        }

    def problems(self) -> Iterator[str]:
        """What SQLite finds wrong with the file. It reads all of it."""
        txn = self._reading()
        try:
            yield from [what for (what,) in txn._run("PRAGMA integrity_check") if what != "ok"]
        except sqlite3.DatabaseError as error:
            yield str(error)
        finally:
            txn.abort()

    def _figures(self) -> dict[str, int]:
        txn = self._reading()
        try:
            return {
                name: txn.pragma(name) for name in ("page_count", "freelist_count", "page_size")
            }
        finally:
            txn.abort()

    # -- for transactions ----------------------------------------------------------------------

    def check_commit(self) -> None:
        """Raise StorageError if the path leads to another file now."""
        self.place.check()

    def translated(self, error: sqlite3.Error) -> StoneError:
        """The error of stones for an error of SQLite on the file."""
        if self.closed:
            return StoreClosedError(
                f"the store {self.place.path!r} is closed: open it again to use it"
            )
        if not is_locked(error):
            try:  # another file at the path, with its own log, may be the reason
                self.place.check()
            except StorageError as gone:
                return gone
        return translated(error, self.place.path)

    def give(self, link: Link, *, writer: bool) -> None:
        """Take back the connection of a transaction that has ended."""
        if writer:
            self._connections.give_writer(link)
        else:
            self._connections.give(link)

    # -- closing, and forks --------------------------------------------------------------------

    def close(self) -> None:
        _engines.close(self)

    def disconnect(self) -> None:
        """Let go of the file, for the last user."""
        self.closed = True
        self._connections.close()

    def before_fork(self) -> None:
        """Close all that can be closed."""
        self._connections.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._connections.after_fork_in_parent()

    def leave_to_parent(self) -> None:
        """In a forked child: what is open is the parent's."""
        self._connections.after_fork_in_child()
        self._start()


_engines: SharedEngines[SqliteEngine] = SharedEngines(identity)
_all: "WeakSet[SqliteEngine]" = WeakSet()
_forking: list[SqliteEngine] = []


def _strictness(durability: str) -> int:
    return list(DURABILITY).index(durability)  # the strictest first


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _before_fork() -> None:
    _forking[:] = list(_all)
    for engine in _forking:
        engine.before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()


def _after_fork_in_child() -> None:
    _engines.after_fork()
    while _forking:
        engine = _forking.pop()
        engine.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
