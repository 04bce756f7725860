"""The error for a thread that begins a write transaction inside of another one.

It would wait for itself, so each engine looks for that first.
"""

from stones.errors import TransactionError


def nested_write() -> TransactionError:
    """The error for a second write transaction of a thread on the same store."""
    return TransactionError(
        "this thread has a transaction open on the store already: end that one first "
        "(in asyncio: do not await inside a transaction)"
    )
