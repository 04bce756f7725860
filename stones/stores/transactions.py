"""The transaction that a thread, or an asyncio task, is in: the ambient one.

Inside `with store.transaction():` every operation on the store, and on the collections in it, joins
that transaction. It is found through a context variable, and checked against its owner, since a
context is also copied into the tasks and threads that are started inside the block: those are not
part of it.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import ClassVar

from stones.engine import Engine, Transaction
from stones.errors import TransactionError

ambient: ContextVar[Mapping[Engine, "Scope"] | None] = ContextVar("stones.ambient", default=None)
"""The open transactions of this context, by engine. None, the usual case, is cheap to test for."""


class Scope:
    """An open transaction, and the process, thread and task that opened it."""

    __slots__ = ("open", "process", "task", "thread", "txn")

    here: ClassVar[object] = object()
    """This process. In a forked child it is another object, and no scope of the parent is open."""

    def __init__(self, txn: Transaction) -> None:
        self.txn = txn
        self.open = True
        self.process = Scope.here
        self.thread = get_ident()
        self.task = _task()

    def is_open(self) -> bool:
        return self.open and self.process is Scope.here

    def is_mine(self) -> bool:
        return self.thread == get_ident() and self.task is _task()


def joined(engine: Engine, *, write: bool = False) -> Transaction | None:
    """The open transaction on `engine` that this thread or task is in, or None.

    Raises TransactionError for a write by a thread or task that was started inside somebody else's
    transaction, which is still open: it would wait for the one that waits for it.
    """
    scopes = ambient.get()
    scope = scopes.get(engine) if scopes else None
    if scope is None or not scope.is_open():
        return None
    if scope.is_mine():
        return scope.txn
    if write:
        raise TransactionError(
            "this task or thread was started inside a transaction of another one, which is still "
            "open: write after that has ended, or in the task that opened it"
        )
    return None


@contextmanager
def writing(engine: Engine) -> Iterator[Transaction]:
    """A write transaction for one operation; a savepoint where an ambient one is open.

    On its own it is not ambient: what an operation reads from an iterable of the caller's, which
    may read from the same store, is then as it was before, and takes no memory to keep it so.
    """
    if joined(engine, write=True) is not None:
        with transaction(engine) as txn:
            yield txn
        return
    txn = engine.begin(write=True)
    try:
        yield txn
    except BaseException:
        txn.abort()
        raise
    txn.commit()


@contextmanager
def transaction(engine: Engine) -> Iterator[Transaction]:
    """A write transaction, or a savepoint, that is the ambient one for what runs in the block."""
    outer = joined(engine, write=True)
    txn = engine.begin(write=True) if outer is None else outer.begin()
    scope = Scope(txn)
    before = ambient.get() or {}
    ambient.set({**before, engine: scope})
    try:
        yield txn
        _check_innermost(engine, scope)
    except BaseException:
        txn.abort()
        raise
    else:
        txn.commit()
    finally:
        scope.open = False
        # Not by reset(): a generator may be ended in another context than it was begun in, or
        # before a block that was opened after it.
        now = dict(ambient.get() or {})
        if now.get(engine) is scope:
            del now[engine]
            if engine in before:
                now[engine] = before[engine]
            ambient.set(now or None)


def _check_innermost(engine: Engine, scope: Scope) -> None:
    """Raise TransactionError where a block ends before one inside of it, as generators can."""
    innermost = (ambient.get() or {}).get(engine, scope)
    if innermost is not scope and innermost.is_open() and innermost.is_mine() and scope.is_mine():
        raise TransactionError(
            "a transaction ends while one that was begun inside of it is still open: both are "
            "undone; let generators with transactions end in the reverse order"
        )


def _after_fork() -> None:
    Scope.here = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _task() -> object:
    """The running asyncio task; None outside of any."""
    # Importing asyncio costs more than all of stones; where nobody has, there are no tasks.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None
