"""The connections of a process to the file of a store.

A connection has one transaction at a time, so each reader takes one of its own, and gives it back.
The writer has one that waits in its own way. A few are kept open: to open one takes 0.2 ms.

A connection must not be used, or closed, in a forked child. More than that, the locks that SQLite
believes to have would be the parent's. So before a fork all connections are closed that no
transaction is using. If a transaction reads at that moment, the child closes its connection. If a
transaction writes, the child cannot use the file at all: closing that connection would undo, in the
memory that both share, what the parent is writing. The same holds for a transaction of another
thread, which may be in the middle of anything.
"""

import sqlite3
from collections.abc import Callable
from threading import Lock, get_ident
from time import monotonic, sleep
from typing import Protocol
from weakref import WeakSet, ref

from stones.errors import StoneError, StorageError, StoreClosedError

from .opening import connect, opening_error
from .place import Place

_KEPT = 8
"""How many connections for readers stay open."""
_PATIENCE = 1.0
"""Seconds that a fork waits for reads that are under way in other threads."""

_SHORT = 0.02
"""Seconds that a fork waits for transactions of other threads."""

_left_to_parents: list[object] = []


class User(Protocol):
    """A transaction, as far as its connection knows it."""

    writable: bool
    thread: int
    """The thread that began it."""

    def lose(self, error: StoneError, *, close: bool) -> None:
        """Each use raises `error` from now on. With `close`, undo it if this thread may."""
        ...


class Link:
    """A connection, with a cursor for statements of one row, and the transaction that has it."""

    __slots__ = ("__weakref__", "connection", "cursor", "is_open", "run", "user")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.run: Callable[..., sqlite3.Cursor] = self.cursor.execute
        """Executes a statement. The next one ends it."""
        self.is_open = True
        self.user: ref[User] | None = None

    def close(self) -> None:
        """Let go of it. What is not committed is undone."""
        self.connection.close()
        self.is_open = False  # only now: another thread may fork while SQLite closes it


class _NoPlace(list[Link]):
    """In place of the connections that are kept: a connection that is given is closed."""

    def append(self, link: Link) -> None:
        link.close()


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
        self._unusable = False  # in a child of a parent that was using it

    def take(self) -> Link:
        """A connection for a reader. Raises StoreClosedError, StorageError."""
        try:
            return self.idle.pop()
        except IndexError:
            return self._open()

    def give(self, link: Link) -> None:
        """The reader does not need the connection any more."""
        link.user = None
        if link.is_open and len(self.idle) < _KEPT:
            self.idle.append(link)
            if self.closed:  # by another thread, just now
                self.close_idle()
        else:
            link.close()

    def take_writer(self) -> Link:
        """The connection for the one writer."""
        link, self._writer = self._writer, None
        if link is None:
            link = self._open()
            link.run("PRAGMA busy_timeout = 0")  # it waits in its own way
        return link

    def give_writer(self, link: Link) -> None:
        """The writer does not need the connection any more."""
        link.user = None
        if self.closed or not link.is_open:
            link.close()
        else:
            self._writer = link
            if self.closed:
                self.close_idle()

    def close(self) -> None:
        """Close all connections that are not in use. Each other one is closed when it is given."""
        self.closed = True
        self.close_idle(place=_NoPlace())
        for user in self.users():
            user.lose(self._closed_error(), close=True)

    def close_idle(self, place: list[Link] | None = None) -> None:
        """Close what is not in use. From now on, readers give their connections to `place`."""
        idle = self.idle
        if place is not None:
            self.idle = place
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        while idle:
            try:
                link = idle.pop()
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
        self.close_idle(place=_NoPlace())
        self._wait(self._is_reading, _PATIENCE)
        self._wait(self._others, _SHORT)  # a long one goes on
        self.close_idle()
        if not self.users():
            self._place.disconnected()

    def after_fork_in_parent(self) -> None:
        if not self.closed:
            self.idle = []
        self._opening.release()

    def after_fork_in_child(self) -> None:
        self._opening = Lock()
        reason = StorageError("the transaction was begun before fork(): it is the parent's")
        for link in list(self._links):
            user = None if link.user is None else link.user()
            if user is not None:
                user.lose(reason, close=False)
            if user is not None and not user.writable and user.thread == get_ident():
                link.close()
            elif link.is_open:
                _leak(link)
                self._unusable = True
        self._links = WeakSet()
        if not self.closed:
            self.idle = []
        self._writer = None
        self._place.disconnected()

    def _closed_error(self) -> StoreClosedError:
        path = self._place.path
        return StoreClosedError(f"the store {path!r} is closed: open it again to use it")

    def _wait(self, busy: Callable[[], object], seconds: float) -> None:
        until = monotonic() + seconds
        while busy() and monotonic() < until:
            sleep(0.0001)

    def _others(self) -> bool:
        """Whether another thread has a transaction."""
        return any(user.thread != get_ident() for user in self.users())

    def _is_reading(self) -> bool:
        """Whether a thread has a connection without a transaction: it reads a single value."""
        return any(link.user is None and link.is_open for link in list(self._links))

    def _open(self) -> Link:
        with self._opening:
            path = self._place.path
            if self.closed:
                raise self._closed_error()
            if self._unusable:
                raise StorageError(
                    f"this process was forked while a transaction wrote to {path!r}, or another "
                    "thread used it, and SQLite cannot use the file in it: fork outside of "
                    "transactions, or start another program"
                )
            self._place.check_file("cannot open the file again")
            try:
                opened = connect(path, mode=self._mode, durability=self._durability)
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


def _leak(link: Link) -> None:
    """Keep a connection of the parent from ever being closed in this child, also at its end."""
    from ctypes import py_object, pythonapi  # only such a child needs it

    _left_to_parents.append(link)
    pythonapi.Py_IncRef(py_object(link.connection))
