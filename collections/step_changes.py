"""What is written beside the records of a collection while some of them lack steps: marks.

`stored_records` asks here in each operation that changes an unsettled collection. A mark tells that
a record has had all steps of the program, though the migration has not reached it. See
`record_steps`.
"""

from stones.engine import Engine, Space, Transaction

from .record_steps import StepState, mark_key, state_at, write_mark


class StepChanges:
    """The marks that one operation writes. All records that it writes have had step `last`."""

    def __init__(
        self, txn: Transaction, name: str, steps: StepState, last: int, engine: Engine
    ) -> None:
        self._txn = txn
        self._name = name
        self._last = last
        # A writer that read the cursors would be in conflict with each step of the migration. So
        # where commits may find conflicts, it marks every record that it writes.
        has_conflicts = engine.supports.conflicts
        self._cursor = None if has_conflicts else state_at(txn, name, steps).cursors.get(last)
        # Without snapshots a reader compares the marks before and after it has read the records. A
        # mark that comes and goes meanwhile would not show. The end of the migration removes it.
        self._removes = engine.supports.snapshots

    def put(self, stored: bytes) -> None:
        """Note that the record with a stored key is written now."""
        if self._cursor is None or stored > self._cursor:
            write_mark(self._txn, self._name, stored, self._last)

    def remove(self, stored: bytes) -> None:
        """Note that the record is removed."""
        if self._removes:
            self._txn.delete(Space.META, mark_key(self._name, stored))
