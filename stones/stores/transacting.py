"""Transactions of the dict face: several operations as one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from .reader import K, T, V
from .transactions import called
from .writer import Writer


class Transacting(Writer[K, V]):
    """What a store and a namespace of it have for transactions. They are those of the store."""

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """All or nothing: what this thread or asyncio task does in the block is one transaction.

        An exception that leaves the block undoes all of it. A block inside a block is a savepoint,
        which can be undone alone. Other threads and processes see all changes or no change. They
        wait with their own writes until the block ends: keep it short, and do not await in it.

        >>> from stones import MemoryStore
        >>> store = MemoryStore({'here': 10, 'there': 0})
        >>> with store.transaction():
        ...     store['here'] -= 5
        ...     store['there'] += 5
        >>> store['there']
        5
        """
        with self.database.transaction():
            yield self

    def transact(self, function: Callable[[], T]) -> T:
        """What `function()` returns, all or nothing, as in `with store.transaction():`.

        But others may write meanwhile, where the engine can do that, as over a network. If another
        transaction changes what this one has read, nothing of it is written, and the function runs
        again. So it may run more than once: let it change nothing but this store.

        It runs in this thread. Inside a transaction it is a savepoint. Raises what `function`
        raises, ConflictError if the engine gives up, TransactionError for a coroutine function or
        a generator function.

        >>> from stones import MemoryStore
        >>> store = MemoryStore({'here': 10, 'there': 0})
        >>> def move():
        ...     store['here'] -= 5
        ...     store['there'] += 5
        ...     return store['there']
        >>> store.transact(move)
        5
        """
        database = self.database
        if database.in_transaction():
            with database.transaction():
                return called(function)
        return database.transact(lambda _: called(function), joinable=True)
