"""Where the metadata keeps how far the records of collections have come through migrations.

    progress/NAME       JSON: for a step, the last record that the migration has reached
    step/NAME\\0DIGEST   the step that a record has had which a program wrote before the migration
                        reached it

`stones.collections.record_steps` says what they mean. The store removes them with the records, and
copies them with the records.
"""

from collections.abc import Iterator

from stones.engine import Space, Transaction

PROGRESS = (b"progress/", b"progress0")
"""The cursors of migrations have metadata keys from the first to below the second."""
MARKS = (b"step/", b"step0")
"""The same of the marks of single records."""


def progress_key(name: str) -> bytes:
    """The key in the metadata of how far the migrations of a collection have come."""
    return PROGRESS[0] + name.encode()


def mark_span(name: str) -> tuple[bytes, bytes]:
    """Where the marks of the records of a collection are in the metadata: start and stop."""
    start = MARKS[0] + name.encode() + b"\0"
    return start, start[:-1] + b"\1"


def drop_steps(txn: Transaction, name: str) -> None:
    """Remove the cursors and the marks of a collection."""
    txn.delete(Space.META, progress_key(name))
    txn.delete_range(Space.META, *mark_span(name))


def drop_all_steps(txn: Transaction) -> bool:
    """Remove the cursors and the marks of all collections. Were there any?"""
    spans = (PROGRESS, MARKS)
    found = any(next(txn.keys(Space.META, *span), None) is not None for span in spans)
    if found:
        for span in spans:
            txn.delete_range(Space.META, *span)
    return found


def step_entries(txn: Transaction, name: str) -> Iterator[tuple[bytes, bytes]]:
    """The entries of the metadata with the cursors and the marks of a collection."""
    key = progress_key(name)
    cursors = txn.get(Space.META, key)
    if cursors is not None:
        yield key, cursors
    yield from txn.scan(Space.META, *mark_span(name))
