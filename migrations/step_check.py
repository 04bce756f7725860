"""Runs the steps of a collection over all records, and writes nothing.

So a step that fails, a result that the class does not take, and two records with the same values of
a unique index are known before anything is changed.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from attrs import evolve, frozen

from stones.collections.indexes.definition import IndexDefinition
from stones.collections.indexes.maintenance import RecordAccess, RecordIndexes
from stones.collections.language.ordering import equal
from stones.collections.steps_report import StepFailure
from stones.collections.stored_indexes import kept_condition
from stones.engine import Transaction
from stones.errors import CorruptValueError, MigrationError, SerializerError
from stones.formats.codec import Codec
from stones.formats.messages import show_count, show_key
from stones.stores.database_reader import DATA, record_decoder
from stones.stores.sorted_entries import SortedEntries
from stones.stores.spans import prefix_span

from .progress import ProgressCounter
from .record_chains import ChainsOfRun, FailedRecordError, RecordChain, StepsRun
from .step_batches import has_marks, has_simple_dicts, marks_of
from .step_state import read_position

RECORDS = 20_000
"""A transaction looks at about so many records: while one is open, no space is reused."""
LISTED = 1000
"""So many failures are kept."""
SHOWN = 10
"""So many failures are in the text of an error."""


@frozen
class CheckedRecords:
    """What the steps would do."""

    records: int
    """The records that were looked at."""
    changed: int
    removed: int
    failures: tuple[StepFailure, ...]
    """The first failures."""
    failed: int
    """How many records would fail."""

    def raise_failures(self, name: str) -> None:
        """Raise MigrationError if a record would fail."""
        if not self.failed:
            return
        shown = "; ".join(failure.message for failure in self.failures[:SHOWN])
        more = f"; and {self.failed - SHOWN:,} more" if self.failed > SHOWN else ""
        raise MigrationError(
            f"cannot migrate {name!r}: {show_count(self.failed, 'record')} would fail, and nothing "
            f"was written: {shown}{more}"
        )


def check_records(
    run: StepsRun, unique: Sequence[IndexDefinition], counter: ProgressCounter
) -> CheckedRecords:
    """Run all steps over all records. `unique` are the unique indexes that the result must fit."""
    with ExitStack() as stack:
        entries = stack.enter_context(SortedEntries()) if unique else None
        check = _Check(run, unique, entries, counter)
        start: bytes | None = check.span.start
        while start is not None:
            with run.database.reading() as txn:
                start = check.take(txn, start)
        check.compare()
    return CheckedRecords(
        check.records, check.changed, check.removed, tuple(check.failures), check.failed
    )


class _Check:
    def __init__(
        self,
        run: StepsRun,
        unique: Sequence[IndexDefinition],
        entries: SortedEntries | None,
        counter: ProgressCounter,
    ) -> None:
        self._run = run
        self._entries = entries
        self._counter = counter
        self._chains = ChainsOfRun(run)
        self._is_simple = has_simple_dicts(run)
        self._size = len(run.name.encode()) + 1
        self.span = prefix_span(run.name.encode() + b"/")
        numbered = [evolve(index, id=number) for number, index in enumerate(unique, 1)]
        access = RecordAccess(run.name, lambda *_: None, repr, equal)
        self._indexes = RecordIndexes.of(numbered, access, kept_condition)
        self._by_prefix = {index.prefix: index for index in numbered}
        self.records = self.changed = self.removed = self.failed = 0
        self.failures: list[StepFailure] = []

    def take(self, txn: Transaction, start: bytes) -> bytes | None:
        """Run the steps over the next records. Where to go on, or None at the end."""
        position = read_position(txn, self._run.name)
        if position is None:
            return None
        codec = self._run.database.codec_at(txn)
        decode, chain_of = record_decoder(codec), self._chains.at(position.description)
        state, marked = position.state, has_marks(txn, self._run.name)
        common = chain_of(state.done) if not marked and not state.cursors else None
        looked_at = 0
        for keys, values in txn.pages(DATA, start, self.span.stop):
            if looked_at >= RECORDS:
                return keys[0]
            marks = marks_of(txn, self._run.name, keys) if marked else {}
            for stored, raw in zip(keys, values, strict=True):
                chain = common or chain_of(state.of(stored, marks.get(stored)))
                try:
                    self._take_one(chain, stored, decode(stored, raw), codec)
                except FailedRecordError as error:
                    self._fail(error.failure)
                except CorruptValueError as error:
                    self._fail(chain.failed(stored, self._run.goal, error).failure)
            looked_at += len(keys)
            self.records += len(keys)
            self._counter.add(len(keys))
        return None

    def compare(self) -> None:
        """Find the records with the same values of a unique index."""
        before: tuple[bytes, bytes] | None = None
        for entry in self._entries or ():
            if before is not None and before[0] == entry[0] and before[1] != entry[1]:
                self._fail(self._duplicate(before, entry))
            before = entry

    def _take_one(self, chain: RecordChain, stored: bytes, value: Any, codec: Codec) -> None:
        new = chain.apply(stored, value)
        if new is None:
            self.removed += 1
            return
        self.changed += bool(chain.steps)
        if not self._is_simple:
            try:
                codec.encode(stored, new)
            except SerializerError as error:
                raise chain.failed(stored, self._run.goal, error) from error
        if self._entries is not None:
            key = stored[self._size :]
            found = self._indexes.entries(new, key)
            # Entries with cut values are compared when the index is built: the records tell.
            self._entries.add(
                (entry, key)
                for entry, tail in found.items()
                if not self._indexes.is_unclear(self._by_prefix[entry[:4]], entry, tail)
            )

    def _duplicate(self, one: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> StepFailure:
        run, index = self._run, self._by_prefix[one[0][:4]]
        prefix = self.span.start
        first, key = run.key_of(prefix + one[1]), run.key_of(prefix + other[1])
        message = (
            f"{run.name}[{show_key(key)}]: it has the same {', '.join(index.paths)} as "
            f"{run.name}[{show_key(first)}]: the index {index.name!r} is unique"
        )
        return StepFailure(key, run.goal, message)

    def _fail(self, failure: StepFailure) -> None:
        self.failed += 1
        if len(self.failures) < LISTED:
            self.failures.append(failure)
