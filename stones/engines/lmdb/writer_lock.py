"""The lock of the one write transaction that a process has open on a file.

LMDB has a lock of its own, which keeps the writers of all processes apart. The threads of a process
wait for each other here and not in LMDB. If several threads wait for LMDB's lock and their process
is killed, the lock may never wake another process again: with raw py-lmdb, that happened 7 times in
144 kills with two threads, and never with one.

LMDB's lock belongs to a thread, so the thread that began a transaction has to end it. If another
thread tries to, the transaction stays open until its own thread writes again.
"""

from collections.abc import Callable
from threading import RLock
from typing import Any, Protocol

from stones.engines.nested_write import nested_write
from stones.errors import TransactionError


class Holder(Protocol):
    """A write transaction, as far as its lock knows it."""

    holds_lock: bool

    def abort(self) -> None: ...


class WriterLock:
    """A lock that one thread holds, which may acquire it again and releases it as often.

    A forked child cannot use the lock of its parent: the thread that holds it may not be there.
    """

    __slots__ = ("acquire", "is_mine", "left_by_another_thread", "release")

    def __init__(self) -> None:
        lock: Any = RLock()
        # Methods of the lock itself, which are written in C. Python lets an interrupt in wherever
        # it enters a function; on the way to a release, that would leave the lock taken.
        self.acquire: Callable[..., bool] = lock.acquire
        """Wait for the lock, at most `timeout` seconds where that is given. Is it held now?"""
        self.release: Callable[[], None] = lock.release
        self.is_mine: Callable[[], bool] = lock._is_owned
        """Whether this thread holds the lock."""
        self.left_by_another_thread: Holder | None = None
        """The transaction that holds the lock, where another thread has tried to end it."""

    def check_free(self) -> None:
        """Raise TransactionError where this thread would wait for the lock without end.

        A transaction of this thread that another thread has tried to end is undone first.
        """
        left = self.left_by_another_thread
        if left is not None and left.holds_lock:
            if not self.is_mine():
                raise TransactionError(
                    "a transaction was ended by another thread than its own: the store can be "
                    "written again once the thread that began the transaction writes to it"
                )
            left.abort()
        if self.is_mine():
            raise nested_write()
