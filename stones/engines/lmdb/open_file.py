"""The data file of a store, as this process has it open: the environment and its databases.

It is all that a transaction knows of its engine. In a forked child, the file is opened anew when
the child first uses it: the environment that the child has inherited belongs to the parent.
"""

import os
from collections.abc import Callable
from threading import Lock
from typing import Any

import lmdb

from stones.errors import StoneError, StoreClosedError, StoreOpenError

from .databases import SPACES, Databases, is_legacy, open_legacy, open_spaces
from .directory import check_place, identity, open_error
from .environment import (
    LARGEST_MAP,
    closed_but_in_use,
    durability_of,
    keep_for_parent,
    note_closed,
    open_environment,
)
from .errors import translated
from .growth import Gate


class OpenFile:
    """An open data file. Threads may share it.

    The directory `path` must have one already, unless `create` is True and `readonly` is not.
    `table` is the named table that a database of stones 0.3 has its values in.
    Raises StoreOpenError.
    """

    main: Any
    """The main database, which lists the named databases."""
    legacy: bool
    """The file is a database of stones 0.3, with no spaces."""
    identity: tuple[int, int]
    """Device and inode."""
    unregistered: bool
    """This process may not write the table of readers."""

    def __init__(
        self, path: str, *, readonly: bool, create: bool, table: bytes | None, durability: str
    ) -> None:
        self.path = os.path.abspath(path)
        self.readonly = readonly
        self.durability = durability
        self.table = table
        self.closed = False
        self.forks = 0
        """How many forks there were between the process that opened the file and this one."""
        self.databases: Databases = ()
        self.gate: Gate | None = None
        """All transactions pass the gate, where the map may have to grow; elsewhere it is None."""
        self.plain_begin: Callable[..., lmdb.Transaction[bytes]] | None = None
        """LMDB's own begin(), for a read that needs nothing else; None where reads need more."""
        self._env: lmdb.Environment | None = None
        self._connecting = Lock()
        check_place(self.path, create=create and not readonly)
        self._connect()

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
        if env is not None:
            note_closed(env, self.identity)

    def leave_to_parent(self) -> None:
        """In a forked child: give up the environment, which is the parent's."""
        if self._env is not None:
            keep_for_parent(self._env)
        self._env = self.gate = self.plain_begin = None
        self.forks += 1
        self._connecting = Lock()  # the thread that held it may not be in the child

    def has_spaces_now(self, env: lmdb.Environment, databases: Databases | None = None) -> None:
        """The file was a database of stones 0.3 and has been migrated, here or elsewhere.

        `databases` are the databases of the spaces. If they are not given, they are opened.
        """
        self.databases = databases or open_spaces(env, self.path, readonly=self.readonly)
        self.legacy = False
        self._choose_begin(env)

    def size(self) -> int:
        """The size of the file in bytes."""
        if identity(self.path) == self.identity:
            return os.path.getsize(os.path.join(self.path, "data.mdb"))
        # The file has been moved or removed since it was opened.
        env = self.environment()
        return (env.info()["last_pgno"] + 1) * int(env.stat()["psize"])

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

    def _reconnect(self) -> None:
        with self._connecting:
            if self._env is None:
                self._connect()

    def _connect(self) -> None:
        """Open the environment and its databases. Make the spaces in a new file."""
        env = closed_but_in_use(self.path)
        if env is not None and (
            env.flags()["readonly"] != self.readonly or durability_of(env) != self.durability
        ):
            raise StoreOpenError(
                f"{self.path!r} was open in this process with other options, and iterations or "
                "snapshots from then are still open: end them first"
            )
        if env is None:
            env = open_environment(
                self.path,
                readonly=self.readonly,
                databases=len(SPACES) + 1,
                durability=self.durability,
            )
        try:
            self.main = env.open_db(None)
            self.legacy = is_legacy(env, self.main)
            if self.legacy:
                self.databases = open_legacy(env, self.path, self.main, self.table)
            else:
                self.databases = open_spaces(env, self.path, readonly=self.readonly)
        except lmdb.Error as error:
            raise open_error(self.path, error) from error
        if self.gate is None and env.info()["map_size"] < LARGEST_MAP:
            self.gate = Gate(env, self.path, self._remapped)
        self.identity = identity(self.path) or (0, 0)
        self.unregistered = not env.flags()["lock"]
        self._env = env
        self._choose_begin(env)

    def _remapped(self) -> lmdb.Environment:
        self._connect()
        return self.environment()

    def _choose_begin(self, env: lmdb.Environment) -> None:
        needs_more = self.legacy or self.gate is not None or self.unregistered
        self.plain_begin = None if needs_more else env.begin
