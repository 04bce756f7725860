"""What runs the steps of a collection: methods of `Collection`.

The work is in `stones.migrations`, the layer above: see `record_migrations`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from stones.errors import MigrationError
from stones.formats.messages import show_value

from .collection_reader import CollectionReader, K, R
from .record_migrations import record_migrations

if TYPE_CHECKING:
    from .ledger_entry import LedgerEntry
    from .steps_report import StepsReport


class MigratedCollection(CollectionReader[K, R]):
    """What brings all records of a collection to a step."""

    def migrate(
        self, progress: Callable[[int, int], object] | None = None, *, dry_run: bool = False
    ) -> "StepsReport":
        """Bring all records to the last step of `migrations=`. Returns a `StepsReport`.

        Other threads and processes go on reading and writing. Before anything is written, all
        pending steps run on every record, and the class checks the results. Then the records are
        written in short transactions. If the program is killed, call it again: it goes on. Several
        processes may call it at once. It takes two passes over the records, and bounded memory.

        With `dry_run`, it writes nothing, and `failures` of the report lists what would fail.
        `progress` is called with the records done and all records to do, about a hundred times.

        Raises MigrationError, with the first failures, if a step fails for a record or the class
        does not take its result. Nothing is written then. Also inside a transaction.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, Migration, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     mail: str
        >>> store = MemoryStore()
        >>> Collection(store, User).add(User('ada', 'ada@example.org'))
        'ada'
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     email: str
        >>> steps = [Migration(1, rename={'mail': 'email'})]
        >>> users = Collection(store, User, migrations=steps)
        >>> users.migrate(dry_run=True).failures
        ()
        >>> report = users.migrate()
        >>> report.steps, report.changed
        ((1,), 1)
        >>> store['User/ada']
        {'name': 'ada', 'email': 'ada@example.org'}
        """
        return record_migrations(self._queried).migrate(progress, dry_run)

    def undo(self, to: int, progress: Callable[[int, int], object] | None = None) -> "StepsReport":
        """Take back the steps above the number `to`, the last one first. Returns a `StepsReport`.

        Each of these steps must have `reverse=`, or only rename fields. It works as `migrate` does,
        with a check before anything is written. Until it ends, no program can write records. Then
        open the collection with the older class.

        End the other programs that know the steps before. Such a program may read a record as it is
        stored, without the step, and its next write would run the steps again.

        Raises MigrationError for a step that cannot be undone, and as `migrate`.

        >>> from attrs import define
        >>> from stones import Collection, MemoryStore, Migration, key
        >>> @define
        ... class User:
        ...     name: str = key()
        ...     email: str
        >>> store = MemoryStore()
        >>> steps = [Migration(1, rename={'mail': 'email'})]
        >>> users = Collection(store, User, migrations=steps)
        >>> users.add(User('ada', 'ada@example.org'))
        'ada'
        >>> users.undo(to=0).changed
        1
        >>> store['User/ada']
        {'name': 'ada', 'mail': 'ada@example.org'}
        """
        if type(to) is not int or to < 0:
            raise MigrationError(f"undo() takes the number of a step, or 0, not {show_value(to)}")
        return record_migrations(self._queried).undo(to, progress)

    @property
    def ledger(self) -> "tuple[LedgerEntry, ...]":
        """The steps that ran on this collection, in their order: when, how long, how many records.

        Each is a `LedgerEntry`. `stones.ledger(store)` has them for all collections.
        """
        return record_migrations(self._queried).ledger()

    def _warn_of_edited_steps(self) -> None:
        """Warn of each step whose code has changed since it ran, by a ChangedStepWarning."""
        record_migrations(self._queried).warn_of_edited_steps()
