"""The engine on disk: LMDB, one file a store, many readers and one writer, crash-proof.

The spaces are named databases of one environment. What needs care, and is taken care of here:

- The map. A large range of addresses is reserved at opening, which costs nothing on a 64-bit system
  (the file stays as small as its pages); where it is refused, a smaller one is tried.
- One environment a file. POSIX locks belong to the process, so opening a file twice would break
  them: all stores of a process on the same file (by device and inode) share one engine.
- fork. The child gets an environment of its own, and leaves alone what it inherited: closing that
  would free the parent's slots in the table of readers.
"""

import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from threading import Lock, get_ident
from typing import Any, ClassVar, TypeVar
from weakref import ref

import lmdb

from .commits import Commits
from .engine import Engine, Space, Transaction
from .errors import (
    ReadOnlyError,
    StoneError,
    StorageError,
    StoreClosedError,
    StoreFullError,
    StoreOpenError,
    TransactionError,
)
from .store import K, Store, V

T = TypeVar("T")

SPACES = (b"stones:data", b"stones:index", b"stones:meta")
"""The named database of each space. The main database holds nothing else (but in stones 0.3)."""

LARGEST_MAP = 1 << 40
SMALLEST_MAP = 1 << 26
MAX_READERS = 1024

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LmdbStore(Store[K, V]):
    """A store in a directory on disk, for any number of threads and processes on this machine.

    `path` is made where it is not there yet. `readonly=True` opens an existing store without ever
    writing to it; `create=False` refuses a path where there is none. `table` is only for a
    database of stones 0.3 that kept its values in a named table.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        readonly: bool = False,
        create: bool = True,
        table: bytes | None = None,
        **options: Any,
    ) -> None:
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

    _shared: "ClassVar[dict[tuple[int, int], LmdbEngine]]" = {}
    _sharing: ClassVar[Any] = Lock()

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

        `create=False` refuses a path where there is no store yet, `new` one where there is anything.
        `table` is the named table that a database of stones 0.3 has its values in.
        Raises StoreOpenError.
        """
        if new:
            _check_vacant(path)
        with cls._sharing:
            engine = cls._shared.get(_identity(path) or (0, 0))
            if engine is None:
                engine = cls(path, readonly=readonly, create=create, table=table)
                cls._shared[_identity(path) or (0, 0)] = engine
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
        self._commits = Commits(partial(self.begin, write=True))
        self._writer = 0  # the thread that has the write transaction
        _check_place(self.path, create=create and not readonly)
        self._connect()

    # -- the contract --------------------------------------------------------------------------

    def begin(self, *, write: bool = False) -> "LmdbTransaction":
        if write:
            self._check_writable()
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
        if write:
            self._writer = get_ident()
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
            env, self._env = self._env, None
            self._begin = self._refuse
        if env is not None:
            env.close()

    def stats(self) -> dict[str, Any]:
        """`path`, `file_size` and `used_size` (both in bytes), `readers` (open read transactions)."""
        try:
            env = self._opened()
            info, page = env.info(), env.stat()["psize"]
            readers = env.readers().count("\n") - 1
        except lmdb.Error as error:
            raise self._translated(error) from error
        return {
            "path": self.path,
            "file_size": os.path.getsize(os.path.join(self.path, "data.mdb")),
            "used_size": (info["last_pgno"] + 1) * page,
            "readers": max(readers, 0),
        }

    def backup(self, path: str) -> None:
        _check_vacant(path)
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
        try:
            with env.begin(write=True) as txn:
                source = env.open_db(self._table, txn=txn) if self._table else self._main
                dbs = tuple(env.open_db(name, txn=txn) for name in SPACES)
                with txn.cursor(db=source) as cursor:
                    found = cursor.first()
                    while found:
                        if source is not self._main or cursor.key() not in SPACES:
                            txn.put(cursor.key(), prefix + cursor.value(), db=dbs[Space.DATA])
                            found = cursor.delete()
                        else:
                            found = cursor.next()
                inner = LmdbTransaction(self, env, txn, dbs, writable=True)
                finish(inner)
        except lmdb.Error as error:
            raise self._translated(error) from error
        self._dbs, self.legacy = dbs, False

    def remove_files(self) -> None:
        """Delete the files, and the directory where nothing else is in it."""
        for name in ("data.mdb", "lock.mdb"):
            try:
                os.unlink(os.path.join(self.path, name))
            except FileNotFoundError:
                pass
        try:
            os.rmdir(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise StorageError(f"cannot remove {self.path!r}: {error}") from error

    def _connect(self) -> None:
        """Open the environment and its spaces; make them where they are not there yet."""
        env = self._open_environment()
        try:
            self._main = env.open_db(None)
            with env.begin() as txn:
                ours = txn.get(SPACES[Space.META], db=self._main) is not None
                empty = txn.stat(self._main)["entries"] == 0
            self.legacy = not ours and not empty
            if self.legacy:
                source = env.open_db(self._table, create=False) if self._table else self._main
                self._dbs: tuple[Any, ...] = (source, None, None)
                self._check_legacy(env)
            else:
                self._open_spaces(env)
        except (lmdb.Error, StoneError) as error:
            env.close()
            if isinstance(error, StoneError):
                raise
            raise StoreOpenError(f"cannot open the store {self.path!r}: {error}") from error
        self._env = env
        self._begin: Callable[..., Any] = env.begin

    def _open_spaces(self, env: lmdb.Environment) -> None:
        if self.readonly:
            try:
                self._dbs = tuple(env.open_db(name, create=False) for name in SPACES)
            except lmdb.NotFoundError as error:
                raise StoreOpenError(f"there is no store in {self.path!r}") from error
        else:
            with env.begin(write=True) as txn:
                self._dbs = tuple(env.open_db(name, txn=txn) for name in SPACES)
        self.legacy = False

    def _open_environment(self) -> lmdb.Environment:
        size = LARGEST_MAP
        while True:
            try:
                return lmdb.open(
                    self.path,
                    map_size=size,
                    readonly=self.readonly,
                    lock=_can_lock(self.path) if self.readonly else True,
                    max_dbs=len(SPACES) + 1,
                    max_readers=MAX_READERS,
                    max_spare_txns=1,
                )
            except lmdb.MemoryError as error:
                size //= 4
                if size < SMALLEST_MAP:
                    raise StoreOpenError(
                        f"no address space to map {self.path!r}: {error}; raise `ulimit -v`"
                    ) from error
            except lmdb.InvalidError as error:
                raise StoreOpenError(f"{self.path!r} holds a file that is not LMDB's") from error
            except (lmdb.Error, OSError) as error:
                raise StoreOpenError(f"cannot open the store {self.path!r}: {error}") from error

    def _check_legacy(self, env: lmdb.Environment) -> None:
        tables = env.dbs()
        if tables and self._table is None:
            raise StoreOpenError(
                f"{self.path!r} is an LMDB database with tables of its own, {tables}: if stones 0.3 "
                "wrote them, name one with table="
            )

    def _opened(self) -> lmdb.Environment:
        env = self._env
        if env is None:
            if self._users:
                self._reconnect()
                return self._opened()
            raise StoreClosedError(f"the store {self.path!r} is closed: open it again to use it")
        return env

    def _refuse(self, *args: Any) -> Any:
        """In place of the environment's own begin() where there is none."""
        return self._opened().begin(*args)

    def _check_writable(self) -> None:
        if self.readonly:
            raise ReadOnlyError(f"the store {self.path!r} was opened read-only")
        if self._writer == get_ident():
            raise TransactionError(
                "this thread has a transaction open on the store already: end that one first "
                "(in asyncio: do not await inside a transaction)"
            )

    def _translated(self, error: lmdb.Error) -> StoneError:
        if self._env is None and self._users == 0:
            return StoreClosedError(f"the store {self.path!r} is closed: open it again to use it")
        return translated(error, self.path)

    def _after_fork(self) -> None:
        if self._env is not None:
            _inherited.append(self._env)
        self._env = None
        self._begin = self._refuse
        self._commits = Commits(partial(self.begin, write=True))
        self._writer = 0

    def _reconnect(self) -> None:
        """Open the file anew in a forked child."""
        with self._sharing:
            if self._env is not None:
                return
            identity = import_module("lmdb._envid")
            plain = identity.env_keys
            # py-lmdb keeps the files that it has open from being opened twice in a process, and has
            # inherited the parent's. This is another process: another key for the same file.
            identity.env_keys = lambda *args: tuple((os.getpid(), *key) for key in plain(*args))
            try:
                self._connect()
            finally:
                identity.env_keys = plain


class LmdbTransaction(Transaction):
    __slots__ = ("__weakref__", "_dbs", "_engine", "_env", "_parent", "_scans", "_txn", "_writable")

    def __init__(
        self,
        engine: LmdbEngine,
        env: lmdb.Environment,
        txn: "lmdb.Transaction[bytes]",
        dbs: tuple[Any, ...],
        *,
        writable: bool,
        parent: "LmdbTransaction | None" = None,
    ) -> None:
        self._engine = engine
        self._env = env
        self._txn = txn
        self._dbs = dbs
        self._writable = writable
        self._parent = parent
        self._scans: list[ref[_Scan]] = []

    def get(self, space: Space, key: bytes) -> bytes | None:
        db = self._dbs[space]
        if db is None:
            return None
        try:
            return self._txn.get(key, None, db)
        except lmdb.Error as error:
            raise self._failed(error) from error

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        if self._scans:
            self._settle()
        try:
            self._txn.put(key, value, True, True, False, self._dbs[space])  # by name: 85 ns more
        except lmdb.Error as error:
            raise self._failed(error) from error

    def delete(self, space: Space, key: bytes) -> bool:
        if self._scans:
            self._settle()
        try:
            return self._txn.delete(key, db=self._dbs[space])
        except lmdb.Error as error:
            raise self._failed(error) from error

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._walk(space, start, stop, reverse, True)

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        return self._walk(space, start, stop, reverse, False)

    def count(self, space: Space) -> int:
        db = self._dbs[space]
        if db is None:
            return 0
        try:
            return self._txn.stat(db)["entries"]
        except lmdb.Error as error:
            raise self._failed(error) from error

    def clear(self, space: Space) -> None:
        if self._scans:
            self._settle()
        try:
            self._txn.drop(self._dbs[space], delete=False)
        except lmdb.Error as error:
            raise self._failed(error) from error

    def begin(self) -> "LmdbTransaction":
        self._settle()
        try:
            txn = self._env.begin(parent=self._txn, write=True)
        except lmdb.Error as error:
            raise self._failed(error) from error
        return LmdbTransaction(
            self._engine, self._env, txn, self._dbs, writable=True, parent=self
        )

    def commit(self) -> None:
        if self._env is not self._engine._env:
            raise TransactionError("the transaction was begun before fork(): it is the parent's")
        try:
            self._txn.commit()
        except lmdb.Error as error:
            raise self._failed(error) from error
        finally:
            self._release()

    def abort(self) -> None:
        # What was inherited through fork() is the parent's to end; and closing has ended it all.
        if self._env is self._engine._env:
            self._txn.abort()
            self._release()

    def _release(self) -> None:
        if self._writable and self._parent is None:
            self._engine._writer = 0

    def _walk(
        self, space: Space, start: bytes, stop: bytes | None, reverse: bool, values: bool
    ) -> Iterator[Any]:
        db = self._dbs[space]
        if db is None:
            return iter(())
        try:
            cursor = self._txn.cursor(db)
            if reverse:
                above = cursor.set_range(stop) if stop is not None else False
                found = cursor.prev() if above else cursor.last()
                entries: Iterator[Any] = cursor.iterprev(True, values) if found else iter(())
            else:
                found = cursor.set_range(start) if start else cursor.first()
                entries = cursor.iternext(True, values) if found else iter(())
        except lmdb.Error as error:
            raise self._failed(error) from error
        if self._writable:
            entries = scan = _Scan(entries)
            self._scans.append(ref(scan))
        end = start if reverse else stop
        return self._until(entries, end, reverse, values) if end else self._guarded(entries)

    def _guarded(self, entries: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from entries
        except lmdb.Error as error:
            raise self._failed(error) from error

    def _until(
        self, entries: Iterator[Any], end: bytes, reverse: bool, values: bool
    ) -> Iterator[Any]:
        try:
            for entry in entries:
                key = entry[0] if values else entry
                if key < end if reverse else key >= end:
                    return
                yield entry
        except lmdb.Error as error:
            raise self._failed(error) from error

    def _settle(self) -> None:
        """Before a write: let the open scans read the rest of what they are to see."""
        for scan in [scan() for scan in self._scans]:
            if scan is not None:
                scan.settle()
        self._scans.clear()

    def _failed(self, error: lmdb.Error) -> StoneError:
        return self._engine._translated(error)


class _Scan:
    """The entries of a scan in a write transaction, which a later write must not change."""

    __slots__ = ("__weakref__", "_entries")

    def __init__(self, entries: Iterator[Any]) -> None:
        self._entries = entries

    def __iter__(self) -> "_Scan":
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def settle(self) -> None:
        self._entries = iter(list(self._entries))


def translated(error: lmdb.Error, path: str) -> StoneError:
    """Our error for one of LMDB's."""
    if isinstance(error, lmdb.MapFullError) or error.code in _NO_ROOM:
        return StoreFullError(f"no room for more in {path!r}: {error}; nothing was changed")
    if isinstance(error, lmdb.ReadonlyError):
        return ReadOnlyError(f"this is a read transaction of {path!r}, or it was opened read-only")
    if isinstance(error, lmdb.BadTxnError) or "closed/deleted" in str(error):
        return TransactionError(f"the transaction on {path!r} has ended: {error}")
    return StorageError(f"LMDB failed on {path!r}: {error}")


def _identity(path: str) -> tuple[int, int] | None:
    """What the data file is, whatever it is called; None where there is none yet."""
    try:
        found = os.stat(os.path.join(path, "data.mdb"))
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_place(path: str, *, create: bool) -> None:
    if os.path.isfile(path):
        raise StoreOpenError(
            f"{path!r} is a file: an LMDB store is a directory, with the file data.mdb in it"
        )
    if not create and not os.path.isfile(os.path.join(path, "data.mdb")):
        raise StoreOpenError(f"there is no store at {path!r}")
    if not os.path.isdir(os.path.dirname(path)):
        raise StoreOpenError(f"cannot make the store {path!r}: the directory above it is not there")


def _check_vacant(path: str) -> None:
    if os.path.exists(path) and (not os.path.isdir(path) or os.listdir(path)):
        raise StoreOpenError(f"{path!r} is there already: name a new or an empty directory")


def _can_lock(path: str) -> bool:
    """Whether readers can enter themselves into the lock file, so that writers spare what they read."""
    lock = os.path.join(path, "lock.mdb")
    return os.access(lock, os.W_OK) if os.path.exists(lock) else os.access(path, os.W_OK)


_inherited: list[lmdb.Environment] = []
"""What a forked child got from its parent and must neither close nor let be collected."""


def _forget_inherited() -> None:
    for engine in list(LmdbEngine._shared.values()):
        engine._after_fork()
    LmdbEngine._sharing = Lock()
    if _inherited:
        # Not even at exit: collecting an environment ends its transactions, the parent's, too.
        from ctypes import py_object, pythonapi

        for env in _inherited:
            pythonapi.Py_IncRef(py_object(env))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
