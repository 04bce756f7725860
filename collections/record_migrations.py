"""What a collection asks of the layer above it, and who answers: `stones.migrations`.

The methods of a collection that change all of its records at once are short. The work is in
`stones.migrations`, which is above this layer: see `stones.stores.record_work`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from stones.stores.record_work import record_work

if TYPE_CHECKING:
    from .ledger_entry import LedgerEntry
    from .steps_report import StepsReport


class RecordMigrations(Protocol):
    """The work on all records of one collection. Each method is explained in `Collection`."""

    def migrate(
        self, progress: Callable[[int, int], object] | None, dry_run: bool
    ) -> "StepsReport":
        """See `Collection.migrate`."""

    def undo(self, to: int, progress: Callable[[int, int], object] | None) -> "StepsReport":
        """See `Collection.undo`."""

    def warn_of_edited_steps(self) -> None:
        """Warn of the steps of the program whose code has changed since they ran."""

    def ledger(self) -> "tuple[LedgerEntry, ...]":
        """See `Collection.ledger`."""

    def rename(self, name: str) -> None:
        """See `Collection.rename`."""

    def copy(self, name: str, filters: Sequence[Any]) -> int:
        """See `Collection.copy`."""

    def split(self, name: str, filters: Sequence[Any]) -> int:
        """See `Collection.split`."""

    def merge(self, name: str) -> int:
        """See `Collection.merge`."""

    def drop(self) -> None:
        """See `Collection.drop`."""


def record_migrations(queried: Any) -> RecordMigrations:
    """What does the work on all records of a collection. `queried` are its `QueriedRecords`."""
    work: RecordMigrations = record_work(queried)
    return work
