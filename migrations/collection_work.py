"""CollectionWork: the work on all records of one collection, for the methods of `Collection`.

`stones.collections.record_migrations` says what is asked for, and how it is found.
"""

from collections.abc import Callable

from stones.collections.ledger_entry import LedgerEntry
from stones.collections.steps_report import StepsReport
from stones.migrations.steps.ledger import entries_of
from stones.migrations.steps.schema import migrate_records, warn_of_edited_steps
from stones.migrations.steps.undoing import undo_records
from stones.migrations.whole_collections.moving_work import MovingWork


class CollectionWork(MovingWork):
    """The work on all records of one collection. Each method is explained in `Collection`.

    `MovingWork` has the methods that change where the records are.
    """

    def migrate(self, progress: Callable[[int, int], object] | None, dry_run: bool) -> StepsReport:
        """See `Collection.migrate`."""
        return migrate_records(self.records, progress, dry_run=dry_run)

    def undo(self, to: int, progress: Callable[[int, int], object] | None) -> StepsReport:
        """See `Collection.undo`."""
        return undo_records(self.records, to, progress)

    def warn_of_edited_steps(self) -> None:
        """Warn of the steps of the program whose code has changed since they ran."""
        records = self.records
        warn_of_edited_steps(records.database, records.name, records.program.steps)

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """See `Collection.ledger`."""
        self.records.check_there()
        return entries_of(self.records.database, self.records.name)
