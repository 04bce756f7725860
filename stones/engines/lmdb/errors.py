"""The errors of LMDB as errors of stones: what was wrong, in which store, and what to do."""

import errno
import os

import lmdb

from stones.engines.full_disk import is_full
from stones.errors import ReadOnlyError, StoneError, StorageError, StoreFullError, TransactionError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The error codes of the system for a disk without room."""


def translated(error: lmdb.Error, path: str) -> StoneError:
    """The error of stones for an error of LMDB on the store at `path`."""
    if isinstance(error, lmdb.BadTxnError) or "closed/deleted" in str(error):
        return TransactionError(f"the transaction on {path!r} has ended: {error}")
    if isinstance(error, lmdb.MapFullError):
        return StoreFullError(
            f"no room for more in {path!r}: all the addresses that the system has granted are in "
            "use; nothing was changed. Run it again: the map grows before the next transaction, "
            "unless snapshots or iterations stay open, or `ulimit -v` allows no more addresses"
        )
    if isinstance(error, lmdb.TxnFullError):
        return StorageError(
            f"a transaction on {path!r} has changed more pages than LMDB keeps account of: "
            f"{error}; nothing was changed. Do it in several transactions, or clear() the store"
        )
    # If a write is cut short, LMDB says EIO, whatever the reason.
    if error.code in NO_ROOM or (
        error.code == errno.EIO and is_full(os.path.join(path, "data.mdb"))
    ):
        return StoreFullError(f"no room for more in {path!r}: {error}; nothing was changed")
    if isinstance(error, lmdb.ReadersFullError):
        return StorageError(
            f"too many read transactions on {path!r}, over all processes: close snapshots and "
            "iterators that are not used any more"
        )
    if isinstance(error, lmdb.ReadonlyError):
        return ReadOnlyError(f"this is a read transaction of {path!r}, or it was opened read-only")
    return StorageError(f"LMDB failed on {path!r}: {error}")
