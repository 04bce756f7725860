"""The values that records have in unique indexes after the steps, to find the same ones."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import evolve

from stones.collections.indexes.definition import IndexDefinition
from stones.collections.indexes.maintenance import RecordAccess, RecordIndexes
from stones.collections.language.ordering import equal
from stones.collections.steps_report import StepFailure
from stones.collections.stored_indexes import kept_condition
from stones.formats.messages import show_key
from stones.stores.sorted_entries import SortedEntries

from .record_chains import StepsRun


class UniqueValues:
    """Takes the records of a run, and finds those with the same values of a unique index."""

    def __init__(
        self, run: StepsRun, unique: Sequence[IndexDefinition], entries: SortedEntries
    ) -> None:
        """`unique` are the unique indexes that the records must fit."""
        self._run = run
        self._entries = entries
        self._prefix = run.name.encode() + b"/"
        numbered = [evolve(index, id=number) for number, index in enumerate(unique, 1)]
        access = RecordAccess(run.name, lambda *_: None, repr, equal)
        self._indexes = RecordIndexes.of(numbered, access, kept_condition)
        self._by_prefix = {index.prefix: index for index in numbered}

    def add(self, stored: bytes, value: Any) -> None:
        """Take a record: the stored key that it has had, and its dict after the steps."""
        key = stored[len(self._prefix) :]
        found = self._indexes.entries(value, key)
        # Entries with cut values are compared when the index is built: the records tell.
        self._entries.add(
            (entry, key)
            for entry, tail in found.items()
            if not self._indexes.is_unclear(self._by_prefix[entry[:4]], entry, tail)
        )

    def failures(self, key_of: Callable[[bytes], Any]) -> Iterator[StepFailure]:
        """The records with the same values, except for the first of each value.

        `key_of` gives the key of a record by its stored key.
        """
        before: tuple[bytes, bytes] | None = None
        for entry in self._entries:
            if before is not None and before[0] == entry[0] and before[1] != entry[1]:
                yield self._duplicate(before, entry, key_of)
            before = entry

    def _duplicate(
        self, one: tuple[bytes, bytes], other: tuple[bytes, bytes], key_of: Callable[[bytes], Any]
    ) -> StepFailure:
        run, index = self._run, self._by_prefix[one[0][:4]]
        first, key = key_of(self._prefix + one[1]), key_of(self._prefix + other[1])
        message = (
            f"{run.name}[{show_key(key)}]: it has the same {', '.join(index.paths)} as "
            f"{run.name}[{show_key(first)}]: the index {index.name!r} is unique"
        )
        return StepFailure(key, run.goal, message)
