"""The transaction that a thread, or an asyncio task, is in: the ambient one.

Inside `with store.transaction():` every operation on the store, and on the collections in it, joins
that transaction. A context variable holds it. Tasks and threads that are started inside the block
get a copy of the context, but are not part of the transaction. So each use checks that it is in the
thread and in the task that opened it.
"""

import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import ClassVar, TypeVar

from stones.engine import Engine, Transaction
from stones.errors import TransactionError

T = TypeVar("T")

ambient: ContextVar[Mapping[Engine, "Scope"] | None] = ContextVar("stones.ambient", default=None)
"""The open transactions of this context, by engine. None: there is none, as in most reads."""


class Scope:
    """An open transaction, and the process, thread and task that opened it."""

    __slots__ = ("failed", "open", "process", "task", "thread", "txn")

    here: ClassVar[object] = object()
    """Stands for this process. A forked child gets another object, so its parent's scopes end."""

    txn: Transaction

    def __init__(self) -> None:
        self.failed = False  # an operation in it has failed, and could not be undone alone
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

    Raises TransactionError for a write by a thread or task that was started inside a transaction,
    while that is open: the two would wait for each other.
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
            "open: write after it has ended, or in the task that opened it"
        )
    return None


@contextmanager
def writing(
    engine: Engine, *, joinable: bool = False, timeout: float | None = None
) -> Iterator[Transaction]:
    """A write transaction for one operation; a savepoint where an ambient one is open.

    On its own it does not become the ambient transaction, unless it is `joinable`. An operation may
    read from an iterable of its caller, which may read from the same store. It then sees the store
    as it was before the operation, and no copy has to be kept in memory.

    An engine without savepoints cannot undo one operation alone. There the operation works in the
    ambient transaction itself; if it fails, the whole transaction is undone when it ends.

    `timeout` limits the wait for other writers, in seconds: see `Engine.begin`.
    """
    outer = joined(engine, write=True)
    if outer is not None and not engine.supports.savepoints:
        try:
            yield outer
        except BaseException:
            (ambient.get() or {})[engine].failed = True
            raise
        return
    if outer is not None or joinable:
        with transaction(engine, timeout=timeout) as txn:
            yield txn
        return
    txn = begin_writing(engine, timeout)
    try:
        yield txn
        txn.commit()
    except BaseException:  # also an interrupt just before the commit begins
        txn.abort()
        raise


@contextmanager
def transaction(engine: Engine, *, timeout: float | None = None) -> Iterator[Transaction]:
    """A write transaction, or a savepoint, that is the ambient one for what runs in the block.

    `timeout` limits the wait for other writers, in seconds: see `Engine.begin`.
    """
    outer = joined(engine, write=True)
    scope = Scope()
    before = ambient.get() or {}
    # An interrupt may come wherever Python enters a function. So all after this line is in the try.
    scope.txn = txn = begin_writing(engine, timeout) if outer is None else outer.begin()
    try:
        ambient.set({**before, engine: scope})
        yield txn
        _check_end(engine, scope)
        txn.commit()
    except BaseException:
        txn.abort()
        raise
    finally:
        scope.open = False
        # Not by reset(): a generator may end in another context than the one it began in. It may
        # also end before a block that was opened after it.
        now = dict(ambient.get() or {})
        if now.get(engine) is scope:
            del now[engine]
            if engine in before:
                now[engine] = before[engine]
            ambient.set(now or None)


def transact(
    engine: Engine,
    change: Callable[[Transaction], T],
    *,
    joinable: bool = False,
    timeout: float | None = None,
) -> T:
    """What `change` returns, called with a write transaction, in this thread. It may run again.

    It is as `writing`, but as a function: a savepoint where an ambient transaction is open, and the
    ambient transaction itself while `change` runs if it is `joinable`. Outside a transaction the
    engine may let others write meanwhile, and run it again: see `Engine.transact`.
    """
    if joined(engine, write=True) is not None:
        with writing(engine, joinable=joinable, timeout=timeout) as txn:
            return change(txn)

    def run(txn: Transaction) -> T:
        scope = Scope()
        before = ambient.get() or {}
        scope.txn = txn
        try:
            ambient.set({**before, engine: scope})
            result = change(txn)
            _check_end(engine, scope)
        finally:  # as above: at a call of a function, an interrupt might come before its first line
            scope.open = False
            now = dict(ambient.get() or {})
            if now.get(engine) is scope:
                del now[engine]
                if engine in before:
                    now[engine] = before[engine]
                ambient.set(now or None)
        return result

    run_it = run if joinable else change
    if timeout is None:  # an engine without timeouts may not know the argument
        return engine.transact(run_it)
    return engine.transact(run_it, timeout=timeout)


def called(function: Callable[[], T]) -> T:
    """What `function()` returns.

    Raises TransactionError for an async function and for a generator function.
    """
    result = function()
    if isinstance(result, Coroutine):
        result.close()
        raise _late_body("a coroutine function")
    if isinstance(result, Generator | AsyncGenerator):
        from inspect import isasyncgenfunction, isgeneratorfunction  # it is slow to import

        # A function may return a generator that it has got elsewhere.
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            raise _late_body("a generator function")
    return result


def _late_body(kind: str) -> TransactionError:
    return TransactionError(
        f"transact() takes a function, not {kind}: its body would run after the transaction; "
        "nothing was written"
    )


def begin_writing(engine: Engine, timeout: float | None) -> Transaction:
    """A write transaction. An engine without timeouts may not know the argument."""
    if timeout is None:
        return engine.begin(write=True)
    return engine.begin(write=True, timeout=timeout)


def _check_end(engine: Engine, scope: Scope) -> None:
    """Raise TransactionError if the transaction of a scope cannot be committed."""
    _check_innermost(engine, scope)
    if scope.failed:
        raise TransactionError(
            "an operation in this transaction has failed, and the engine has no savepoints to "
            "undo it alone: the whole transaction is undone"
        )


def _check_innermost(engine: Engine, scope: Scope) -> None:
    """Raise TransactionError where a block ends before a block inside it, as generators can."""
    innermost = (ambient.get() or {}).get(engine, scope)
    if innermost is not scope and innermost.is_open() and innermost.is_mine() and scope.is_mine():
        raise TransactionError(
            "a transaction ends while a transaction inside it is still open: both are undone; let "
            "generators with transactions end in the reverse order"
        )


def _after_fork() -> None:
    Scope.here = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _task() -> object:
    """The running asyncio task, or None."""
    # Importing asyncio costs more than all of stones. If no module has imported it, no task runs.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None
