"""A transaction of the LMDB engine, and what its errors mean."""

from collections.abc import Callable, Iterator
from threading import get_ident
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import ref

import lmdb

from stones.engine import Space, Transaction
from stones.errors import StoneError, StorageError, TransactionError

if TYPE_CHECKING:
    from .engine import LmdbEngine

_MAX_VALUE = (1 << 32) - 1
"""Bytes, of LMDB."""

_FEW = 8_000
"""Changes that can be made in a transaction before LMDB's list of changed pages is full: it has
131,072 places, and a change takes 16 at the very most."""
_STEP = 64
"""Changes after which a transaction with more than that is looked after again."""
_ROOM = 1 << 21
"""Bytes, 512 pages: LMDB sees to it that there are twice as many places before it takes a value."""
_ROOM_KEY = b"room"


class _Ended:
    """In place of LMDB's transaction before it has begun, and once it was dropped."""

    def _refuse(self, *args: Any, **options: Any) -> NoReturn:
        raise lmdb.BadTxnError("it is not open")

    get = put = delete = drop = cursor = stat = id = commit = _refuse

    def abort(self) -> None:
        pass


ENDED: Any = _Ended()


class LmdbTransaction(Transaction):
    __slots__ = (
        "__weakref__",
        "_changes",
        "_dbs",
        "_engine",
        "_env",
        "_forks",
        "_inner",
        "_locked",
        "_parent",
        "_roomy",
        "_scans",
        "_txn",
        "_writable",
        "on_end",
    )

    def __init__(
        self,
        engine: "LmdbEngine",
        env: lmdb.Environment,
        txn: "lmdb.Transaction[bytes]",
        dbs: tuple[Any, ...],
        *,
        writable: bool,
        parent: "LmdbTransaction | None" = None,
    ) -> None:
        self._engine = engine
        self._env = env
        self._forks = engine.forks
        self._txn = txn
        self._dbs = dbs
        self._writable = writable
        self._parent = parent
        self._inner: ref[LmdbTransaction] | None = None  # the savepoint begun last
        self._locked = False  # whether it holds the engine's lock, to be released when it ends
        self._scans: list[ref[_Scan]] = []
        self._changes = 0  # with those of the savepoints in it
        self._roomy = _FEW  # up to how many of them a savepoint has room
        self.on_end: Callable[[], object] | None = None
        """Called when a read transaction ends."""

    def get(self, space: Space, key: bytes) -> bytes | None:
        db = self._dbs[space]
        if db is None:
            return None
        if self._engine.closed:
            raise self._engine.closed_error()
        try:
            return self._txn.get(key, None, db)
        except lmdb.Error as error:
            raise self._failed(error) from error

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        if self._scans:
            self._settle()
        self._changes += 1
        try:
            self._txn.put(key, value, True, True, False, self._dbs[space])  # by name: 85 ns more
        except lmdb.Error as error:
            if len(value) > _MAX_VALUE:
                raise StorageError(
                    f"a value has less than 4 GiB when it is encoded, that of {key!r} has "
                    f"{len(value):,} bytes: split it, or keep it in a file of its own"
                ) from error
            raise self._failed(error) from error

    def delete(self, space: Space, key: bytes) -> bool:
        if self._scans:
            self._settle()
        self._changes += 1
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
        if self._engine.closed:
            raise self._engine.closed_error()
        try:
            return self._txn.stat(db)["entries"]
        except lmdb.Error as error:
            raise self._failed(error) from error

    def clear(self, space: Space) -> None:
        if self._scans:
            self._settle()
        if self._dbs[space] is None:
            return
        try:
            self._txn.drop(self._dbs[space], delete=False)
        except lmdb.Error as error:
            raise self._failed(error) from error

    def begin(self) -> "LmdbTransaction":
        self._settle()
        if self._parent is None and self._changes >= self._roomy:
            self._make_room()
        try:
            self._txn.id()  # raises where there is none any more
            txn = self._env.begin(parent=self._txn, write=True)
        except lmdb.Error as error:
            raise self._failed(error) from error
        inner = LmdbTransaction(self._engine, self._env, txn, self._dbs, writable=True, parent=self)
        self._inner = ref(inner)
        return inner

    def commit(self) -> None:
        if self._forks != self._engine.forks:
            raise TransactionError("the transaction was begun before fork(): it is the parent's")
        if self._is_elsewhere():
            self._engine._left = self
            raise TransactionError(
                "a transaction is to be ended by the thread that began it: this one is undone when "
                "that thread writes again"
            )
        try:
            if self._roomy > _FEW:
                self._txn.delete(_ROOM_KEY, db=self._dbs[Space.META])
            self._txn.commit()
        except lmdb.Error as error:
            raise self._failed(error) from error
        finally:
            self._release()
        if self._parent is not None:
            self._parent._changes += self._changes

    def abort(self) -> None:
        # What was inherited through fork() is the parent's to end.
        if self._forks != self._engine.forks:
            return
        if self._is_elsewhere():
            self._engine._left = self
            return
        if self._writable:
            self._drop()
        else:
            self._txn.abort()
        self._release()

    def _drop(self) -> None:
        """Undo the changes by letting go of LMDB's transaction, which undoes it at once.

        Its own abort() first waits for an instant at which no thread is inside of LMDB; where two
        threads read all the time that never comes, and LMDB's lock is held until it does.
        """
        inner = None if self._inner is None else self._inner()
        if inner is not None:
            inner._drop()
        for scan in self._open_scans():
            scan.end()
        self._txn = ENDED

    def _is_elsewhere(self) -> bool:
        return self._locked and self._engine._writer != get_ident()

    def _release(self) -> None:
        if self.on_end is not None:
            self.on_end()
        if self._locked:
            self._locked = False
            self._engine._left = None
            self._engine._writer = 0
            self._engine._writing.release()

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
                walk: Any = cursor.iterprev
            else:
                found = cursor.set_range(start) if start else cursor.first()
                walk = cursor.iternext
            entries: Iterator[Any] = walk(True, values) if found else iter(())
        except lmdb.Error as error:
            raise self._failed(error) from error
        if self._writable:
            entries = scan = _Scan(entries)
            self._scans.append(ref(scan))
        end = start if reverse else stop
        if end is None or (reverse and not end):
            return self._guarded(entries)
        return self._until(entries, end, reverse, values)

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

    def _make_room(self) -> None:
        """Let LMDB write out pages of a very large transaction, before there is a savepoint in it.

        It keeps a list of the pages that a transaction has changed, and writes out some of them
        when that is nearly full, but inside of a savepoint only the savepoint's own. One that
        begins with the list all but full would fail (MDB_TXN_FULL). For a large value, LMDB makes
        places beforehand, and the same value again is written over the one before.
        """
        if self._dbs[Space.META] is None:  # as stones 0.3 left it: there is no place for that
            return
        self._roomy = self._changes + _STEP
        try:
            self._txn.put(_ROOM_KEY, bytes(_ROOM), db=self._dbs[Space.META])
        except lmdb.Error as error:
            raise self._failed(error) from error

    def _settle(self) -> None:
        """Before a write: let the open scans read the rest of what they are to see."""
        for scan in self._open_scans():
            scan.settle()

    def _open_scans(self) -> "list[_Scan]":
        """The scans that somebody still reads from, which are no longer this transaction's."""
        scans = [scan() for scan in self._scans]
        self._scans.clear()
        return [scan for scan in scans if scan is not None]

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

    def end(self) -> None:
        self._entries = _no_entries()


def _no_entries() -> Iterator[Any]:
    raise lmdb.BadTxnError("it was undone")
    yield
