"""Runs the steps of a collection over all records, and writes nothing.

So a step that fails, a result that the class does not take, and two records with the same values of
a unique index are known before anything is changed.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from attrs import frozen

from stones.collections.indexes.definition import IndexDefinition
from stones.collections.steps_report import StepFailure
from stones.engine import Transaction
from stones.errors import CorruptValueError, MigrationError, SerializerError
from stones.formats.codec import Codec
from stones.formats.messages import show_count
from stones.migrations.plain_pages import UNKNOWN, decoder_of_pages
from stones.migrations.progress import ProgressCounter
from stones.stores.database_reader import DATA, record_decoder
from stones.stores.sorted_entries import SortedEntries
from stones.stores.spans import prefix_span

from .record_chains import ChainsOfRun, FailedRecordError, RecordChain, StepsRun
from .step_batches import Take, has_marks, has_simple_dicts, marks_of
from .step_state import read_position
from .unique_values import UniqueValues

RECORDS = 20_000
"""A transaction looks at about so many records: while one is open, no space is reused."""
_AT_ONCE = 64
"""So many records are decoded at once: of more, the dicts do not fit the processor's cache."""
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
        values = None if entries is None else UniqueValues(run, unique, entries)
        check = _Check(run, values, counter)
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
        unique: UniqueValues | None,
        counter: ProgressCounter,
    ) -> None:
        self._run = run
        self._unique = unique
        self._counter = counter
        self._chains = ChainsOfRun(run)
        self._is_simple = has_simple_dicts(run)
        self.span = prefix_span(run.name.encode() + b"/")
        self.records = self.changed = self.removed = self.failed = 0
        self.failures: list[StepFailure] = []

    def take(self, txn: Transaction, start: bytes) -> bytes | None:
        """Run the steps over the next records. Where to go on, or None at the end."""
        position = read_position(txn, self._run.name)
        if position is None:
            return None
        codec = self._run.database.codec_at(txn)
        chain_of, state = self._chains.at(position.description), position.state
        marked = has_marks(txn, self._run.name)
        common = chain_of(state.done) if not marked and not state.cursors else None
        take, looked_at = self._taker(codec), 0
        for keys, values in txn.pages(DATA, start, self.span.stop):
            if looked_at >= RECORDS:
                return keys[0]
            marks = marks_of(txn, self._run.name, keys) if marked else {}
            for at in range(0, len(keys), _AT_ONCE):
                some = keys[at : at + _AT_ONCE]
                chains = (
                    [chain_of(state.of(key, marks.get(key))) for key in some]
                    if common is None
                    else [common] * len(some)
                )
                take(chains, some, values[at : at + _AT_ONCE])
            looked_at += len(keys)
            self.records += len(keys)
            self._counter.add(len(keys))
        return None

    def compare(self) -> None:
        """Find the records with the same values of a unique index."""
        for failure in () if self._unique is None else self._unique.failures(self._run.key_of):
            self._fail(failure)

    def _taker(self, codec: Codec) -> Take:
        """The function that tries neighbouring records, and counts them."""
        decode, decoded, goal = record_decoder(codec), decoder_of_pages(codec), self._run.goal
        encode = None if self._is_simple else codec.encoder()
        unique = self._unique

        def take(
            chains: Sequence[RecordChain], keys: Sequence[bytes], raws: Sequence[bytes]
        ) -> None:
            for chain, stored, raw, value in zip(chains, keys, raws, decoded(raws), strict=True):
                try:
                    new = chain.apply(stored, decode(stored, raw) if value is UNKNOWN else value)
                    if new is None:
                        self.removed += 1
                        continue
                    if chain.steps:
                        self.changed += 1
                    if encode is not None:
                        encode(stored, new)
                    if unique is not None:
                        unique.add(stored, new)
                except FailedRecordError as error:
                    self._fail(error.failure)
                except (CorruptValueError, SerializerError) as error:
                    self._fail(chain.failed(stored, goal, error).failure)

        return take

    def _fail(self, failure: StepFailure) -> None:
        self.failed += 1
        if len(self.failures) < LISTED:
            self.failures.append(failure)
