"""The data file of a store, as this process has it open: the environment and its databases.

It is all that a transaction knows of its engine. In a forked child, the file is opened anew when
the child first uses it: the environment that the child has inherited belongs to the parent.

LMDB opens a named database only for whoever has the lock of the writers. Reading must not wait for
that. If another writer has the lock when the file is opened, `databases` is None at first, and
`stones.engines.lmdb.page_reader` reads without them. They are opened when the lock is free.
"""

import os
from collections.abc import Callable
from threading import Lock
from typing import Any

import lmdb

from stones.errors import LockTimeoutError, StoneError, StoreClosedError, StoreOpenError

from .databases import SPACES, Databases, has_spaces, is_legacy, open_legacy, open_spaces
from .directory import check_place, identity, open_error
from .environment import (
    LARGEST_MAP,
    closed_but_in_use,
    durability_of,
    keep_for_parent,
    note_closed,
    open_environment,
    place_of,
)
from .errors import translated
from .growth import Gate
from .place import Place
from .process_lock import OTHER_PROCESS, ProcessLock


class OpenFile:
    """An open data file. Threads may share it.

    The directory `path` must have one already, unless `create` is True and `readonly` is not.
    `table` is the named table that a database of stones 0.3 has its values in. Where a store has to
    be made, this waits at most `timeout` seconds for other writers.
    Raises StoreOpenError, LockTimeoutError.
    """

    main: Any
    """The main database, which lists the named databases."""
    legacy: bool
    """The file is a database of stones 0.3, with no spaces."""
    place: Place
    """Its path, and the files there when it was opened."""
    databases: Databases | None
    """The databases of the spaces; None until they are open."""
    process_lock: ProcessLock | None
    """What keeps the writers of all processes apart; None where the file is only read."""
    unregistered: bool
    """This process may not write the table of readers."""

    def __init__(
        self,
        path: str,
        *,
        readonly: bool,
        create: bool,
        table: bytes | None,
        durability: str,
        timeout: float | None = None,
    ) -> None:
        self.path = os.path.abspath(path)
        self.readonly = readonly
        self.durability = durability
        self.table = table
        self.closed = False
        self.forks = 0
        """How many forks there were between the process that opened the file and this one."""
        self.databases = self.process_lock = None
        self.gate: Gate | None = None
        """All transactions pass the gate, where the map may have to grow; elsewhere it is None."""
        self.plain_begin: Callable[..., lmdb.Transaction[bytes]] | None = None
        """LMDB's own begin(), for a read that needs nothing else; None where reads need more."""
        self._env: lmdb.Environment | None = None
        self._connecting = Lock()
        check_place(self.path, create=create and not readonly)
        self._connect(timeout)

    def is_connected(self) -> bool:
        """Whether this process has an environment: not after `disconnect`, nor after a fork."""
        return self._env is not None

    def environment(self) -> lmdb.Environment:
        """The environment; in a forked child, the first call opens it. Raises StoreClosedError."""
        env = self._env
        if env is None:
            if not self.closed:
                self._reconnect()
                return self.environment()
            raise self.closed_error()
        return env

    def disconnect(self) -> None:
        """Let go of the file. Does not wait for the transactions that are open."""
        # Not env.close(): it takes the map away from threads that are reading at this moment, which
        # crashes the interpreter. An environment closes itself when the last transaction in it is
        # gone. Whoever opens the file earlier gets this environment again.
        env, self._env, self.closed, self.plain_begin = self._env, None, True, None
        self.gate = self.process_lock = None
        if env is not None:
            note_closed(env, self.place)

    def leave_to_parent(self) -> None:
        """In a forked child: give up the environment, which is the parent's."""
        if self._env is not None:
            keep_for_parent(self._env)
        self._env = self.gate = self.plain_begin = self.process_lock = None
        self.forks += 1
        self._connecting = Lock()  # the thread that held it may not be in the child

    def has_spaces_now(self, databases: Databases | None = None) -> None:
        """The file was a database of stones 0.3 and has been migrated, here or elsewhere.

        `databases` are the databases of the spaces. If they are not given, they are opened at the
        next chance.
        """
        self.databases = databases
        self.legacy = False
        if databases is None and self.readonly:
            self.open_databases()
        self._choose_begin()

    def open_databases(self) -> None:
        """Open the databases. Where the file is not read-only, the caller holds `process_lock`.

        Raises lmdb.Error, StoreOpenError.
        """
        if self.legacy:
            self.databases = open_legacy(self.environment(), self.path, self.main, self.table)
        else:
            self.databases = open_spaces(self.environment(), self.path, readonly=self.readonly)
        self._choose_begin()

    def try_databases(self) -> None:
        """Open the databases, unless another process or transaction has the lock of the writers.

        Raises lmdb.Error, StoreOpenError.
        """
        lock = self.process_lock
        if lock is not None and lock.acquire(0):
            try:
                self.open_databases()
            finally:
                lock.release()
                del lock  # the traceback of an error would keep the file open

    def size(self) -> int:
        """The size of the file in bytes."""
        if self.place.holds_data():
            return os.path.getsize(os.path.join(self.path, "data.mdb"))
        # The file has been moved or removed since it was opened.
        return (self.environment().info()["last_pgno"] + 1) * int(
            self.environment().stat()["psize"]
        )

    def closed_error(self) -> StoreClosedError:
        """The error to raise once the file is closed."""
        return StoreClosedError(f"the store {self.path!r} is closed: open it again to use it")

    def translated(self, error: lmdb.Error) -> StoneError:
        """The error of stones for an error of LMDB."""
        if self.closed:
            return self.closed_error()
        if isinstance(error, lmdb.MapFullError) and self.gate is not None:
            self.gate.too_small = True
        return translated(error, self.path)

    def lock_timeout(self, timeout: float, otherwise: str) -> LockTimeoutError:
        """The error to raise where the lock of the writers was not free for `timeout` seconds.

        It names who holds the lock: `otherwise`, if the system does not tell.
        """
        lock = self.process_lock
        holder = otherwise if lock is None else lock.holder(otherwise)
        return LockTimeoutError(
            f"nothing was written to {self.path!r}: {holder} has had the write lock for more than "
            f"{timeout:g} s; wait until its transaction has ended, or open the store with a longer "
            "timeout="
        )

    def _reconnect(self) -> None:
        with self._connecting:
            if self._env is None:
                self.place.check_data()  # the files there may be another store by now
                self._connect(0)

    def _connect(self, timeout: float | None) -> None:
        """Open the environment and its databases. Make the spaces in a new file."""
        env = closed_but_in_use(self.path)
        if env is not None and (
            env.flags()["readonly"] != self.readonly or durability_of(env) != self.durability
        ):
            del env  # the traceback of the error would keep it open
            raise StoreOpenError(
                f"{self.path!r} was open in this process with other options, and iterations or "
                "snapshots from then are still open: end them first"
            )
        fresh = env is None
        try:
            while env is None:
                before = identity(self.path)
                env = open_environment(
                    self.path,
                    readonly=self.readonly,
                    databases=len(SPACES) + 1,
                    durability=self.durability,
                )
                if before not in (None, identity(self.path)):
                    env.close()  # another file has taken the place: which of the two is this?
                    env = None
            self.place = Place(self.path)
            earlier = self.place if fresh else place_of(env)
            if earlier.lock_identity != self.place.lock_identity:
                self.place = earlier
                earlier.check()
            self.main = env.open_db(None)
            self.legacy = is_legacy(env, self.main)
            self.unregistered = not env.flags()["lock"]
            if self.process_lock is not None:
                self.process_lock.follow(env, self.place.lock_identity)
            elif not self.readonly:
                self.process_lock = ProcessLock(self.path, env, self.place.lock_identity)
            self.databases = self.plain_begin = None
            if self.gate is None and env.info()["map_size"] < LARGEST_MAP:
                self.gate = Gate(self.environment, self.path, self._remapped)
            self._env = env
            self._find_databases(timeout)
        except BaseException as error:
            self._env = self.process_lock = self.plain_begin = None
            if env is not None and fresh:
                env.close()
            if isinstance(error, lmdb.Error | OSError) and not isinstance(error, StoneError):
                raise open_error(self.path, error) from error
            raise
        finally:
            del env

    def _find_databases(self, timeout: float | None) -> None:
        """Open the databases, or leave that for later if they are there and others write."""
        if self.readonly or (self.legacy and self.table is None):
            self.open_databases()
            return
        self.try_databases()
        if self.databases is not None:
            return
        if not self.legacy and not has_spaces(self.environment(), self.main):
            self._make_databases(timeout)

    def _make_databases(self, timeout: float | None) -> None:
        lock = self.process_lock
        try:
            if lock is None or not lock.acquire(timeout):
                raise self.lock_timeout(timeout or 0, OTHER_PROCESS)
            self.open_databases()
        finally:
            if lock is not None:
                lock.drop()
            del lock  # the traceback of an error would keep the file open

    def _remapped(self) -> None:
        self.place.check_data()
        self._connect(None)

    def _choose_begin(self) -> None:
        needs_more = self.legacy or self.gate is not None or self.unregistered
        needs_more = needs_more or self.databases is None
        self.plain_begin = None if needs_more else self.environment().begin
