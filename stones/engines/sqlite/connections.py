"""The connections of a process to the file of a store.

A connection has one transaction at a time, so each reader takes one of its own, and gives it back.
The writer has one that waits in its own way. A few are kept open: to open one takes 0.2 ms.

A connection must not be used, or closed, in a forked child. More than that, the locks that SQLite
believes to have would be the parent's. So before a fork all connections are closed that no
transaction is using. If a transaction reads at that moment, the child closes its connection. If a
transaction writes, the child cannot use the file at all: closing that connection would undo, in the
memory that both share, what the parent is writing.
"""

import sqlite3
from collections.abc import Callable
from threading import Lock
from time import monotonic, sleep
from typing import Any, Protocol
from weakref import WeakSet, ref

from stones.errors import StoneError, StorageError, StoreClosedError

from .opening import connect, opening_error
from .place import Place

_KEPT = 8
"""How many connections for readers stay open."""
_PATIENCE = 1.0
"""Seconds that a fork waits for reads that are under way in other threads."""

_left_to_parents: list[object] = []


class User(Protocol):
    """A transaction, as far as its connection knows it."""

    writable: bool

    def lose(self, error: StoneError, *, close: bool) -> None:
        """Each use raises `error` from now on. With `close`, undo it if this thread may."""
        ...


class Link:
    """A connection, with a cursor for statements of one row, and the transaction that has it."""

    __slots__ = ("__weakref__", "closed", "connection", "cursor", "run", "user")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.run: Callable[..., sqlite3.Cursor] = self.cursor.execute
        """Executes a statement. The next one ends it."""
        self.user: ref[User] | None = None
        self.closed = False

    def close(self) -> None:
        """Let go of it. What is not committed is undone."""
        self.closed = True
        self.connection.close()


class Connections:
    """The connections to the file at `place`, opened by `mode`. Threads may share it."""

    def __init__(self, place: Place, *, mode: str, durability: str) -> None:
        self.closed = False
        self.idle: list[Link] = []
        """The connections that no reader has. `pop` and `append` are safe for threads."""
        self._writer: Link | None = None
        self._place = place
        self._mode = mode
        self._durability = durability
        self._links: WeakSet[Link] = WeakSet()
        self._opening = Lock()
        self._unusable = False  # in a child that was forked while a transaction wrote

    def take(self) -> Link:
        """A connection for a reader. Raises StoreClosedError, StorageError."""
        try:
            return self.idle.pop()
        except IndexError:
            return self._open()

    def give(self, link: Link) -> None:
        """The reader does not need the connection any more."""
        link.user = None
        if self.closed or link.closed or len(self.idle) >= _KEPT:
            link.close()
        else:
            self.idle.append(link)
            if self.closed:  # by another thread, just now
                self.close_idle()

    def take_writer(self) -> Link:
        """The connection for the one writer."""
        link, self._writer = self._writer, None
        return self._open(patience=0) if link is None else link

    def give_writer(self, link: Link) -> None:
        """The writer does not need the connection any more."""
        link.user = None
        if self.closed or link.closed:
            link.close()
        else:
            self._writer = link
            if self.closed:
                self.close_idle()

    def close(self) -> None:
        """Close all connections that are not in use. Each other one is closed when it is given."""
        self.closed = True
        self.close_idle()
        for user in self.users():
            user.lose(self._closed_error(), close=True)

    def close_idle(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        while self.idle:
            try:
                link = self.idle.pop()
            except IndexError:  # another thread was quicker
                break
            link.close()

    def users(self) -> list[User]:
        """The transactions that have a connection."""
        found = [link.user() for link in list(self._links) if link.user is not None]
        return [user for user in found if user is not None]

    # -- fork ----------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close what is not in use, and wait for the reads of other threads that end at once."""
        self._opening.acquire()
        until = monotonic() + _PATIENCE
        self.close_idle()
        while monotonic() < until and self._is_reading():
            sleep(0.0001)
            self.close_idle()
        if not self.users():
            self._place.disconnected()

    def after_fork_in_parent(self) -> None:
        self._opening.release()

    def after_fork_in_child(self) -> None:
        self._opening = Lock()
        reason = StorageError("the transaction was begun before fork(): it is the parent's")
        for link in list(self._links):
            user = None if link.user is None else link.user()
            if user is not None:
                user.lose(reason, close=False)
            if user is not None and user.writable:
                _leak(link)
                self._unusable = True
            else:
                link.close()
        self._links = WeakSet()
        self.idle = []
        self._writer = None
        self._place.disconnected()

    def _closed_error(self) -> StoreClosedError:
        path = self._place.path
        return StoreClosedError(f"the store {path!r} is closed: open it again to use it")

    def _is_reading(self) -> bool:
        """Whether a thread has a connection without a transaction: it reads a single value."""
        return any(link.user is None and _is_open(link) for link in list(self._links))

    def _open(self, **options: Any) -> Link:
        with self._opening:
            path = self._place.path
            if self.closed:
                raise self._closed_error()
            if self._unusable:
                raise StorageError(
                    f"this process was forked while a transaction wrote to {path!r}, and SQLite "
                    "cannot use the file in it: fork outside of transactions, or start another "
                    "program"
                )
            self._place.check_file("cannot open the file again")
            try:
                opened = connect(path, mode=self._mode, durability=self._durability, **options)
            except sqlite3.Error as error:
                raise opening_error(error, path) from error
            link = Link(opened)
            self._links.add(link)
            try:
                self._place.check_file("cannot open the file again")
                self._place.connected()
            except BaseException:
                link.close()
                raise
            return link


def _is_open(link: Link) -> bool:
    try:
        link.connection.in_transaction  # noqa: B018  # raises for a closed one
    except sqlite3.ProgrammingError:
        return False
    return True


def _leak(link: Link) -> None:
    """Keep a connection of the parent from ever being closed in this child, also at its end."""
    from ctypes import py_object, pythonapi  # only such a child needs it

    _left_to_parents.append(link)
    pythonapi.Py_IncRef(py_object(link.connection))
