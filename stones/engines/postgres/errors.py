"""The errors of a server as ours. Each is raised from the error of psycopg that it tells."""

import psycopg
from psycopg import errors

from stones.errors import (
    ConflictError,
    LockTimeoutError,
    ReadOnlyError,
    StorageError,
    StoreFullError,
    UnexpectedError,
    UnknownOutcomeError,
)

from .wire import in_one_line


class LostError(StorageError):
    """The connection was lost before the commit was sent: nothing was changed."""


class StaleError(UnexpectedError):
    """Something is not as the transaction expected it, by the check that the server made."""

    def __init__(self) -> None:
        super().__init__(0, b"", None)


# CockroachDB and others say by these that nobody knows whether the commit was made.
_UNKNOWN = frozenset({"40003", "08007"})


def translated(error: psycopg.Error, name: str, *, writes: bool) -> Exception:
    """The error of ours for an error that the server gave. `name` is the store, for the text."""
    text = in_one_line(error)
    match error:
        case errors.SerializationFailure() | errors.DeadlockDetected() if writes:
            return ConflictError(
                "nothing was written: another transaction has changed what this one has read; run "
                f"it again ({text})"
            )
        case errors.DivisionByZero() | errors.UniqueViolation() if writes:
            return StaleError()
        case errors.LockNotAvailable():
            return LockTimeoutError(f"nothing was written: {name!r} is locked ({text})")
        case errors.ReadOnlySqlTransaction():
            return ReadOnlyError(
                f"the server of {name!r} takes no writes, as a standby does: name the primary in "
                f"the URL, or open the store with readonly=True ({text})"
            )
        case errors.DiskFull():
            return StoreFullError(f"the server of {name!r} has no room left: {text}")
        case errors.InsufficientPrivilege():
            return StorageError(f"the role may not do that on {name!r}: {text}")
        case errors.UndefinedTable():
            return StorageError(f"the tables of {name!r} are gone: {text}")
    if error.sqlstate in _UNKNOWN:
        return UnknownOutcomeError(_unknown(name, text))
    return StorageError(f"the server of {name!r} could not do it, nothing was changed: {text}")


def lost(name: str, error: Exception) -> LostError:
    """The error for a connection that was lost before a commit."""
    return LostError(
        f"the connection to {name!r} was lost, and nothing was changed: {in_one_line(error)}"
    )


def unknown(name: str, error: Exception) -> UnknownOutcomeError:
    """The error for a connection that was lost in the commit."""
    return UnknownOutcomeError(_unknown(name, in_one_line(error)))


def _unknown(name: str, text: str) -> str:
    return (
        f"the connection to {name!r} was lost in the commit, and nobody can tell whether it was "
        f"made: look at the entries before you write them again ({text})"
    )


def late(name: str, seconds: float, holder: str) -> LockTimeoutError:
    """The error of a writer that has waited long enough. `holder` says who has the lock."""
    return LockTimeoutError(
        f"nothing was written: {holder} has had the write lock of {name!r} for more than "
        f"{seconds:g} s; wait until that transaction has ended, or open the store with a longer "
        "timeout="
    )
