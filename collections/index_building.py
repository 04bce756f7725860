"""Builds indexes while others read and write: in steps, each of them one write transaction.

A definition is written first. From then on every writer keeps the index, whatever its state. A step
takes in the next records in key order, and notes the last of them in the same transaction. So a
build that was killed goes on where it was, in any process. The step that finds no more records
makes the index ready. Memory is bounded by the records of one step. Where a commit may find
conflicts, another transaction reads the records: see `unindexed_records`.

A unique index fails on two records with the same values: its state tells which.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import islice

from attrs import evolve

from stones.collections.indexes.definition import (
    IndexDefinition,
    drop_definition,
    drop_entries,
    dropped_prefixes,
    forget_dropped,
    note_progress,
    read_definitions,
    write_definition,
)
from stones.collections.indexes.maintenance import INDEX, RecordIndexes, put_entries
from stones.engine import Transaction
from stones.errors import CollectionError, DuplicateKeyError
from stones.formats.messages import show
from stones.stores.database import Database
from stones.stores.database_reader import DATA
from stones.stores.spans import Span, after_prefix, prefix_span

from .field_decoding import FieldDecoder
from .stored_indexes import StoredIndexes, restart
from .unindexed_records import SHORT_STEP, UnindexedRecords, reads_apart

STEP: int = 5_000
"""So many records are taken in, or entries removed, in one transaction."""


class IndexBuilder:
    """Builds and drops the indexes of one collection."""

    def __init__(self, database: Database, indexes: StoredIndexes) -> None:
        self._database = database
        self._indexes = indexes
        self._name = indexes.name
        self._known: tuple[object, RecordIndexes | None] = (None, None)

    def build(self, progress: Callable[[int], object] | None = None) -> None:
        """Build each index that is not ready, one step after the other.

        `progress` is called after each step, with the number of records that were taken in so far.
        An index that failed is tried again. Raises DuplicateKeyError at the end if one has failed
        on two records with the same values.
        """
        self._restart_failed()
        taken = 0
        while True:
            step = self.take_step()
            if step is None:
                break
            taken += step
            if progress is not None and step:
                progress(taken)
        self.sweep()
        with self._database.reading() as txn:
            problems = [index.problem for index in read_definitions(txn, self._name)]
        for problem in filter(None, problems):
            raise DuplicateKeyError(problem)

    def take_step(self) -> int | None:
        """A step in a transaction of its own: the indexes were defined before.

        Returns how many records it has taken in, or None if no index is being built.
        """
        apart = self._database if reads_apart(self._database) else None
        return self._database.transact(partial(self.step, apart=apart))

    def step(self, txn: Transaction, *, apart: Database | None = None) -> int | None:
        """Take in the next records. Returns how many, or None if no index is being built.

        If the database is given as `apart`, another transaction of it reads the records. Then this
        transaction must not be the one that defines the indexes.
        """
        building = [x for x in read_definitions(txn, self._name) if x.state == "building"]
        if not building:
            return None
        together = [index for index in building if index.at == building[0].at]
        indexes = self._prepared(txn, together)
        if indexes is None:  # the collection has no description, so it has no records
            self._finish(txn, together)
            return 0
        step = _Step(txn, self._indexes, indexes, together)
        last = step.take(building[0].at, apart)
        for index in step.failed:
            drop_entries(txn, index)
            write_definition(txn, self._name, index)
        if last is None:
            self._finish(txn, step.alive)
        else:
            for index in step.alive:
                note_progress(txn, self._name, evolve(index, at=last))
        if step.failed:
            self._database.reload(txn)
        return step.taken

    def drop(self, name: str) -> None:
        """Remove an index. Raises CollectionError if there is no index of this name."""

        def change(txn: Transaction) -> None:
            found = {index.name: index for index in read_definitions(txn, self._name)}
            if name not in found:
                has = f"it has {', '.join(found)}" if found else "it has no indexes"
                raise CollectionError(
                    f"the collection {self._name!r} has no index {show(name)}: {has}"
                )
            drop_definition(txn, self._name, found[name])
            self._database.reload(txn)

        self._database.transact(change)
        self.sweep()

    def drop_failed(self, indexes: Sequence[IndexDefinition]) -> None:
        """Remove those of these indexes that are still there, and have failed."""

        def change(txn: Transaction) -> None:
            ids = {index.id for index in indexes}
            for index in read_definitions(txn, self._name):
                if index.id in ids and index.state == "failed":
                    drop_definition(txn, self._name, index)
            self._database.reload(txn)

        if indexes:
            self._database.transact(change)
            self.sweep()

    def sweep(self) -> None:
        """Remove the entries of all indexes of the store that were dropped, in steps."""
        with self._database.reading() as read:
            is_due = bool(dropped_prefixes(read))
        while is_due:
            is_due = take_sweep_step(self._database)

    def _prepared(
        self, txn: Transaction, building: Sequence[IndexDefinition]
    ) -> RecordIndexes | None:
        """These indexes, made once for all steps: their places may be of an earlier step."""
        generation = self._database.codec.metadata.generation
        wanted = generation, [index.id for index in building]
        if self._known[0] != wanted:
            self._known = wanted, self._indexes.of(txn, tuple(building))
        return self._known[1]

    def _restart_failed(self) -> None:
        with self._database.reading() as read:
            failed = [x for x in read_definitions(read, self._name) if x.state == "failed"]
        if failed:
            self._database.transact(self._restart)

    def _restart(self, txn: Transaction) -> None:
        for index in read_definitions(txn, self._name):
            if index.state == "failed":
                restart(txn, self._name, index)
        self._database.reload(txn)

    def _finish(self, txn: Transaction, indexes: Sequence[IndexDefinition]) -> None:
        for index in indexes:
            write_definition(txn, self._name, evolve(index, state="ready", at=b""))
        self._database.reload(txn)


class _Step:
    """The records of one step on their way into the indexes that are built together."""

    def __init__(
        self,
        txn: Transaction,
        stored: StoredIndexes,
        indexes: RecordIndexes,
        building: Sequence[IndexDefinition],
    ) -> None:
        self._txn = txn
        self._stored = stored
        self._indexes = indexes
        self.alive = [*building]
        self.failed: list[IndexDefinition] = []
        self.taken = 0
        self._plain: list[bytes] = []
        self._floats: list[bytes] = []
        self._entries: dict[bytes, bytes] = {}

    def take(self, at: bytes, apart: Database | None = None) -> bytes | None:
        """Take in the records after the key `at`. The last key, or None if no record is left.

        If the database is given, another transaction of it reads the records.
        """
        prefix = self._stored.prefix
        span = prefix_span(prefix)
        start = prefix + at + b"\0" if at else span.start
        decode = self._decoder()
        if apart is None:
            last = self._take_in(self._records(start, span.stop), decode)
            return last[len(prefix) :] if self.taken >= STEP else None
        read = UnindexedRecords.read(
            apart,
            self._indexes,
            Span(start, span.stop, limit=min(STEP, SHORT_STEP)),
            prefix,
            decode,
        )
        self._take_in(read.as_of_now(self._txn), decode)
        self.taken = read.looked_at
        return None if read.last is None else read.last[len(prefix) :]

    def _take_in(self, records: Iterable[tuple[bytes, bytes]], decode: FieldDecoder) -> bytes:
        """Take in these records. The stored key of the last one."""
        has_unique = any(index.unique for index in self.alive)
        view, add_entries = self._indexes.view, self._indexes.add_entries
        size = len(self._stored.prefix)
        plain, floats, entries = self._plain, self._floats, self._entries
        stored = b""
        for stored, raw in records:
            self.taken += 1
            found = decode(stored, raw)
            if found is None:  # it is damaged: `check` tells
                continue
            key, record = stored[size:], found if view is None else view(found)
            if has_unique:
                entries.update(self._without_failed(key, record))
            else:
                add_entries(record, key, plain, floats, entries)
        self._flush()
        return stored

    def _records(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        left = STEP
        for keys, values in self._txn.pages(DATA, start, stop):
            yield from zip(keys[:left], values, strict=False)
            left -= len(keys)
            if left <= 0:
                return

    def _decoder(self) -> FieldDecoder:
        """What decodes the fields that the indexes need."""
        if any(index.where is not None for index in self.alive):
            return self._stored.decode
        names = {path.partition(".")[0] for index in self.alive for path in index.paths}
        return self._stored.decoder_of(names)

    def _without_failed(self, key: bytes, record: object) -> dict[bytes, bytes]:
        """The entries of a record, without those of an index that has failed now or before."""
        new = self._indexes.entries(record, key)
        for index in [*self.alive]:
            mine = [entry for entry in new if entry.startswith(index.prefix)]
            if not index.unique:
                continue
            other = next(
                (
                    other
                    for entry in mine
                    if (other := self._duplicate(index, key, record, entry, new[entry])) is not None
                ),
                None,
            )
            if other is not None:
                problem = self._indexes.duplicate_text(index, record, key, other)
                self.alive.remove(index)
                self.failed.append(evolve(index, state="failed", at=b"", problem=problem))
        dead = tuple(index.prefix for index in self.failed)
        return {entry: value for entry, value in new.items() if not entry.startswith(dead)}

    def _duplicate(
        self, index: IndexDefinition, key: bytes, record: object, entry: bytes, stored: bytes
    ) -> bytes | None:
        present = self._entries.get(entry)
        if present is not None and present != stored:
            return self._indexes.key_of(index, entry, present)
        if self._indexes.is_unclear(index, entry, stored):
            self._flush()  # so that the entries of this step are found too
        return self._indexes.find_duplicate(self._txn, index, key, entry, stored, record)

    def _flush(self) -> None:
        put_entries(self._txn, self._plain, self._floats, self._entries)


def take_sweep_step(database: Database) -> bool:
    """`sweep_step` in a transaction of its own: the indexes were dropped before."""
    return database.transact(partial(sweep_step, apart=database if reads_apart(database) else None))


def sweep_step(txn: Transaction, *, apart: Database | None = None) -> bool:
    """Remove some entries of dropped indexes. Is there more to do?

    If the database is given as `apart`, another transaction of it reads the entries. Then this
    transaction must not have written entries.
    """
    left = STEP
    for prefix in dropped_prefixes(txn):
        # Nobody writes these entries any more.
        with nullcontext(txn) if apart is None else apart.reading() as read:
            entries = [*islice(read.keys(INDEX, prefix, after_prefix(prefix)), left + 1)]
        txn.delete_many(INDEX, entries[:left])
        if len(entries) > left:
            return True
        left -= len(entries)
        forget_dropped(txn, prefix)
    return False
