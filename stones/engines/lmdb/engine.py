"""The engine on disk: LMDB, one file a store, many readers and one writer, crash-proof.

The spaces are named databases of one environment (see `stones.engines.lmdb.environment` for what
needs care there). All stores of a process on the same file share one engine.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock, RLock, get_ident
from typing import Any, TypeVar

import lmdb

from stones.engine import Engine, Space, Transaction
from stones.engines.group_commit import GroupCommit
from stones.errors import (
    ReadOnlyError,
    StoneError,
    StorageError,
    StoreClosedError,
    StoreFullError,
    StoreOpenError,
    TransactionError,
)

from .databases import (
    SPACES,
    Databases,
    check_alone,
    is_legacy,
    move_values,
    open_legacy,
    open_spaces,
)
from .directory import check_place, check_vacant, identity
from .environment import (
    DURABILITY,
    LARGEST_MAP,
    durability_of,
    keep_for_parent,
    open_environment,
)
from .errors import translated
from .file_copy import copy
from .growth import PATIENCE, Gate
from .new_directory import new_directory
from .sharing import after_fork, close, closed_but_in_use, share
from .transaction import ENDED, LmdbTransaction
from .unregistered_reader import SnapshotOverwrittenError, UnregisteredTransaction

T = TypeVar("T")

READER_CHECK = 1000
"""After so many write transactions, the places of readers that were killed are cleared."""

_TRIES = 10
"""To begin, while other processes write more than is mapped."""


class LmdbEngine(Engine):
    """The LMDB file in a directory, shared by all that open it in this process."""

    @classmethod
    def open(
        cls,
        path: str,
        *,
        readonly: bool = False,
        create: bool = True,
        new: bool = False,
        table: bytes | None = None,
        durability: str = "full",
    ) -> "LmdbEngine":
        """The engine for the directory `path`, which `close` must be called on as often as this.

        `create=False` refuses a path where there is no store, `new` one where there is anything.
        `table` is the named table that a database of stones 0.3 has its values in.
        Raises StoreOpenError.
        """
        if new:
            check_vacant(path)
        make = partial(
            cls, path, readonly=readonly, create=create, table=table, durability=durability
        )
        engine = share(path, make)
        if engine._env is None:  # inherited through fork(), and not used since
            engine.readonly = engine.readonly and readonly
            engine.durability = min(engine.durability, durability, key=_strictness)
        if engine.readonly and not readonly:
            engine.close()
            raise StoreOpenError(
                f"{path!r} is open read-only in this process: close that before you write to it"
            )
        if not readonly and _strictness(engine.durability) > _strictness(durability):
            engine.close()
            raise StoreOpenError(
                f"{path!r} is open with durability={engine.durability!r} in this process, which "
                f"is less than {durability!r}: close it first, or open it in the same way"
            )
        return engine

    def __init__(
        self,
        path: str,
        *,
        readonly: bool,
        create: bool,
        table: bytes | None,
        durability: str = "full",
    ) -> None:
        self.path = os.path.abspath(path)
        self.readonly = readonly
        self.durability = durability
        self.users = 0
        self.closed = False
        self.forks = 0  # those between the opening process and this one
        self._table = table
        self._env: lmdb.Environment | None = None
        self._gate: Gate | None = None  # for all transactions, where the map may have to grow
        # How get() begins; None where that takes more than LMDB's own begin(), as `begin` does it.
        self._begin: Callable[..., lmdb.Transaction[bytes]] | None = None
        self._dbs: Databases = ()
        self.unregistered = False  # it may not write the table of readers
        self._after_opening()
        check_place(self.path, create=create and not readonly)
        self._connect()

    def _after_opening(self) -> None:
        """What a process has of its own."""
        self._commits = GroupCommit(partial(self.begin, write=True), super().write)
        self._connecting = Lock()
        self._writing: Any = RLock()  # which can be asked whether this thread has it
        self._writer = 0  # the thread that has the write transaction
        self._left: LmdbTransaction | None = None  # that one, where another thread has ended it
        self._writes = 0

    # -- the contract --------------------------------------------------------------------------

    def begin(self, *, write: bool = False) -> "LmdbTransaction":
        if not write:
            return self._begin_reading()
        self._check_writable()
        txn = None
        # Threads wait for each other here and not in LMDB: where several threads of a process wait
        # for LMDB's lock and the process is killed, the lock may never wake another process again
        # (raw py-lmdb: 7 times in 144 kills with two threads, never with one).
        try:
            self._writing.acquire()
            self._writer = get_ident()
            txn = self._begin_writing()
            txn._locked = True
        except BaseException:  # an interrupt comes anywhere, and must not leave the lock taken
            if txn is not None:
                txn._txn = ENDED
            self._let_go()
            raise
        return txn

    def _begin_writing(self) -> "LmdbTransaction":
        env, gate = self._opened(), self._gate
        # Readers of other processes that were killed keep old pages in use until somebody looks.
        self._writes += 1
        if self._writes % READER_CHECK == 0:
            env.reader_check()
        if gate is None:
            return self._begin_transaction(write=True)
        gate.make_room()
        return self._begin_mapped(partial(self._begin_transaction, write=True), gate)

    def _begin_reading(self) -> "LmdbTransaction":
        self._opened()  # in a forked child, only then is there a gate or none
        gate = self._gate
        if gate is None:
            return self._begin_transaction(write=False)
        begin = partial(self._begin_transaction, write=False)
        return self._begin_mapped(partial(gate.read, begin), gate)

    def _begin_mapped(
        self, begin: "Callable[[], LmdbTransaction]", gate: Gate
    ) -> "LmdbTransaction":
        """Begin, once all is mapped that another process has written meanwhile."""
        for _ in range(_TRIES):
            with suppress(lmdb.MapResizedError):
                return begin()
            # Not within gate.read(): a writer has this lock when it comes to the gate.
            if self._writing.acquire(timeout=PATIENCE):
                try:
                    gate.take_over()
                finally:
                    self._writing.release()
        raise StorageError(f"other processes make {self.path!r} grow too fast to be mapped here")

    def _begin_transaction(self, *, write: bool) -> "LmdbTransaction":
        env = self._opened()
        kind = UnregisteredTransaction if self.unregistered else LmdbTransaction
        made = kind(self, env, ENDED, self._dbs, writable=write)
        try:
            made._txn = self._begin_raw(env, write=write)
            if self.legacy and made._txn.get(SPACES[Space.META], db=self._main) is not None:
                # Another process has migrated the database of stones 0.3 meanwhile.
                made._txn = ENDED
                self._become_ours(env, open_spaces(env, self.path, readonly=self.readonly))
                made._txn = self._begin_raw(env, write=write)
                made._dbs = self._dbs
        except lmdb.Error as error:
            if isinstance(error, lmdb.MapResizedError) and self._gate is not None:
                raise
            raise self._translated(error) from error
        return made

    def _begin_raw(self, env: lmdb.Environment, *, write: bool) -> "lmdb.Transaction[bytes]":
        try:
            return env.begin(write=write)
        except lmdb.ReadersFullError:
            if not env.reader_check():  # those that were killed
                raise
        return env.begin(write=write)

    def get(self, space: Space, key: bytes) -> bytes | None:
        begin = self._begin
        if begin is None:
            return super().get(space, key)
        try:
            # No `with`, no object of ours: a sixth of the whole read.
            txn = begin(self._dbs[space])
            value = txn.get(key)
            txn.abort()
        except lmdb.ReadersFullError:
            return super().get(space, key)
        except lmdb.Error as error:
            raise self._translated(error) from error
        return value

    def read(self, look: Callable[[Transaction], T]) -> T:
        for _ in range(_TRIES if self.unregistered else 0):
            with suppress(SnapshotOverwrittenError):
                return super().read(look)
        return super().read(look)

    def write(self, change: Callable[[Transaction], T]) -> T:
        self._check_writable()
        while True:
            try:
                return self._commits.write(change)
            except StoreFullError:
                if not self._has_grown():
                    raise

    def _has_grown(self) -> bool:
        """After a change that found no room: is there more now?"""
        if self._gate is None or not self._gate.too_small:
            return False
        with self._writing:
            return self._gate.make_room()

    def sync(self) -> None:
        if self.readonly:
            raise ReadOnlyError(f"the store {self.path!r} was opened read-only: it writes nothing")
        try:
            self._opened().sync(True)
        except lmdb.Error as error:
            raise self._translated(error) from error

    def close(self) -> None:
        close(self)

    def disconnect(self) -> lmdb.Environment | None:
        """Let go of the file, for the last user. The environment, which closes itself."""
        # Not env.close(): it takes the map away from threads that are reading at this moment, which
        # crashes the interpreter. An environment closes itself when the last transaction in it is
        # gone; who opens the file before that takes it over.
        env, self._env, self.closed, self._begin = self._env, None, True, None
        return env

    def stats(self) -> dict[str, Any]:
        """`path` and `durability`; `file_size`, `used_size` (the part of it that is not free) and
        `map_size` (the addresses reserved for it), in bytes; `readers`, the places that read
        transactions have taken in the table of readers."""
        try:
            env = self._opened()
            readers = env.readers().count("\n") - 1  # before this becomes one more of them
            map_size = env.info()["map_size"]
            txn = self._begin_reading()
            try:
                dbs = [db for db in (self._main, *self._dbs) if db is not None]
                trees = [txn._txn.stat(db) for db in dbs]
            finally:
                txn.abort()
        except lmdb.Error as error:
            raise self._translated(error) from error
        return {
            "path": self.path,
            "durability": self.durability,
            "map_size": map_size,
            "file_size": self._file_size(env),
            "used_size": sum(map(_bytes_of, trees)) + 2 * trees[0]["psize"],
            "readers": max(readers, 0),
        }

    def _file_size(self, env: lmdb.Environment) -> int:
        if identity(self.path) == self.identity:
            return os.path.getsize(os.path.join(self.path, "data.mdb"))
        # It has been moved or removed meanwhile.
        return (env.info()["last_pgno"] + 1) * int(env.stat()["psize"])

    def backup(self, path: str, *, compact: bool = True) -> None:
        self._opened()  # a closed store says so first
        with new_directory(path) as place:
            copy(self, place, compact=compact)

    # -- the rest ------------------------------------------------------------------------------

    def adopt(self, prefix: bytes, finish: Callable[[Transaction], None]) -> None:
        """Turn a database of stones 0.3 into one of ours, in one transaction.

        Each value moves to its space and gets `prefix` in front; `finish` writes the metadata.
        """
        check_alone(self._opened(), self.path, self._table)
        txn = self.begin(write=True)
        try:
            if self.legacy:  # else another process was quicker
                source = self._dbs[Space.DATA]
                txn._dbs = move_values(txn._env, txn._txn, self._main, source, prefix)
                finish(txn)
        except BaseException as error:
            txn.abort()
            if isinstance(error, lmdb.Error):
                raise self._translated(error) from error
            raise
        env, dbs = txn._env, txn._dbs
        txn.commit()
        self._become_ours(env, dbs)

    def _become_ours(self, env: lmdb.Environment, dbs: Databases) -> None:
        """It was a database of stones 0.3, until now."""
        self._dbs, self.legacy = dbs, False
        self._choose_begin(env)

    def _connect(self) -> None:
        """Open the environment and its spaces; make them where they are not there yet."""
        env = closed_but_in_use(self.path)
        if env is not None and (
            env.flags()["readonly"] != self.readonly or durability_of(env) != self.durability
        ):
            raise StoreOpenError(
                f"{self.path!r} was open in this process in another way, and iterations or "
                "snapshots of then are not ended: end them first"
            )
        if env is None:
            env = open_environment(
                self.path,
                readonly=self.readonly,
                databases=len(SPACES) + 1,
                durability=self.durability,
            )
        try:
            self._main = env.open_db(None)
            self.legacy = is_legacy(env, self._main)
            if self.legacy:
                self._dbs = open_legacy(env, self.path, self._main, self._table)
            else:
                self._dbs = open_spaces(env, self.path, readonly=self.readonly)
        except lmdb.Error as error:
            raise StoreOpenError(f"cannot open the store {self.path!r}: {error}") from error
        if self._gate is None and env.info()["map_size"] < LARGEST_MAP:
            self._gate = Gate(env, self.path, self._remapped)
        self.identity = identity(self.path) or (0, 0)
        self.unregistered = not env.flags()["lock"]
        self._env = env
        self._choose_begin(env)

    def _choose_begin(self, env: lmdb.Environment) -> None:
        apart = self.legacy or self._gate is not None or self.unregistered
        self._begin = None if apart else env.begin

    def _remapped(self) -> lmdb.Environment:
        self._connect()
        return self._opened()

    def closed_error(self) -> StoreClosedError:
        """What to raise once the engine is closed."""
        return StoreClosedError(f"the store {self.path!r} is closed: open it again to use it")

    def _opened(self) -> lmdb.Environment:
        env = self._env
        if env is None:
            if not self.closed:
                self._reconnect()
                return self._opened()
            raise self.closed_error()
        return env

    def _check_writable(self) -> None:
        if self.readonly:
            raise ReadOnlyError(f"the store {self.path!r} was opened read-only")
        if self._left is not None:
            if self._writer != get_ident():
                raise TransactionError(
                    "a transaction was ended by another thread than the one that began it, which "
                    "alone can let go of LMDB's lock, by its next write"
                )
            self._left.abort()
        if self._writer == get_ident():
            raise TransactionError(
                "this thread has a transaction open on the store already: end that one first "
                "(in asyncio: do not await inside a transaction)"
            )

    def _let_go(self) -> None:
        """Release the lock, where this thread has it and no transaction that would."""
        if self._writing._is_owned():
            self._writer = 0
            self._writing.release()

    def _translated(self, error: lmdb.Error) -> StoneError:
        if self.closed:
            return self.closed_error()
        if isinstance(error, lmdb.MapFullError) and self._gate is not None:
            self._gate.too_small = True
        return translated(error, self.path)

    def leave_to_parent(self) -> None:
        """In a forked child: what is open is the parent's."""
        if self._env is not None:
            keep_for_parent(self._env)
        self._env = self._gate = None
        self.forks += 1
        self._begin = None
        self._after_opening()

    def _reconnect(self) -> None:
        """Open the file anew in a forked child."""
        with self._connecting:
            if self._env is None:
                self._connect()


def _bytes_of(tree: Any) -> int:
    pages: int = tree["branch_pages"] + tree["leaf_pages"] + tree["overflow_pages"]
    return pages * int(tree["psize"])


def _strictness(durability: str) -> int:
    return list(DURABILITY).index(durability)  # the strictest first


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)
