"""The values that a step of a migration looks at, also where a commit may find conflicts.

There a transaction that has scanned is in conflict with every write in between. Where others write
all the time, no step would ever be committed. So another transaction scans, and the step compares
only the values that it changes.
"""

from collections.abc import Generator, Sequence

from stones.engine import Engine, Page, Transaction
from stones.stores.database_reader import DATA


def pages_from(
    engine: Engine, txn: Transaction, start: bytes, stop: bytes | None = None
) -> Generator[Page]:
    """The entries with start <= key < stop, in pages. Close it before the first put.

    At a put, an open scan would read on to its end.
    """
    if not engine.supports.conflicts:
        yield from txn.pages(DATA, start, stop)
        return
    reading = engine.begin()
    try:
        yield from reading.pages(DATA, start, stop)
    finally:
        reading.abort()


def still_there(
    engine: Engine, txn: Transaction, changes: Sequence[tuple[bytes, bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """The keys and new values of `changes`, which have each key, old value and new value.

    Without those whose old value has gone since it was scanned: others have written in between,
    and they write in the new format.
    """
    if not engine.supports.conflicts:
        return [(key, new) for key, _, new in changes]
    now = txn.get_many(DATA, [key for key, _, _ in changes])
    return [(key, new) for (key, old, new), raw in zip(changes, now, strict=True) if raw == old]
