"""What an engine can do, and what not: `Supports`.

The compliance suite, the table of engines in the documentation and the errors of stores follow from
it.
"""

from attrs import frozen

MAX_KEY_SIZE = 511
"""The longest key in bytes that LMDB can store.

The other engines of stones have the same limit, so that a program that was tried out in memory
works on disk.
"""


@frozen(kw_only=True)
class Supports:
    """What an engine can do, beyond what every engine must do. The defaults promise nothing.

    >>> Supports(snapshots=True).snapshots, Supports().max_key_size
    (True, 511)
    """

    processes: bool = False
    """Several processes may have it open at once.

    An engine that keeps values beyond the process, and does not support this, raises StoreOpenError
    in the second process.
    """
    machines: bool = False
    """Programs on several machines may have it open at once."""
    snapshots: bool = False
    """A read transaction sees one state from its beginning to its end.

    Without snapshots, each call sees what was committed last, and a scan may see some of the
    entries that are committed while it runs.
    """
    savepoints: bool = False
    """`Transaction.begin` works.

    Without savepoints a store refuses a transaction inside a transaction. If an operation fails
    inside a transaction, the whole transaction is undone.
    """
    timeouts: bool = False
    """`begin` and `write` take `timeout`, the seconds to wait for another writer.

    Without that, a store cannot have a `timeout`. It waits as long as the engine does.
    """
    conflicts: bool = False
    """Writers do not wait for each other: a commit may raise ConflictError, with nothing written.

    Then another transaction has changed what this one has read. `write` and `transact` run their
    change again. Without conflicts, `begin(write=True)` waits until it is the only writer.
    """
    counts: bool = False
    """`count` costs O(1)."""
    durability: tuple[str, ...] = ()
    """The names of the ways in which a commit is kept, strictest first.

    Empty for an engine whose values end with the process, or with `close`.
    """
    max_key_size: int = MAX_KEY_SIZE
    """The longest key, in bytes, at least 300: the keys of the metadata may be as long.

    The store checks the keys of users; an engine need not check.
    """
    max_value_size: int | None = None
    """The largest value, in bytes; None for no limit but memory and disk."""
