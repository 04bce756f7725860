"""Runs a change in a write transaction, and runs it again where that is right.

At first the change shares the store with others that write. What it expects is checked by the
server only. If something is otherwise, it runs again, and asks itself. If it is in conflict with
another, it runs again after a pause that varies, and in the end alone: so it ends. If the
connection is lost before the commit was sent, it runs again. After that nobody knows, so it does
not.
"""

import random
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from stones.engine import Transaction
from stones.errors import ConflictError

from .connections import UnreachableError
from .errors import LostError, StaleError
from .transaction import PostgresTransaction

T = TypeVar("T")

SHARED = 3
"""How often a change runs beside others. More would be slower for a record that all change."""
CONFLICTS = 12
"""How many conflicts end the attempts. Only a server without a lock has conflicts after SHARED."""
LOST = 3
"""How many lost connections end the attempts."""


class Begins(Protocol):
    """Begins a write transaction."""

    def __call__(
        self, *, alone: bool, defer: bool, timeout: float | None
    ) -> PostgresTransaction: ...


def run(begin: Begins, change: Callable[[Transaction], T], timeout: float | None) -> T:
    """What `change` returns, once it is committed."""
    conflicts = lost = 0
    defer = True
    while True:
        try:
            txn = begin(alone=conflicts >= SHARED, defer=defer, timeout=timeout)
        except (LostError, UnreachableError) as error:
            failure: Exception = error
        else:
            try:
                result = change(txn)
                txn.commit()
                return result
            except Exception as error:  # noqa: BLE001  # raised below, unless the change runs again
                failure = _cause(txn, error)
            finally:
                txn.abort()
        match failure:
            case StaleError():
                defer = False
            case ConflictError() if conflicts < CONFLICTS:
                conflicts += 1
                time.sleep(random.random() * 0.001 * 2 ** min(conflicts, SHARED))
            case LostError() if lost < LOST:
                lost += 1
            case UnreachableError() if 0 < lost < LOST:
                lost += 1
                time.sleep(random.random() * 0.1 * 2**lost)
            case _:
                raise failure


def _cause(txn: PostgresTransaction, error: Exception) -> Exception:
    """Why the change failed: the error, or what came before it.

    An entry may not have been as the change expected. The change may also have caught the error
    which says that its transaction can only be undone.
    """
    session = txn.session
    if session.failure is None:
        try:
            session.verify()
        except Exception as earlier:  # noqa: BLE001  # it is raised by the caller
            return earlier
        return error
    return session.failure
