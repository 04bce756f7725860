"""Changes of all records that a selection wants, in one transaction.

First the keys are read, then the records are written. So a change never changes which records it
meets: to raise `age` while going through the records in the order of `age` would go on for ever.
The keys are read inside of the write transaction, so no other write comes between.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from stones.collections.planning.selection import Selection
from stones.collections.record_changes import RecordChanges
from stones.errors import RecordError
from stones.formats.messages import show_key

from .queried_records import QueriedRecords

K = TypeVar("K")
R = TypeVar("R")


def update_fields(
    source: QueriedRecords[K, R], selection: Selection, changes: Mapping[str, Any]
) -> int:
    """Change fields of all records of the selection; how many records there are.

    Raises RecordError before anything is read for a field that is not there or is part of the key,
    and for a value that does not fit.
    """
    source.check_changes(changes)
    evolve = source.records.type.evolve
    return update_records(source, selection, lambda record: evolve(record, changes))


def update_records(
    source: QueriedRecords[K, R], selection: Selection, change: Callable[[R], R | None]
) -> int:
    """Replace all records of the selection by what `change` makes of them; how many there are.

    `change` gets a record, and returns another one, or None after changing it in place. If it
    raises an error, nothing is written.
    """
    from stones.collections.planning.execution import keys  # it loads the planner

    records = source.records

    def change_all(changes: RecordChanges) -> int:
        written = 0
        for stored in list(keys(records, selection)):
            # None: `change` has removed it.
            found = change_record(source, changes, records.decode_key(stored), change)
            written += found is not None
        return written

    # Joinable, so that the keys are read in it, and `change` may use the store.
    return records.change(change_all, joinable=True, is_seen=True)


def change_record(
    source: QueriedRecords[K, R], changes: RecordChanges, key: K, change: Callable[[R], R | None]
) -> R | None:
    """Replace a record by what `change` makes of it, and return that. None if there is none."""
    records = source.records
    before = records.read(changes, key, is_replaced=True)
    if before is None:
        return None
    try:
        result = change(before)
    except RecordError as error:
        raise RecordError(f"{records.name}[{show_key(key)}]: {error}") from error
    record = before if result is None else result
    source.checks.check_key(key, record)
    records.write(changes, key, record)
    return record


def delete_records(source: QueriedRecords[K, R], selection: Selection) -> int:
    """Remove all records of the selection; how many there were."""
    from stones.collections.planning.execution import keys

    records = source.records

    def delete_all(changes: RecordChanges) -> int:
        return sum(records.remove(changes, stored) for stored in list(keys(records, selection)))

    return records.change(delete_all, joinable=True)
