"""What the commands `stones migrations ...` do with one collection: its steps, and maybe its class.

Without a class the records get the dicts that the steps give, and no class checks them.
"""

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from stones.collections.class_misfits import read_description, stored_difference
from stones.collections.collection import Collection
from stones.collections.description import Description
from stones.collections.differences import Difference
from stones.collections.program_steps import ProgramSteps
from stones.collections.records.record_type import RecordType, record_type
from stones.collections.steps_report import StepsReport
from stones.errors import MigrationError, RecordError
from stones.stores.spans import prefix_span
from stones.stores.store import Store

from .schema import migrate_steps
from .undoing import undo_steps

Progress = Callable[[int, int], object]


@frozen
class SteppedCollection:
    """A collection of a store, with the steps of a program."""

    store: Store[Any, Any]
    name: str
    program: ProgramSteps
    record: type | None = None
    """The class of the records after all steps, if it is known."""

    def description(self) -> Description | None:
        """What the store says of the collection. None if it has no such collection."""
        with self.store.database.reading() as txn:
            return read_description(txn, self.name)

    def next_number(self) -> int:
        """The number of the next step."""
        found = self.description()
        return max(self.program.last, 0 if found is None else found.steps.newest) + 1

    def pending(self) -> list[tuple[int, str]]:
        """The steps that some records have not had: their numbers, and what they do."""
        found = self.description()
        steps = [] if found is None else self.program.pending(found.steps)
        return [(step.number, str(getattr(step, "name", ""))) for step in steps]

    def difference(self) -> Difference:
        """What differs between the class and the records, once they have all steps."""
        if self.record is None:
            return Difference()
        of_class: RecordType[Any] = record_type(self.record)
        database = self.store.database
        with database.reading() as txn:
            found = read_description(txn, self.name)
            if found is None:
                return Difference()
            return stored_difference(database, txn, of_class, self.program, found)

    def migrate(self, progress: Progress | None, *, dry_run: bool) -> StepsReport:
        """Run the pending steps: see `Collection.migrate`."""
        if self.record is not None:
            report: StepsReport = self._opened(self.record).migrate(progress, dry_run=dry_run)
            return report
        database = self.store.database
        return migrate_steps(database, self.name, self.program.steps, progress, dry_run=dry_run)

    def undo(self, to: int, progress: Progress | None) -> StepsReport:
        """Take back the steps above `to`: see `Collection.undo`. No class is needed for it."""
        return undo_steps(self.store.database, self.name, self.program.steps, to, progress)

    def misfits(self, progress: Progress | None) -> Iterator[tuple[Any, str]]:
        """The keys of the records that the class cannot read, with the reason. Reads all records.

        Raises MigrationError if the class is not known.
        """
        if self.record is None:
            raise MigrationError(
                f"the class of {self.name!r} is not known: name it with --class app.models:User, "
                "or let the file of a step set record = 'app.models:User'"
            )
        records = self._opened(self.record)
        if (found := self.description()) is not None:
            self.program.check_keys(found.steps)
        total = max(len(records), 1)
        database, span = self.store.database, prefix_span(self.name.encode() + b"/")
        decode = record_type(self.record).key_codec.decode
        # The keys as they are stored: to read those of `records` runs the pending steps too.
        for done, stored in enumerate(database.keys(span)):
            key = decode(stored[len(span.start) :])
            try:
                records.get(key)
            except RecordError as error:
                yield key, str(error)
            if progress is not None and done % 1000 == 0:
                progress(min(done, total), total)

    def _opened(self, record: type) -> "Collection[Any, Any]":
        return Collection(self.store, record, self.name, migrations=self.program.steps)
