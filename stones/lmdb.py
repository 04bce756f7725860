"""The engine on disk: LMDB, one file a store, many readers and one writer, crash-proof.

The spaces are named databases of one environment (see `stones.environments` for what needs care
there). All stores of a process on the same file share one engine.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock, get_ident
from typing import Any, ClassVar, TypeVar, overload
from weakref import WeakValueDictionary

import lmdb

from .commits import Commits
from .engine import Engine, Space, Transaction
from .environments import (
    check_place,
    check_vacant,
    identity,
    keep_for_parent,
    open_after_fork,
    open_environment,
)
from .errors import (
    MigrationError,
    ReadOnlyError,
    StoneError,
    StorageError,
    StoreClosedError,
    StoreOpenError,
    TransactionError,
    ValueTypeError,
)
from .lmdb_transaction import LmdbTransaction, translated
from .reader import K, V
from .store import STORE_OPTIONS, Store

T = TypeVar("T")

SPACES = (b"stones:data", b"stones:index", b"stones:meta")
"""The named database of each space. The main database holds nothing else (but in stones 0.3)."""


class LmdbStore(Store[K, V]):
    """A store in a directory on disk, for any number of threads and processes on this machine.

    `path` is made where it is not there yet. `readonly=True` opens an existing store without ever
    writing to it; `create=False` refuses a path where there is none. `table` is only for a
    database of stones 0.3 that kept its values in a named table.
    """

    @overload
    def __init__(
        self: "LmdbStore[str, Any]",
        path: str | os.PathLike[str],
        *,
        key_type: type[str],
        **options: Any,
    ) -> None: ...
    @overload
    def __init__(
        self: "LmdbStore[bytes, Any]", path: str | os.PathLike[str], **options: Any
    ) -> None: ...
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        readonly: bool = False,
        create: bool = True,
        table: bytes | None = None,
        **options: Any,
    ) -> None:
        unknown = sorted(options.keys() - STORE_OPTIONS)
        if unknown:
            raise ValueTypeError(
                f"LmdbStore has no option {unknown[0]!r}: it has readonly, create, table, "
                + ", ".join(sorted(STORE_OPTIONS))
            )
        if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in str(path):
            raise StoreOpenError(f"the path of a store is a str or a Path, not {path!r}")
        self.path = os.fspath(path)
        engine = LmdbEngine.open(self.path, readonly=readonly, create=create, table=table)
        self._files = engine
        super().__init__(engine, name=self.path, **options)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store and delete its files, and the directory where nothing else is in it.

        Does nothing without `yes_im_sure=True`. Another process that has it open goes on seeing
        what was there.
        """
        if yes_im_sure:
            self.close()
            self._files.remove_files()


class LmdbEngine(Engine):
    """The LMDB file in a directory, shared by all that open it in this process."""

    _shared: ClassVar[dict[tuple[int, int], "LmdbEngine"]] = {}
    _sharing: ClassVar[Any] = Lock()
    _parting: ClassVar[WeakValueDictionary[tuple[int, int], lmdb.Environment]] = (
        WeakValueDictionary()
    )
    """Environments that were closed, and in which there are transactions still."""

    @classmethod
    def open(
        cls,
        path: str,
        *,
        readonly: bool = False,
        create: bool = True,
        new: bool = False,
        table: bytes | None = None,
    ) -> "LmdbEngine":
        """The engine for the directory `path`, which `close` must be called on as often as this.

        `create=False` refuses a path where there is no store, `new` one where there is anything.
        `table` is the named table that a database of stones 0.3 has its values in.
        Raises StoreOpenError.
        """
        if new:
            check_vacant(path)
        with cls._sharing:
            engine = cls._shared.get(identity(path) or (0, 0))
            if engine is None:
                engine = cls(path, readonly=readonly, create=create, table=table)
                cls._shared[identity(path) or (0, 0)] = engine
            elif engine.readonly and not readonly:
                raise StoreOpenError(
                    f"{path!r} is open read-only in this process: close that before you write to it"
                )
            engine._users += 1
            return engine

    def __init__(self, path: str, *, readonly: bool, create: bool, table: bytes | None) -> None:
        self.path = os.path.abspath(path)
        self.readonly = readonly
        self._table = table
        self._users = 0
        self._env: lmdb.Environment | None = None
        self.closed = False
        self.forks = 0  # those between the opening process and this one
        self._begin: Callable[..., lmdb.Transaction[bytes]] = self._refuse
        self._dbs: tuple[Any, ...] = ()  # the database of each space; None where it has none
        self._commits = Commits(partial(self.begin, write=True))
        self._writing = Lock()
        self._writer = 0  # the thread that has the write transaction
        self._left: LmdbTransaction | None = None  # that one, where another thread has ended it
        check_place(self.path, create=create and not readonly)
        self._connect()

    # -- the contract --------------------------------------------------------------------------

    def begin(self, *, write: bool = False) -> "LmdbTransaction":
        if not write:
            return self._begin_transaction(write=False)
        self._check_writable()
        # Threads wait for each other here and not in LMDB: where several threads of a process wait
        # for LMDB's lock and the process is killed, the lock may never wake another process again
        # (raw py-lmdb: 7 times in 144 kills with two threads, never with one).
        self._writing.acquire()
        try:
            txn = self._begin_transaction(write=True)
        except BaseException:
            self._writing.release()
            raise
        self._writer = get_ident()
        txn._locked = True
        return txn

    def _begin_transaction(self, *, write: bool) -> "LmdbTransaction":
        try:
            env = self._opened()
            txn = env.begin(write=write)
            if self.legacy and txn.get(SPACES[Space.META], db=self._main) is not None:
                # Another process has migrated the database of stones 0.3 meanwhile.
                txn.abort()
                self._open_spaces(env)
                txn = env.begin(write=write)
        except lmdb.Error as error:
            raise self._translated(error) from error
        return LmdbTransaction(self, env, txn, self._dbs, writable=write)

    def get(self, space: Space, key: bytes) -> bytes | None:
        if self.legacy:
            return super().get(space, key)
        try:
            # No `with`, no object of ours: a sixth of the whole read.
            txn = self._begin(self._dbs[space])
            value = txn.get(key)
            txn.abort()
        except lmdb.Error as error:
            raise self._translated(error) from error
        return value

    def write(self, change: Callable[[Transaction], T]) -> T:
        self._check_writable()
        return self._commits.write(change)

    def close(self) -> None:
        with self._sharing:
            if self._users > 1:
                self._users -= 1
                return
            self._users = 0
            for identity, engine in list(self._shared.items()):
                if engine is self:
                    del self._shared[identity]
            # Not env.close(): it takes the map away from threads that are reading at this moment,
            # which crashes the interpreter. An environment closes itself when the last transaction
            # in it is gone; who opens the file before that takes it over.
            if self._env is not None:
                self._parting[self._env_identity] = self._env
            self._env = None
            self.closed = True
            self._begin = self._refuse

    def stats(self) -> dict[str, Any]:
        """`path`; `file_size` and `used_size`, the part of it that is not free, both in bytes;
        `readers`, the places that read transactions have taken in the table of readers."""
        try:
            env = self._opened()
            readers = env.readers().count("\n") - 1
            with env.begin() as txn:
                trees = [txn.stat(db) for db in (self._main, *self._dbs) if db is not None]
        except lmdb.Error as error:
            raise self._translated(error) from error
        return {
            "path": self.path,
            "file_size": os.path.getsize(os.path.join(self.path, "data.mdb")),
            "used_size": sum(map(_bytes_of, trees)) + 2 * trees[0]["psize"],
            "readers": max(readers, 0),
        }

    def backup(self, path: str) -> None:
        check_vacant(path)
        partial = path.rstrip(os.sep) + ".partial"
        try:
            os.mkdir(partial)
            self._opened().copy(partial, compact=True)
            os.rename(partial, path)  # so that a backup is there whole, or not at all
        except lmdb.Error as error:
            raise self._translated(error) from error
        except OSError as error:
            raise StorageError(f"cannot write the backup {path!r}: {error}") from error

    # -- the rest ------------------------------------------------------------------------------

    def adopt(self, prefix: bytes, finish: Callable[[Transaction], None]) -> None:
        """Turn a database of stones 0.3 into one of ours, in one transaction.

        Each value moves to its space and gets `prefix` in front; `finish` writes the metadata.
        """
        self._check_writable()
        env = self._opened()
        others = [name for name in env.dbs() if name not in (*SPACES, self._table)]
        if others:
            raise MigrationError(
                f"{self.path!r} has other tables of stones 0.3 too, {others}, which could not be "
                "reached any more: copy each table into a store of its own instead"
            )
        try:
            with self._writing, env.begin(write=True) as txn:
                source = env.open_db(self._table, txn=txn) if self._table else self._main
                dbs = tuple(env.open_db(name, txn=txn) for name in SPACES)
                with txn.cursor(db=source) as cursor:
                    cursor.first()
                    # delete() moves on to the next entry; the key is empty after the last one.
                    while key := cursor.key():
                        if source is self._main and key in SPACES:
                            cursor.next()
                            continue
                        txn.put(key, prefix + cursor.value(), db=dbs[Space.DATA])
                        cursor.delete()
                inner = LmdbTransaction(self, env, txn, dbs, writable=True)
                finish(inner)
        except lmdb.Error as error:
            raise self._translated(error) from error
        self._dbs, self.legacy = dbs, False

    def remove_files(self) -> None:
        """Delete the files, and the directory where nothing else is in it."""
        for name in ("data.mdb", "lock.mdb"):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.path, name))
        try:
            os.rmdir(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise StorageError(f"cannot remove {self.path!r}: {error}") from error

    def _connect(self) -> None:
        """Open the environment and its spaces; make them where they are not there yet."""
        env = self._parting.get(identity(self.path) or (0, 0))
        if env is None or env.flags()["readonly"] != self.readonly:
            env = open_environment(self.path, readonly=self.readonly, databases=len(SPACES) + 1)
        try:
            self._main = env.open_db(None)
            with env.begin() as txn:
                ours = txn.get(SPACES[Space.META], db=self._main) is not None
                empty = txn.stat(self._main)["entries"] == 0
            self.legacy = not ours and not empty
            if self.legacy:
                source = env.open_db(self._table, create=False) if self._table else self._main
                self._dbs = (source, None, None)
                self._check_legacy(env)
            else:
                self._open_spaces(env)
        except (lmdb.Error, StoneError) as error:
            if isinstance(error, StoneError):
                raise
            raise StoreOpenError(f"cannot open the store {self.path!r}: {error}") from error
        self._env = env
        self._env_identity = identity(self.path) or (0, 0)
        self._begin = env.begin

    def _open_spaces(self, env: lmdb.Environment) -> None:
        if self.readonly:
            try:
                self._dbs = tuple(env.open_db(name, create=False) for name in SPACES)
            except lmdb.NotFoundError as error:
                raise StoreOpenError(f"there is no store in {self.path!r}") from error
        else:
            # py-lmdb keeps a handle from a read transaction only where all is read-only. So opening
            # waits for a writer, here as in another process.
            with env.begin(write=True) as txn:
                self._dbs = tuple(env.open_db(name, txn=txn) for name in SPACES)
        self.legacy = False

    def _check_legacy(self, env: lmdb.Environment) -> None:
        tables = env.dbs()
        if tables and self._table is None:
            raise StoreOpenError(
                f"{self.path!r} is an LMDB database with tables of its own, {tables}: if stones "
                "0.3 wrote them, name one with table="
            )

    def closed_error(self) -> StoreClosedError:
        """What to raise once the engine is closed."""
        return StoreClosedError(f"the store {self.path!r} is closed: open it again to use it")

    def _opened(self) -> lmdb.Environment:
        env = self._env
        if env is None:
            if self._users:
                self._reconnect()
                return self._opened()
            raise self.closed_error()
        return env

    def _refuse(self, db: Any) -> Any:
        """In place of the environment's own begin() where there is none, or not yet."""
        space = self._dbs.index(db)
        return self._opened().begin(self._dbs[space])

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

    def _translated(self, error: lmdb.Error) -> StoneError:
        if self._env is None and self._users == 0:
            return self.closed_error()
        return translated(error, self.path)

    def _after_fork(self) -> None:
        if self._env is not None:
            keep_for_parent(self._env)
        self._env = None
        self.forks += 1
        self._begin = self._refuse
        self._commits = Commits(partial(self.begin, write=True))
        self._writing = Lock()
        self._writer = 0
        self._left = None

    def _reconnect(self) -> None:
        """Open the file anew in a forked child."""
        with self._sharing:
            if self._env is None:
                open_after_fork(self._connect)


def _bytes_of(tree: Any) -> int:
    pages: int = tree["branch_pages"] + tree["leaf_pages"] + tree["overflow_pages"]
    return pages * int(tree["psize"])


def _after_fork() -> None:
    engines = list(LmdbEngine._shared.values())
    LmdbEngine._sharing = Lock()
    for env in LmdbEngine._parting.values():
        keep_for_parent(env)
    LmdbEngine._parting.clear()
    for engine in engines:
        engine._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
