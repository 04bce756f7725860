"""What a transaction refuses: each use after its end, and values that are too large."""

from typing import Any, NoReturn

from stones.errors import StoneError, StorageError, TransactionError

MAX_VALUE_SIZE = 999_990_000
"""The largest value in bytes. A row of SQLite has at most 1,000,000,000 bytes, with its key."""


def ended(*_: Any) -> NoReturn:
    """In place of what executes statements, once the transaction has ended."""
    raise TransactionError("the transaction has ended")


def raising(error: StoneError, *_: Any) -> NoReturn:
    """As `ended`, for another reason. A new error each time: a traceback would grow."""
    raise type(error)(*error.args)


def too_large(key: bytes, value: bytes) -> StorageError:
    """The error for a value that SQLite cannot store."""
    return StorageError(
        f"an encoded value has at most {MAX_VALUE_SIZE:,} bytes in SQLite, the value of {key!r} "
        f"has {len(value):,}: split it, or keep it in a file of its own"
    )
