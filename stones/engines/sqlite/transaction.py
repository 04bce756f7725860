"""SqliteTransaction: a transaction of SQLite on one connection; inside it, savepoints.

The number of entries of each space is kept as a difference until the commit, which adds it to the
row of the space. So a commit writes that row once.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from threading import get_ident
from typing import NoReturn, Protocol

from stones.engine import Space
from stones.engines.lmdb.writer_lock import WriterLock
from stones.errors import ReadOnlyError, StoneError, TransactionError

from . import statements
from .connections import Link
from .reading import Reading
from .refusals import MAX_VALUE_SIZE, ended, raising, too_large
from .statements import (
    ADD,
    ADD_COUNT,
    BATCH,
    COUNT_AGAIN,
    DELETE,
    PUT,
    READ_COUNTS,
    SET,
)


class File(Protocol):
    """The open file, as far as a transaction knows it: `SqliteEngine` describes the methods."""

    is_new: list[bool]
    """For each space, whether the last key that was put was a new one. It is only a hint."""

    def check_commit(self) -> None: ...
    def translated(self, error: sqlite3.Error) -> StoneError: ...
    def give(self, link: Link, *, writer: bool) -> None: ...


class SqliteTransaction(Reading):
    """A transaction on the connection `link`, or a savepoint inside `parent`.

    `lock` is the lock of the threads that write, which the transaction releases at its end.
    `counts` are the numbers of entries, where they are known.
    """

    __slots__ = (
        "_added",
        "_count_again",
        "_counts",
        "_depth",
        "_file",
        "_has_ended",
        "_held",
        "_inner",
        "_lock",
        "_parent",
        "holds_lock",
        "thread",
        "writable",
    )

    def __init__(
        self,
        file: File,
        link: Link,
        *,
        lock: WriterLock | None = None,
        counts: Sequence[int] | None = None,
        parent: "SqliteTransaction | None" = None,
    ) -> None:
        self._file = file
        self._link = link
        self._held: Link | None = link  # until it is given back
        self._run: Callable[..., sqlite3.Cursor] = link.run
        self._lock = lock
        self._counts = counts
        self._parent = parent
        self._inner: SqliteTransaction | None = None
        self._depth: int = 0 if parent is None else parent._depth + 1
        self._has_ended = False
        self._count_again = False
        self._scans = []
        self._added = [0] * len(Space)
        self.thread = get_ident()
        self.holds_lock = False
        self.writable = lock is not None or parent is not None

    def count(self, space: Space) -> int:
        self._check()
        if self._parent is not None:
            return self._parent.count(space) + self._added[space]
        if self._counts is None:
            try:
                rows = self._run(READ_COUNTS).fetchall()
            except sqlite3.Error as error:
                self._fail(error)
            self._counts = [entries for (entries,) in rows]
        return self._counts[space] + self._added[space]

    # -- writing -------------------------------------------------------------------------------

    def put(self, space: Space, key: bytes, value: bytes) -> None:
        if self._scans or not self.writable:
            self._before_write()
        if len(value) > MAX_VALUE_SIZE:
            raise too_large(key, value)
        is_new = self._file.is_new
        try:
            # One statement is enough if it is the right one: mostly it is the one for the last key.
            if is_new[space]:
                if self._run(ADD[space], (key, value)).rowcount:
                    self._added[space] += 1
                else:
                    is_new[space] = False
                    self._run(SET[space], (value, key))
            elif not self._run(SET[space], (value, key)).rowcount:
                is_new[space] = True
                self._run(ADD[space], (key, value))
                self._added[space] += 1
        except sqlite3.Error as error:
            self._fail(error)
        except BaseException:
            self._miscounted()
            raise

    def delete(self, space: Space, key: bytes) -> bool:
        if self._scans or not self.writable:
            self._before_write()
        try:
            deleted = self._run(DELETE[space], (key,)).rowcount
        except sqlite3.Error as error:
            self._fail(error)
        except BaseException:
            self._miscounted()
            raise
        self._added[space] -= deleted
        return deleted > 0

    def put_many(self, space: Space, entries: Iterable[tuple[bytes, bytes]]) -> None:
        self._before_write()
        remaining = iter(entries)
        # A list that is complete before it is put: its entries may come from this transaction.
        while batch := list(islice(remaining, BATCH)):
            self._before_write()
            for key, value in batch:
                if len(value) > MAX_VALUE_SIZE:
                    raise too_large(key, value)
            keys = list({key for key, _ in batch})
            try:
                self._added[space] += len(keys) - self._there(space, keys)
                self._link.cursor.executemany(PUT[space], batch)
            except sqlite3.Error as error:
                self._miscounted()
                self._fail(error)
            except BaseException:
                self._miscounted()
                raise

    def delete_range(self, space: Space, start: bytes = b"", stop: bytes | None = None) -> None:
        self._before_write()
        bounds = (start,) if stop is None else (start, stop)
        try:
            query = statements.delete_between(space, stop is not None)
            self._added[space] -= self._run(query, bounds).rowcount
        except sqlite3.Error as error:
            self._fail(error)
        except BaseException:
            self._miscounted()
            raise

    # -- the transaction as a whole ------------------------------------------------------------

    def begin(self) -> "SqliteTransaction":
        self._before_write()
        inner = SqliteTransaction(self._file, self._link, parent=self)
        try:
            self._run(f"SAVEPOINT s{inner._depth}")
        except sqlite3.Error as error:
            self._fail(error)
        self._inner = inner
        return inner

    def commit(self) -> None:
        self._check()
        if self._is_left_to_its_thread():
            raise TransactionError(
                "a transaction is ended by the thread that began it: this one is undone when that "
                "thread writes again"
            )
        try:
            if self._inner is not None:
                self._inner.abort()
            if self._parent is None:
                self._commit()
            else:
                self._run(f"RELEASE s{self._depth}")
                for space, added in enumerate(self._added):
                    self._parent._added[space] += added
        except sqlite3.Error as error:
            self.abort()
            raise self._file.translated(error) from error
        except BaseException:
            self.abort()
            raise
        self._end()

    def abort(self) -> None:
        if self._has_ended or self._is_left_to_its_thread():
            return
        link = self._held
        self.refuse(ended)
        try:
            # SQLite may have undone all of it after an error.
            if link is not None and link.connection.in_transaction:
                if self._parent is not None:
                    link.run(f"ROLLBACK TO s{self._depth}")
                    link.run(f"RELEASE s{self._depth}")
                else:
                    link.run("ROLLBACK" if self.writable else "COMMIT")
        except sqlite3.Error:
            if self._parent is not None:  # an interrupt came just after the end of the savepoint
                self._undone("a savepoint could not be undone alone")
            elif link is not None:
                self._held = None
                link.close()  # which undoes it; nothing else can be done with the connection
        self._end()

    def refuse(self, how: Callable[..., NoReturn], *, close: bool = True) -> None:
        """From now on each use calls `how`, here and in the savepoints.

        With `close`, the open scans are ended too: only by the thread that uses the transaction.
        """
        transaction: SqliteTransaction | None = self
        while transaction is not None:
            for scan in transaction._scans:
                rows = scan()
                if rows is not None:
                    rows.end(how, close=close)
            if close:
                transaction._scans = []
            transaction._run = how
            transaction = transaction._inner

    def lose(self, error: StoneError, *, close: bool) -> None:
        """The file is closed, or is the parent's after a fork: each use raises `error` from now on.

        With `close`, undoes it too, if this thread has begun it. Otherwise it is undone when it is
        ended or dropped.
        """
        mine = self.thread == get_ident()
        self.refuse(partial(raising, error), close=close and mine)
        if close and mine:
            self._link.close()
            self._end(partial(raising, error))
        elif not close:
            self.forget()

    def forget(self) -> None:
        """Its connection is not its own any more, nor that of its savepoints."""
        transaction: SqliteTransaction | None = self
        while transaction is not None:
            transaction._has_ended, transaction._held = True, None
            transaction = transaction._inner

    def _commit(self) -> None:
        if self.writable:
            self._file.check_commit()
            if self._count_again:
                for query in COUNT_AGAIN:
                    self._run(query)
            else:
                for space, added in enumerate(self._added):
                    if added:
                        self._run(ADD_COUNT, (added, space))
        # An open statement would keep the snapshot after the end of the transaction.
        run = self._run
        self.refuse(ended)
        run("COMMIT")

    def _end(self, how: Callable[..., NoReturn] = ended) -> None:
        """It is committed or undone: give back the connection and the lock."""
        # An interrupt may come at each call. Then `abort` goes on from there.
        self.refuse(how)
        if self._inner is not None:
            self._inner.forget()
        held, self._held = self._held, None
        if self._parent is not None:
            self._parent._inner = None
        elif held is not None:
            self._file.give(held, writer=self.writable)
        self._release()
        self._has_ended = True

    def _release(self) -> None:
        lock = self._lock
        if lock is not None and self.holds_lock:
            self.holds_lock = False
            lock.left_by_another_thread = None
            lock.release()

    def _is_left_to_its_thread(self) -> bool:
        """Whether another thread began it: only that thread can end it, and its next write will."""
        lock = self._lock
        if lock is None or not self.holds_lock or lock.is_mine():
            return False
        lock.left_by_another_thread = self
        return True

    # -- parts ---------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise the error that says why the transaction cannot be used any more."""
        if self._has_ended or self._run is not self._link.run:
            self._run("")

    def _before_write(self) -> None:
        """Raise ReadOnlyError in a read transaction. Let the open scans read their rest."""
        self._check()
        if not self.writable:
            raise ReadOnlyError("this is a read transaction: begin one with write=True to write")
        transaction: SqliteTransaction | None = self
        while transaction is not None:
            scans, transaction._scans = transaction._scans, []
            for scan in scans:
                rows = scan()
                if rows is not None:
                    rows.settle()
            transaction = transaction._parent

    def _fail(self, error: sqlite3.Error) -> NoReturn:
        translated = self._file.translated(error)
        # After some errors SQLite has undone the whole transaction. What came next would be
        # committed statement by statement.
        if not self._has_ended and not self._is_open():
            self._undone(f"an error has undone it: {error}")
        raise translated from error

    def _undone(self, reason: str) -> None:
        """From now on the whole transaction can only be aborted."""
        error = TransactionError(f"the transaction cannot be committed: {reason}")
        self._root().refuse(partial(raising, error))

    def _root(self) -> "SqliteTransaction":
        root = self
        while root._parent is not None:
            root = root._parent
        return root

    def _miscounted(self) -> None:
        """An interrupt came between a change and its count: the commit counts all entries."""
        self._root()._count_again = True

    def _is_open(self) -> bool:
        try:
            return self._link.connection.in_transaction
        except sqlite3.ProgrammingError:  # closed
            return False
