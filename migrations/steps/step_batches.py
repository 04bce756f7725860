"""Brings the records of a collection to a step, in short write transactions.

How far the run has come is in the metadata, and is written with the records. So a run that was
killed goes on there, and several processes may share the work.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from time import perf_counter
from typing import Any

from stones.collections.indexes.maintenance import RecordIndexes
from stones.collections.record_steps import mark_key, read_marks, write_cursors
from stones.collections.records.simple_values import has_simple_values
from stones.collections.stored_indexes import StoredIndexes
from stones.engine import Engine, Space, Transaction
from stones.errors import DuplicateKeyError, SerializerError
from stones.formats.codec import Codec
from stones.migrations.batches import ChunkSize, Turn, run_batches
from stones.migrations.old_values import pages_from
from stones.migrations.plain_pages import UNKNOWN, decoder_of_pages
from stones.migrations.progress import ProgressCounter
from stones.stores.claims import add_to_count, count_key
from stones.stores.database_reader import DATA, record_decoder
from stones.stores.spans import prefix_span
from stones.stores.step_keys import mark_span

from .record_chains import ChainsOfRun, RecordChain, StepsRun
from .run_figures import read_figures, write_figures
from .step_state import Position, position_of_run

Take = Callable[[Sequence[RecordChain], Sequence[bytes], Sequence[bytes]], None]
"""Takes neighbouring records: the chain, the stored key and the stored bytes of each."""


class StepBatches:
    """Brings all records to the goal of a run. `changed` and `removed` count them."""

    def __init__(self, run: StepsRun) -> None:
        self._run = run
        self._database = run.database
        self._conflicts = run.database.engine.supports.conflicts
        self._span = prefix_span(run.name.encode() + b"/")
        self._indexes = StoredIndexes(run.database, run.name)
        self._chains = ChainsOfRun(run)
        self._is_simple = has_simple_dicts(run)
        self._chunk = ChunkSize()
        self.changed = 0
        self.removed = 0

    def process(self, counter: ProgressCounter) -> None:
        """Bring all records to the goal.

        Raises FailedRecordError for a record that does not fit: it was written since the check.
        Raises MigrationError if another run has begun. The records before it stay as they are now.
        """
        changes = _Changes(self._run, self._is_simple, None)

        def step(txn: Transaction, _start: bytes, turn: Turn) -> tuple[bytes | None, int]:
            nonlocal changes
            changes = _Changes(self._run, self._is_simple, self._indexes.kept(txn))
            return self._step(txn, turn, changes)

        def committed() -> None:
            self.changed += changes.changed
            self.removed += changes.removed

        # Joinable, so that a step may read other collections in the same transaction.
        run_batches(self._database, step, counter=counter, joinable=True, committed=committed)

    def _step(self, txn: Transaction, turn: Turn, changes: "_Changes") -> tuple[bytes | None, int]:
        """Bring the next records to the goal. Where to go on, and how many it has looked at."""
        begun = perf_counter()
        position = position_of_run(txn, self._run)
        if position is None:
            return None, 0
        marks: dict[bytes, int] = {}
        last, is_end = self._take(txn, position, turn, changes, marks)
        if last is None:
            return None, 0
        name = self._run.name
        changes.write(txn, self._database.engine)
        passed = [mark_key(name, stored) for stored in marks if stored <= last]
        if passed:
            txn.delete_many(Space.META, passed)
        write_cursors(txn, name, {**position.state.cursors, self._run.goal: last})
        figures = read_figures(txn, name).plus(
            changes.changed, changes.removed, perf_counter() - begun
        )
        write_figures(txn, name, figures)
        return None if is_end else last, changes.looked_at

    def _take(
        self,
        txn: Transaction,
        position: Position,
        turn: Turn,
        changes: "_Changes",
        marks: dict[bytes, int],
    ) -> tuple[bytes | None, bool]:
        """Take in the next records, and their marks. The last key, and whether no record is left.

        It writes nothing: at a put, an open scan would read on to its end.
        """
        cursor = position.state.cursors.get(self._run.goal)
        start = self._span.start if cursor is None else cursor + b"\0"
        chain_of, state = self._chains.at(position.description), position.state
        has_marks = self._has_marks(txn)
        is_plain = not has_marks and set(state.cursors) <= {self._run.goal}
        common = chain_of(state.done) if is_plain else None
        take, chunk, stored = changes.taker(self._database.codec), self._chunk, None
        with closing(pages_from(self._database.engine, txn, start, self._span.stop)) as pages:
            for keys, values in pages:
                if has_marks:
                    marks |= marks_of(txn, self._run.name, keys)
                at = 0
                while at < len(keys):
                    if turn.is_over(changes.looked_at, changes.size):
                        return stored, False
                    end = at + chunk.entries
                    some = keys[at:end]
                    chains = (
                        [chain_of(state.of(key, marks.get(key))) for key in some]
                        if common is None
                        else [common] * len(some)
                    )
                    take(chains, some, values[at:end])
                    stored, at = some[-1], end
                    changes.looked_at += len(some)
                    chunk.adapt(turn)
        return stored, True

    def _has_marks(self, txn: Transaction) -> bool:
        # A scan would be in conflict with every program that writes a record with a mark.
        return self._conflicts or has_marks(txn, self._run.name)


def has_marks(txn: Transaction, name: str) -> bool:
    """Whether a record of a collection has a mark."""
    return next(iter(txn.keys(Space.META, *mark_span(name))), None) is not None


def marks_of(txn: Transaction, name: str, stored: Sequence[bytes]) -> dict[bytes, int]:
    """The marks of those of these records that have one."""
    marks = zip(stored, read_marks(txn, name, stored), strict=True)
    return {key: mark for key, mark in marks if mark is not None}


def has_simple_dicts(run: StepsRun) -> bool:
    """Whether all dicts that a run writes have only simple values, which are encoded faster."""
    records = run.of_class
    return (
        records is not None
        and records.type.rules.unknown != "keep"
        and has_simple_values(records.type.conversion)
    )


class _Changes:
    """What one transaction writes."""

    def __init__(self, run: StepsRun, is_simple: bool, indexes: RecordIndexes | None) -> None:
        self._run = run
        self._indexes = indexes
        self._is_simple = is_simple
        self._puts: list[tuple[bytes, bytes]] = []
        self._gone: list[bytes] = []
        self._before: dict[bytes, bytes] = {}
        """The old bytes of all these records, where they are needed: see `taker`."""
        self._dicts: dict[bytes, Any] = {}
        """With indexes, the new dicts. So many of them would wake the garbage collector."""
        self.size = 0
        """So many bytes are written."""
        self.looked_at = 0
        self.changed = 0
        self.removed = 0

    def taker(self, codec: Codec) -> Take:
        """The function that takes in neighbouring records.

        It raises FailedRecordError, and CorruptValueError for damaged bytes.
        """
        decode, decoded = record_decoder(codec), decoder_of_pages(codec)
        encode = codec.encode_simple if self._is_simple else codec.encode
        puts, gone, before, dicts = self._puts, self._gone, self._before, self._dicts
        goal, has_indexes = self._run.goal, self._indexes is not None
        keeps_old = has_indexes or self._run.database.engine.supports.conflicts

        def take(
            chains: Sequence[RecordChain], keys: Sequence[bytes], raws: Sequence[bytes]
        ) -> None:
            size = 0
            for chain, stored, raw, value in zip(chains, keys, raws, decoded(raws), strict=True):
                if not chain.steps:
                    continue
                new = chain.apply(stored, decode(stored, raw) if value is UNKNOWN else value)
                if new is None:
                    gone.append(stored)
                else:
                    try:
                        encoded = encode(stored, new)
                    except SerializerError as error:
                        raise chain.failed(stored, goal, error) from error
                    if encoded == raw:
                        continue
                    puts.append((stored, encoded))
                    size += len(encoded)
                    if has_indexes:
                        dicts[stored] = new
                if keeps_old:
                    before[stored] = raw
            self.size += size

        return take

    def write(self, txn: Transaction, engine: Engine) -> None:
        """Write all of it. Raises FailedRecordError for a value that a unique index refuses."""
        puts, gone, before = self._puts, self._gone, self._before
        if engine.supports.conflicts:
            now = txn.get_many(DATA, [*before])
            # A record that has changed since it was scanned was written in the new shape.
            pairs = zip(before.items(), now, strict=True)
            before = dict(each for each, raw in pairs if each[1] == raw)
            puts = [each for each in puts if each[0] in before]
            gone = [stored for stored in gone if stored in before]
        if self._indexes is not None:
            self._reindex(txn, self._indexes, before)
        self.changed, self.removed = len(puts), len(gone)
        txn.put_many(DATA, puts)
        if gone:
            txn.delete_many(DATA, gone)
            add_to_count(txn, count_key(self._run.name), -len(gone))

    def _reindex(
        self, txn: Transaction, indexes: RecordIndexes, before: Mapping[bytes, bytes]
    ) -> None:
        size, decode = len(self._run.name.encode()) + 1, record_decoder(self._run.database.codec)
        for stored, raw in before.items():
            # Decoded once more: the steps may have changed the first dict.
            old = decode(stored, raw)
            try:
                indexes.replace(txn, stored[size:], old, self._dicts.get(stored))
            except DuplicateKeyError as error:
                chain = RecordChain(self._run, self._run.origin)
                raise chain.failed(stored, self._run.goal, error) from error
