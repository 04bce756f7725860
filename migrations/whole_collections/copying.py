"""Copies the records of a collection to a new one, or moves some of them there."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from attrs import evolve

from stones.collections.index_building import IndexBuilder, sweep_step
from stones.collections.indexes.definition import next_id, write_definition
from stones.collections.planning.execution import keys
from stones.collections.planning.selection import Selection
from stones.collections.presence import FORMER_NAMES
from stones.collections.queries.queried_records import QueriedRecords
from stones.collections.record_changes import RecordChanges
from stones.collections.stored_indexes import StoredIndexes
from stones.engine import Transaction
from stones.errors import DuplicateKeyError
from stones.stores.claims import add_to_count, count_key, write_collection
from stones.stores.database import Database
from stones.stores.database_reader import DATA
from stones.stores.spans import Span

from .stored_collection import StoredCollection
from .stored_values import mover

BATCH = 500
"""So many records are looked at before those that match are written."""


def copy_records(
    database: Database,
    changes: RecordChanges,
    source: QueriedRecords[Any, Any],
    name: str,
    filters: Sequence[Any],
    *,
    removes: bool = False,
) -> int:
    """Make the collection `name` of the records that match. See `Collection.copy` and `split`.

    If it `removes`, they are removed from the source. Returns how many they are. The transaction of
    `changes` must be the ambient one: the query reads in it.
    """
    txn, records = changes.txn, source.records
    old = StoredCollection(database, txn, records.name)
    new = StoredCollection(database, txn, name)
    description = old.settled_description()
    new.check_free()
    old.copy_rules(new)
    moved, start = mover(database.codec), len(old.prefix)
    count = 0
    for found in _matching(source, txn, filters):
        entries = []
        for key, raw in zip(found, txn.get_many(DATA, found), strict=True):
            copied = new.prefix + key[start:]
            new.check_key(copied, old)
            if raw is not None:
                entries.append((copied, moved(key, copied, raw)))
        txn.put_many(DATA, entries)
        count += len(entries)
        if removes:
            for key in found:
                records.remove(changes, key)
    write_collection(
        txn, name, {part: value for part, value in description.items() if part != FORMER_NAMES}
    )
    if count:
        add_to_count(txn, count_key(name), count)
    old.copy_ledger(new)
    copy_indexes(old, new)
    return count


def copy_indexes(source: StoredCollection, target: StoredCollection) -> None:
    """Build the indexes that the source has and the target lacks, for all records of the target.

    Raises DuplicateKeyError if the records do not fit a unique index that was ready in the source.
    """
    database, txn = target.database, target.txn
    present = {index.name for index in target.indexes()}
    ready = set()
    for index in source.indexes():
        if index.name in present:
            continue
        again = evolve(index, id=next_id(txn), state="building", at=b"", problem="")
        write_definition(txn, target.name, again)
        if index.state != "failed":
            ready.add(index.name)
    build_indexes(database, txn, target.name, ready)


def build_indexes(database: Database, txn: Transaction, name: str, ready: set[str]) -> None:
    """Build each index that is not ready. Raises DuplicateKeyError if one of `ready` has failed."""
    database.reload(txn)
    builder = IndexBuilder(database, StoredIndexes(database, name))
    while builder.step(txn) is not None:
        pass
    while sweep_step(txn):  # of an index that was built anew
        pass
    for index in StoredCollection(database, txn, name).indexes():
        if index.state == "failed" and index.name in ready:
            raise DuplicateKeyError(f"{index.problem}; nothing was changed")


def _matching(
    source: QueriedRecords[Any, Any], txn: Transaction, filters: Sequence[Any]
) -> Iterator[list[bytes]]:
    """The stored keys of the records that match, some at a time, in key order."""
    records = source.records
    start, end = records.span.start, records.span.stop
    while True:
        chunk = [*islice(txn.keys(DATA, start, end), BATCH)]
        if not chunk:
            return
        stop = chunk[-1] + b"\0"
        if filters:
            # Not with an index, which would be read for each chunk.
            selection = Selection(Span(start, stop), tuple(filters), using=None)
            chunk = [*keys(records, selection)]
        if chunk:
            yield chunk
        start = stop
