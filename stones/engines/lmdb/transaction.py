"""A transaction of the LMDB engine: reading, writing, savepoints, and how it ends.

A transaction that has ended refers to nothing that is open. Whoever keeps it, or an exception with
the frames that had it, keeps no file open.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn
from weakref import ref

import lmdb

from stones.engine import Page, Space, Transaction
from stones.errors import StoneError, TransactionError

from .batches import batches, check_value_size
from .databases import Databases
from .open_file import OpenFile
from .process_lock import ProcessLock
from .scans import Pages, Scan, guarded, move_to_start, until
from .writer_lock import WriterLock

_FEW = 8_000
"""Changes that a transaction can hold before LMDB's list of changed pages may be full.

The list has 131,072 places, and a change takes at most 16.
"""
_STEP = 64
"""Beyond that, the changes after which room is made again."""
_ROOM = 1 << 21
"""Bytes, 512 pages. Before LMDB takes such a value, it frees twice as many places."""
_ROOM_KEY = b"room"


class _Ended:
    """Stands in place of LMDB's transaction and environment before a begin, and after an end."""

    def _refuse(self, *args: Any, **options: Any) -> NoReturn:
        raise lmdb.BadTxnError("it is not open")

    get = put = delete = drop = cursor = stat = id = commit = begin = info = copy = _refuse

    def abort(self) -> None:
        pass


ENDED: Any = _Ended()


class LmdbTransaction(Transaction):
    """A transaction on an open file: LMDB's, and what LMDB does not do by itself."""

    __slots__ = (
        "__weakref__",
        "_changes",
        "_file",
        "_forks",
        "_inner",
        "_lock",
        "_parent",
        "_process_lock",
        "_roomy",
        "_scans",
        "_writable",
        "databases",
        "environment",
        "holds_lock",
        "on_end",
        "raw",
    )

    def __init__(
        self,
        file: OpenFile,
        databases: Databases,
        lock: WriterLock | None = None,
        process_lock: ProcessLock | None = None,
        parent: "LmdbTransaction | None" = None,
    ) -> None:
        self.environment: lmdb.Environment = ENDED
        """The environment, from `start` to the end."""
        self.databases = databases
        self.raw: lmdb.Transaction[bytes] = ENDED
        """LMDB's transaction, from `start` to the end."""
        self.holds_lock = False
        """Whether it releases the locks when it ends."""
        self._file = file
        self._lock = lock
        self._process_lock = process_lock
        self._forks = file.forks
        self._writable = lock is not None or parent is not None
        self._parent = parent
        self._inner: ref[LmdbTransaction] | None = None  # the savepoint begun last
        self._scans: list[ref[Scan | Pages]] = []
        self._changes = 0  # including the changes of its savepoints
        self._roomy = _FEW  # up to so many changes, a savepoint has room
        self.on_end: Callable[[], object] | None = None
        """Called when a read transaction ends."""

    def start(self, environment: Callable[[], lmdb.Environment]) -> None:
        """Begin, in what `environment` gives. Raises lmdb.Error.

        If the table of readers is full, the places of readers that were killed are cleared first.
        """
        # All goes straight into this object. In a variable of a frame, or an argument, the
        # traceback of an interrupt would keep it open, and LMDB's lock taken.
        try:
            self.environment = environment()
            try:
                self.raw = self.environment.begin(write=self._writable)
            except lmdb.ReadersFullError:
                if not self.environment.reader_check():
                    raise
                self.raw = self.environment.begin(write=self._writable)
        except BaseException:
            self.let_go()
            raise

    def let_go(self) -> None:
        """Refer to nothing of LMDB any more, which undoes what is not committed."""
        self.raw = self.environment = ENDED
        if not self.holds_lock:
            self._process_lock = None

    def get(self, space: Space, key: bytes) -> bytes | None:
        db = self.databases[space]
        if db is None:
            return None
        if self._file.closed:
            raise self._file.closed_error()
        try:
            return self.raw.get(key, None, db)
        except lmdb.Error as error:
            raise self._failed(error) from error

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        if self._scans:
            self._settle()
        self._changes += 1
        try:
            # Arguments by position: by name, they cost 85 ns more.
            self.raw.put(key, value, True, True, False, self.databases[space])
        except lmdb.Error as error:
            check_value_size(key, value, error)
            raise self._failed(error) from error

    def delete(self, space: Space, key: bytes) -> bool:
        if self._scans:
            self._settle()
        self._changes += 1
        try:
            return self.raw.delete(key, db=self.databases[space])
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

    def pages(
        self,
        space: Space,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys: bool = True,
        values: bool = True,
    ) -> Iterator[Page]:
        db = self.databases[space]
        if db is None:
            return iter(())
        try:
            pages = Pages(self._file, self.raw, db, (start, stop, reverse), keys, values)
        except lmdb.Error as error:
            raise self._failed(error) from error
        if self._writable:
            self._scans.append(ref(pages))
        return pages

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        db = self.databases[space]
        if db is None:
            return [None] * len(keys)
        if self._file.closed:
            raise self._file.closed_error()
        try:
            found: Any = self.raw.cursor(db).getmulti(keys)
        except lmdb.Error as error:
            raise self._failed(error) from error
        if len(found) == len(keys):  # the usual case: all are there, in the order of the keys
            return [value for _, value in found]
        return list(map(dict(found).get, keys))

    def put_many(self, space: Space, entries: Iterable[tuple[bytes, bytes]]) -> None:
        for batch in batches(entries):
            if self._scans:
                self._settle()
            self._changes += len(batch)
            try:
                self.raw.cursor(self.databases[space]).putmulti(batch)
            except lmdb.Error as error:
                for key, value in batch:
                    check_value_size(key, value, error)
                raise self._failed(error) from error

    def count(self, space: Space) -> int:
        db = self.databases[space]
        if db is None:
            return 0
        if self._file.closed:
            raise self._file.closed_error()
        try:
            return self.raw.stat(db)["entries"]
        except lmdb.Error as error:
            raise self._failed(error) from error

    def delete_range(self, space: Space, start: bytes = b"", stop: bytes | None = None) -> None:
        if start or stop is not None:
            super().delete_range(space, start, stop)
            return
        if self._scans:
            self._settle()
        if self.databases[space] is None:
            return
        try:
            self.raw.drop(self.databases[space], delete=False)
        except lmdb.Error as error:
            raise self._failed(error) from error

    def begin(self) -> "LmdbTransaction":
        self._settle()
        if self._parent is None and self._changes >= self._roomy:
            self._make_room()
        inner = LmdbTransaction(self._file, self.databases, parent=self)
        try:
            self.raw.id()  # raises if the transaction has ended
            inner.environment = self.environment
            inner.raw = self.environment.begin(parent=self.raw, write=True)
        except lmdb.Error as error:
            inner.let_go()
            raise self._failed(error) from error
        self._inner = ref(inner)
        return inner

    def commit(self) -> None:
        if self._forks != self._file.forks:
            raise TransactionError("the transaction was begun before fork(): it is the parent's")
        if self._is_left_to_its_thread():
            raise TransactionError(
                "a transaction is ended by the thread that began it: this one is undone when that "
                "thread writes again"
            )
        try:
            if self._lock is not None:
                self._file.place.check()
            if self._roomy > _FEW:
                self.raw.delete(_ROOM_KEY, db=self.databases[Space.META])
            self.raw.commit()
        except lmdb.Error as error:
            raise self._failed(error) from error
        finally:
            if self._scans or self._inner is not None:
                self._drop()
            self.raw = self.environment = ENDED
            self._release()
        if self._parent is not None:
            self._parent._changes += self._changes

    def abort(self) -> None:
        # A transaction that was inherited through fork() is the parent's to end.
        if self._forks != self._file.forks:
            return
        if not self._writable:
            self.raw.abort()
            self.let_go()
        elif self._is_left_to_its_thread():
            return
        else:
            self._drop()
        self._release()

    def id(self) -> int:
        """The number of the transaction whose state this one reads, or that it writes."""
        try:
            return self.raw.id()
        except lmdb.Error as error:
            raise self._failed(error) from error

    def used_size(self) -> int:
        """The part of the file that is not free, in bytes, as this transaction sees it."""
        try:
            # In a database of stones 0.3, the main database may be that of the values too.
            databases = {id(db): db for db in (self._file.main, *self.databases) if db is not None}
            trees: list[Any] = [self.raw.stat(db) for db in databases.values()]
        except lmdb.Error as error:
            raise self._failed(error) from error
        pages = sum(
            tree["branch_pages"] + tree["leaf_pages"] + tree["overflow_pages"] for tree in trees
        )
        return int(pages + 2) * int(trees[0]["psize"])

    def _drop(self) -> None:
        """Let go of LMDB's transaction. If it is not committed, that undoes it at once.

        LMDB's own abort() first waits for a moment at which no thread is inside LMDB. If two
        threads read all the time, that moment never comes, and LMDB's lock stays taken.
        """
        inner = None if self._inner is None else self._inner()
        if inner is not None:
            inner._drop()
        for scan in self._open_scans():
            scan.end()
        self.let_go()

    def _is_left_to_its_thread(self) -> bool:
        """Whether another thread began it: only that thread can end it, and its next write will."""
        lock = self._lock
        if lock is None or not self.holds_lock or lock.is_mine():
            return False
        lock.left_by_another_thread = self
        return True

    def _release(self) -> None:
        if self.on_end is not None:
            self.on_end()
        lock = self._lock
        if lock is not None and self.holds_lock:
            if self._process_lock is not None:
                # An interrupt may come after this. Then the caller ends the transaction again.
                self._process_lock.release()
                self._process_lock = None
            self.holds_lock = False
            lock.left_by_another_thread = None
            lock.release()

    def _walk(
        self, space: Space, start: bytes, stop: bytes | None, reverse: bool, values: bool
    ) -> Iterator[Any]:
        db = self.databases[space]
        if db is None:
            return iter(())
        try:
            cursor = self.raw.cursor(db)
            found = move_to_start(cursor, start, stop, reverse)
            walk: Any = cursor.iterprev if reverse else cursor.iternext
            entries: Iterator[Any] = walk(True, values) if found else iter(())
        except lmdb.Error as error:
            raise self._failed(error) from error
        if self._writable:
            entries = scan = Scan(entries)
            self._scans.append(ref(scan))
        end = start if reverse else stop
        if end is None or (reverse and not end):
            return guarded(entries, self._failed)
        return until(entries, end, reverse, values, self._failed)

    def _make_room(self) -> None:
        """Let LMDB write out pages of a very large transaction, before a savepoint begins in it.

        LMDB keeps a list of the pages that a transaction has changed. If the list is nearly full,
        it writes out some of the pages, but in a savepoint only the savepoint's own. A savepoint
        that begins with a nearly full list would fail (MDB_TXN_FULL). Before LMDB takes a large
        value, it makes places in the list. So a large value is written here, always to one key.
        """
        if (
            self.databases[Space.META] is None
        ):  # a database of stones 0.3 has no place for the value
            return
        self._roomy = self._changes + _STEP
        try:
            self.raw.put(_ROOM_KEY, bytes(_ROOM), db=self.databases[Space.META])
        except lmdb.Error as error:
            raise self._failed(error) from error

    def _settle(self) -> None:
        """Before a write: let the open scans read the rest of their entries."""
        for scan in self._open_scans():
            scan.settle()

    def _open_scans(self) -> "list[Scan | Pages]":
        """The scans that are still read from. The transaction forgets them."""
        scans = [scan() for scan in self._scans]
        self._scans.clear()
        return [scan for scan in scans if scan is not None]

    def _failed(self, error: lmdb.Error) -> StoneError:
        return self._file.translated(error)
