"""Gives the records of a collection other keys, by steps with `key=`, in one transaction.

First it runs all pending steps on all records, and sorts the results by their new keys, on disk
where they are many. So a step that fails, a key of a wrong type and two records with the same key
are known, by their old keys, before anything is written. Then it writes all records anew.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from itertools import groupby
from operator import itemgetter
from time import perf_counter
from typing import Any

from attrs import evolve

from stones.collections.description import Description
from stones.collections.indexes.definition import drop_definition, read_definitions
from stones.collections.keys import KeyCodec, named_codec
from stones.collections.record_steps import StepState
from stones.collections.steps_report import StepFailure
from stones.collections.stored_indexes import restart
from stones.engine import Transaction
from stones.errors import MigrationError, RecordError, StoneError
from stones.formats.generation import next_generation
from stones.formats.layout import write_layout
from stones.formats.messages import show_error, show_key, show_value
from stones.migrations.progress import Progress, ProgressCounter
from stones.migrations.whole_collections.copying import build_indexes
from stones.stores.claims import add_to_count, count_key, read_count, write_collection
from stones.stores.database_reader import DATA, record_decoder
from stones.stores.sorted_entries import SortedEntries
from stones.stores.spans import prefix_span
from stones.stores.step_keys import drop_steps

from .field_changes import NOT_OF_THE_RECORD
from .ledger import write_ran
from .record_chains import ChainsOfRun, RecordChain, StepsRun
from .run_figures import RunFigures, drop_figures
from .step_batches import has_marks, marks_of
from .step_check import LISTED, CheckedRecords
from .step_state import Position, read_position
from .touched_indexes import check_conditions, index_after, unique_after
from .unique_values import UniqueValues

Describe = Callable[[Transaction, Description], Description]
"""Gives the description of the records after the run, but for the type of their keys."""
BATCH = 1000
"""So many records are written at once."""
SAME = 5
"""The message about records with the same new key names at most so many of their old keys."""


def changes_keys(run: StepsRun) -> bool:
    """Whether a step of the run gives the records other keys."""
    return any(step.changes_keys for step in run.chain(run.origin))


def check_new_keys(run: StepsRun, progress: Progress | None) -> CheckedRecords:
    """What the run would do, for a dry run. Writes nothing."""
    with (
        run.database.reading() as txn,
        SortedEntries() as entries,
        SortedEntries() as unique_entries,
    ):
        counter = ProgressCounter(progress, read_count(txn, count_key(run.name)))
        position = _position(txn, run)
        if position is None:
            return CheckedRecords(0, 0, 0, (), 0)
        unique = UniqueValues(run, unique_after(txn, run), unique_entries)
        checked = _NewKeys(run, position, entries, counter, unique).collect(txn)
    counter.finish()
    return checked


def write_new_keys(run: StepsRun, describe: Describe, progress: Progress | None) -> CheckedRecords:
    """Run all steps, and write the records under their new keys, in one transaction.

    Raises MigrationError, with the first failures, if a record does not fit, and DuplicateKeyError
    if the results do not fit a unique index. Nothing is changed then.
    """
    # Joinable, so that a step may read other collections in the same transaction.
    return run.database.transact(partial(_write, run, describe, progress), joinable=True)


def _write(
    run: StepsRun, describe: Describe, progress: Progress | None, txn: Transaction
) -> CheckedRecords:
    began = perf_counter()
    position = _position(txn, run)
    if position is None:  # another process was quicker
        return CheckedRecords(0, 0, 0, (), 0)
    check_conditions(txn, run)
    database, name, found = run.database, run.name, position.description
    counter = ProgressCounter(progress, 2 * read_count(txn, count_key(name)))
    with SortedEntries() as entries:
        new_keys = _NewKeys(run, position, entries, counter)
        checked = new_keys.collect(txn)
        checked.raise_failures(name)
        span = prefix_span(name.encode() + b"/")
        txn.delete_range(DATA, span.start, span.stop)
        count = 0
        for batch in new_keys.batches():
            txn.put_many(DATA, batch)
            count += len(batch)
            counter.add(len(batch))
    txn.drop_sum(count_key(name))
    if count:
        add_to_count(txn, count_key(name), count)
    after = evolve(describe(txn, found), key=new_keys.key_type, steps=StepState(run.goal), later={})
    ran = [step for step in run.steps if run.origin < step.number <= run.goal]
    figures = RunFigures(checked.changed, checked.removed, round(perf_counter() - began, 6))
    write_ran(txn, name, ran, figures, found.shapes)
    drop_figures(txn, name)
    drop_steps(txn, name)
    write_collection(txn, name, after.stored())
    write_layout(txn, 3)
    next_generation(txn)
    build_indexes(database, txn, name, _renew_indexes(run, txn))
    next_generation(txn)
    database.reload(txn)
    counter.finish()
    return checked


def _renew_indexes(run: StepsRun, txn: Transaction) -> set[str]:
    """Have each index built anew: an entry has the key of its record. The names of those."""
    names = set()
    for index in read_definitions(txn, run.name):
        renamed = index_after(index, run)
        if renamed != index:
            drop_definition(txn, run.name, index)
        if renamed is not None and renamed.name not in names:
            restart(txn, run.name, renamed)
            names.add(renamed.name)
    return names


def _position(txn: Transaction, run: StepsRun) -> Position | None:
    """What the transaction sees. None if all records have come to the goal."""
    position = read_position(txn, run.name)
    if position is None:
        raise MigrationError(f"the collection {run.name!r} is not there any more")
    state = position.state
    if state.to is None and state.done >= run.goal:
        return None
    if state.done != run.origin or state.is_undo or state.newest > run.goal:
        raise MigrationError(
            f"{run.name!r}: another program has begun to bring the records to step {state.newest}; "
            "nothing was written: call migrate() again"
        )
    return position


class _NewKeys:
    """The records of a run by their new keys."""

    def __init__(
        self,
        run: StepsRun,
        position: Position,
        entries: SortedEntries,
        counter: ProgressCounter,
        unique: UniqueValues | None = None,
    ) -> None:
        self._run = run
        self._position = position
        self._entries = entries
        self._counter = counter
        self._unique = unique
        self._of_class = run.of_class
        self._key_codec: KeyCodec[Any] | None = None
        if self._of_class is not None:
            self._key_codec = self._of_class.type.key_codec
        self._prefix = run.name.encode() + b"/"
        self._decode_old = named_codec(position.description.key).decode
        self._failures: list[StepFailure] = []
        self._failed = 0

    @property
    def key_type(self) -> str:
        """The type of the new keys, as an annotation."""
        if self._key_codec is None:  # no record is left
            return self._position.description.key
        return self._key_codec.name

    def collect(self, txn: Transaction) -> CheckedRecords:
        """Run the steps on all records, and compare the new keys. Writes nothing."""
        run, state, name = self._run, self._position.state, self._run.name
        codec = run.database.codec_at(txn)
        decode, chain_of = record_decoder(codec), ChainsOfRun(run).at(self._position.description)
        marked = has_marks(txn, name)
        span = prefix_span(self._prefix)
        looked_at = removed = 0
        for keys, values in txn.pages(DATA, span.start, span.stop):
            marks = marks_of(txn, name, keys) if marked else {}
            for stored, raw in zip(keys, values, strict=True):
                chain = chain_of(state.of(stored, marks.get(stored)))
                try:
                    found = self._changed(chain, stored, decode(stored, raw))
                    if found is None:
                        removed += 1
                        continue
                    key, value = found
                    encoded = codec.encode(self._prefix + key, value)
                except NOT_OF_THE_RECORD:
                    raise
                except (StoneError, _StepError) as error:
                    self._fail(stored, error)
                    continue
                packed = len(stored).to_bytes(2) + stored + encoded
                self._entries.add([(key, packed)], len(key) + len(packed))
                if self._unique is not None:
                    self._unique.add(stored, value)
            looked_at += len(keys)
            self._counter.add(len(keys))
        self._compare()
        for failure in () if self._unique is None else self._unique.failures(self._old_key):
            self._note(failure)
        changed = looked_at - removed
        return CheckedRecords(looked_at, changed, removed, tuple(self._failures), self._failed)

    def batches(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """The new stored keys and bytes, in the order of the new keys."""
        batch: list[tuple[bytes, bytes]] = []
        for key, packed in self._entries:
            start = 2 + int.from_bytes(packed[:2])
            batch.append((self._prefix + key, packed[start:]))
            if len(batch) == BATCH:
                yield batch
                batch = []
        yield batch

    def _changed(
        self, chain: RecordChain, stored: bytes, value: Any
    ) -> tuple[bytes, dict[str, Any]] | None:
        """The encoded new key and the new dict of a record. None if a step removes it."""
        number = chain.step
        try:
            if type(value) is not dict:
                raise RecordError(f"it is no dict of fields, but {show_value(value)}")
            if chain.view is not None:
                viewed = chain.view(value)
                value = value if viewed is value else deepcopy(viewed)
            key = self._old_key(stored)
            for step in chain.steps:
                number = step.number
                value = step.apply(value)
                if value is None:
                    return None
                if step.changes_keys:
                    key = _key_by(step, value)
            return self._fitted(key, value)
        except (MemoryError, *NOT_OF_THE_RECORD):
            raise
        except Exception as error:  # a step calls functions of the user
            raise _StepError(number, error) from error

    def _fitted(self, key: Any, value: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        """The encoded key and the dict as the class stores it. Raises RecordError."""
        records = self._of_class
        if records is None:
            if self._key_codec is None:
                self._key_codec = named_codec(_type_name(key))
            encoded = self._key_codec.encode(key)
        else:
            record = records.type.load(value)
            new = records.type.dump(record)
            own = records.type.key_of(record)
            if own is not None and own != key:
                raise RecordError(
                    f"key= gives {show_key(key)}, and the key field of the class has "
                    f"{show_key(own)}: the two must be the same"
                )
            encoded = records.type.key_codec.encode(key)
            keeps = records.type.rules.unknown == "keep"
            value = records.type.schema.carried(value, new) if keeps else new
        limit = self._run.database.max_key_size - len(self._prefix)
        if not encoded or len(encoded) > limit:
            raise RecordError(f"the key {show_key(key)} has {len(encoded)} bytes, 1 to {limit} fit")
        return encoded, value

    def _compare(self) -> None:
        """Find the records with the same new key."""
        for key, same in groupby(self._entries, key=itemgetter(0)):
            first, *others = self._some(packed for _, packed in same)
            if not others:
                continue
            olds = [show_key(self._old_key(stored)) for stored in (first, *others[:SAME])]
            more = f" and {len(others) - SAME:,} more" if len(others) > SAME else ""
            assert self._key_codec is not None
            new = show_key(self._key_codec.decode(key))
            message = (
                f"{self._run.name}: the records {', '.join(olds)}{more} have the same new key {new}"
            )
            self._note(StepFailure(self._old_key(others[0]), self._run.goal, message))

    def _some(self, packed: Iterator[bytes]) -> Sequence[bytes]:
        return [each[2 : 2 + int.from_bytes(each[:2])] for each in packed]

    def _fail(self, stored: bytes, error: Exception) -> None:
        number = error.number if isinstance(error, _StepError) else self._run.goal
        cause = error.cause if isinstance(error, _StepError) else error
        text = str(cause) if isinstance(cause, StoneError) else show_error(cause)
        where = "" if text.startswith("step ") else f"step {number}: "
        key = self._old_key(stored)
        message = f"{self._run.name}[{show_key(key)}]: {where}{text}"
        self._note(StepFailure(key, number, message))

    def _old_key(self, stored: bytes) -> Any:
        """The key that a record has had."""
        key = stored[len(self._prefix) :]
        try:
            return self._decode_old(key)
        except (ValueError, OverflowError):
            return key

    def _note(self, failure: StepFailure) -> None:
        self._failed += 1
        if len(self._failures) < LISTED:
            self._failures.append(failure)


class _StepError(Exception):
    """What went wrong for a record, and at which step."""

    def __init__(self, number: int, cause: Exception) -> None:
        super().__init__(number, cause)
        self.number = number
        self.cause = cause


def _key_by(step: Any, value: dict[str, Any]) -> Any:
    key = step.key(value)
    if key is None:
        raise RecordError("key= gives None")
    return key


def _type_name(key: Any) -> str:
    """The type of a key as an annotation. Raises CollectionError if it cannot be a key."""
    if isinstance(key, tuple):
        return f"tuple[{', '.join(map(_type_name, key))}]"
    return type(key).__name__
