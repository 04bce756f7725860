"""CollectionWork: the work on all records of one collection, for the methods of `Collection`.

`stones.collections.record_migrations` says what is asked for, and how it is found.
"""

from collections.abc import Callable
from typing import Any

from stones.collections.queries.queried_records import QueriedRecords

from .ledger import LedgerEntry, entries_of
from .schema import migrate_records, warn_of_edited_steps
from .steps_report import StepsReport
from .undoing import undo_records


class CollectionWork:
    """The work on all records of one collection. Each method is explained in `Collection`."""

    def __init__(self, queried: QueriedRecords[Any, Any]) -> None:
        self._queried = queried
        self._records = queried.records

    def migrate(self, progress: Callable[[int, int], object] | None, dry_run: bool) -> StepsReport:
        """See `Collection.migrate`."""
        return migrate_records(self._records, progress, dry_run=dry_run)

    def undo(self, to: int, progress: Callable[[int, int], object] | None) -> StepsReport:
        """See `Collection.undo`."""
        return undo_records(self._records, to, progress)

    def warn_of_edited_steps(self) -> None:
        """Warn of the steps of the program whose code has changed since they ran."""
        records = self._records
        warn_of_edited_steps(records.database, records.name, records.program.steps)

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """See `Collection.ledger`."""
        return entries_of(self._records.database, self._records.name)
