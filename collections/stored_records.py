"""StoredRecords: the records of one collection in the database.

Every change of a record goes through `StoredRecords.put` or `StoredRecords.remove`. Whatever must
change together with a record, the count and the entries of indexes, changes there, in the same
transaction. There are two exceptions, which remove all records at once, and all that is kept about
them: `StoredRecords.remove_all`, and `clear()` of the store (`stones.stores.writer`).
`Collection` is the mapping above it. The reading half is in `readable_records`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from stones.collections.records.record_type import RecordType
from stones.collections.records.simple_values import has_simple_values
from stones.engine import Space, Transaction
from stones.errors import (
    CorruptValueError,
    DuplicateKeyError,
    KeyTooLongError,
    ReadOnlyError,
    RecordError,
    UnexpectedError,
)
from stones.formats.messages import show, show_key
from stones.stores.claims import add_to_count, is_collection
from stones.stores.database import Database
from stones.stores.database_reader import DATA, DatabaseReader

from .declared_indexes import DeclaredIndexes
from .readable_records import ReadableRecords
from .record_changes import RecordChanges
from .record_steps import Step
from .step_changes import StepChanges

if TYPE_CHECKING:
    from stones.collections.indexes.definition import IndexDefinition
    from stones.collections.indexes.maintenance import RecordIndexes

    from .index_building import IndexBuilder

K = TypeVar("K")
R = TypeVar("R")
T = TypeVar("T")


class StoredRecords(ReadableRecords[K, R]):
    """The records of the collection `name`, under the keys `name/...` of a database.

    The first record that is written makes the keys the collection's own. Opening it only reads,
    unless it declares an index that the records lack.
    """

    def __init__(
        self,
        database: DatabaseReader,
        record_type: RecordType[R],
        name: str,
        declared: "Sequence[IndexDefinition]" = (),
        steps: Iterable[Step] = (),
    ) -> None:
        super().__init__(database, record_type, name, steps)
        self.declared = DeclaredIndexes(declared, self.indexes)
        self._settled: bytes | None = None  # a description by which no record lacks a step
        self._has_conflicts = isinstance(database, Database) and database.engine.supports.conflicts
        if declared and isinstance(database, Database) and not database.readonly:
            self.settle_indexes(database)

    def settle_indexes(self, database: Database) -> None:
        """Define and build the declared indexes that the records lack. See `DeclaredIndexes`.

        Not before a step that gives the records other keys.
        """
        if self.program.changes_keys(self._description.read_now().steps) is None:
            describe = self._description.write_for_indexes
            self.declared.settle(database, lambda txn: describe(txn, database))

    def under(self, name: str) -> "StoredRecords[K, R]":
        """The records of the collection with another name, or anew with the same name."""
        of = self.declared.definitions, self.program.steps
        return StoredRecords(self.database, self.type, name, *of)

    # -- writing -------------------------------------------------------------------------------

    def change(
        self,
        operation: Callable[[RecordChanges], T],
        *,
        joinable: bool = False,
        is_seen: bool = False,
    ) -> T:
        """What `operation` returns, in a transaction. If `joinable`, all that runs in it joins it.

        It runs in this thread, and may run more than once: see `Database.transact`.
        If the operation `is_seen` by code of the caller that runs in it, that code may read and
        write the records so far, if it is in the same transaction. Then the count changes with each
        record. Raises ReadOnlyError for a collection of a snapshot.
        """
        database = self._ready_database()
        is_seen = is_seen and (joinable or database.in_transaction())
        described: list[bytes | None] = [None]

        def run(txn: Transaction) -> T:
            changes = self._begun(txn)
            changes.is_seen = is_seen
            result = operation(changes)
            if changes.added:
                add_to_count(txn, self._count_key, changes.added)
            described[0] = changes.described
            return result

        result = database.transact(run, joinable=joinable)
        if described[0] is not None:
            self._description.note_written(described[0])
        return result

    @contextmanager
    def writing_many(self, *, is_seen: bool = False) -> Iterator[RecordChanges]:
        """A transaction for many new records, whose operation cannot run again.

        Their entries in indexes are sorted and written together, which is faster. `is_seen` is as
        for `change`. Then no entry is held back.

        Raises ReadOnlyError for a collection of a snapshot.
        """
        database = self._ready_database()
        is_seen = is_seen and database.in_transaction()
        with database.writing() as txn:
            changes = self._begun(txn)
            changes.are_many, changes.is_seen = not is_seen, is_seen
            yield changes
            if changes.batch is not None:
                changes.batch.flush()
            if changes.added:
                add_to_count(txn, self._count_key, changes.added)
        if changes.described is not None:
            self._description.note_written(changes.described)

    def _ready_database(self) -> Database:
        """The database to write to, after what the declared indexes need before a write."""
        database = self._writable_database()
        if self.declared.are_unfinished:
            self.declared.take_step(database)
        if not self.declared.are_stored:
            self.declared.note_stored(database)
        return database

    def _begun(self, txn: Transaction) -> RecordChanges:
        """What an operation changes, at its start."""
        key, known = self._description.key, self._description.known
        if known is None:
            raw = txn.get(Space.META, key)
            return self._stepped(RecordChanges(txn, is_collection(raw), is_described=False), raw)
        if self._has_conflicts:
            # Before the description is expected: it may be another one. The transaction is not
            # committed then, but the indexes are remembered, and would be made of the wrong one.
            self.indexes.kept(txn)
        try:
            txn.expect(Space.META, key, known)
        except UnexpectedError as error:
            raw = error.found
            return self._stepped(RecordChanges(txn, is_collection(raw), is_described=False), raw)
        changes = RecordChanges(txn, True, is_described=not self.declared.are_missing(txn))
        return changes if known == self._settled else self._stepped(changes, known)

    def _stepped(self, changes: RecordChanges, raw: bytes | None) -> RecordChanges:
        """The same, with what a program must write while records lack its steps.

        `raw` are the stored bytes of the description. Raises MigrationError if the program must not
        write.
        """
        self._description.check_claim(raw)
        changes.steps = None
        if not changes.is_claimed or raw == self._settled:
            return changes
        steps = self._description.reading(raw).steps
        self.program.check_writable(steps)
        if not steps.is_pending(self.program.last):
            self._settled = raw
            return changes
        self._is_settled = False
        if self.program.changes_keys(steps) is not None and self.has_records(changes.txn):
            self.program.check_keys(steps)
        engine = self.database.engine
        changes.steps = StepChanges(changes.txn, self.name, steps, self.program.last, engine)
        return changes

    def read(self, changes: RecordChanges, key: K, *, is_replaced: bool = False) -> R | None:
        """The record with this key, or None. What is made of it is written if it `is_replaced`."""
        stored = self.encode_key(key)
        if not changes.is_claimed:  # what is there belongs to somebody else
            return None
        if changes.steps is not None:
            value = self._upgraded(changes, stored, is_shown=not is_replaced)
            return None if value is None else self.load(stored, value)
        raw = changes.txn.get(DATA, stored)
        return None if raw is None else self.load(stored, self.database.decode_record(stored, raw))

    def last(self, changes: RecordChanges) -> tuple[bytes, R] | None:
        """The last record in key order with its stored key, or None."""
        if not changes.is_claimed:
            return None
        span = self.span
        if changes.steps is not None and (reader := self.reader_at(changes.txn).upgrades):
            entry = next(reader.entries(span.reversed()), None)
            return None if entry is None else (entry[0], self.load(*entry))
        found = next(changes.txn.scan(DATA, span.start, span.stop, reverse=True), None)
        if found is None:
            return None
        return found[0], self.load(found[0], self.database.decode_record(*found))

    def write(self, changes: RecordChanges, key: K, record: R, *, overwrite: bool = True) -> None:
        """Write a record under its key.

        Raises DuplicateKeyError where there is a record and `overwrite` is False, RecordError for a
        record that does not fit, KeyTooLongError. Raises CollectionError if the keys of the
        collection are in use.
        """
        stored = self.stored_key(key)
        self.describe(changes)
        before: bytes | None = None
        if overwrite:
            before = changes.txn.get(DATA, stored)
        else:
            try:
                changes.txn.expect(DATA, stored, None)
            except UnexpectedError as error:
                if not self.is_removed(changes, stored):
                    raise self.duplicate(key) from None
                before = error.found
        self.put(changes, key, stored, before, self.dump(key, record))

    def describe(self, changes: RecordChanges) -> None:
        """Write the description of the collection, unless it is there: the first record does."""
        if not changes.is_described:
            database = self._writable_database()
            changes.described = self._description.write(changes.txn, database)
            self.declared.add_missing(changes.txn, database)
            changes.is_claimed = changes.is_described = True
            self._stepped(changes, changes.described)

    def is_removed(self, changes: RecordChanges, stored: bytes) -> bool:
        """Whether a step removes the record with a stored key, which is not migrated yet."""
        return changes.steps is not None and self._upgraded(changes, stored) is None

    def _upgraded(self, changes: RecordChanges, stored: bytes, *, is_shown: bool = False) -> Any:
        """The dict of a record while some lack steps. None if there is none, or it is removed."""
        reader = self.reader_at(changes.txn, is_shown=is_shown).upgrades
        return None if reader is None else reader.one(stored)

    def stored_key(self, key: K) -> bytes:
        """The key in the store of a record that is written. Raises KeyTooLongError."""
        stored = self.prefix + self._encode(key)
        if len(stored) > self._max_key_size:
            room = self._max_key_size - len(self.prefix)
            raise KeyTooLongError(
                f"{self.name}: a key has at most {room} bytes here, "
                f"{show(key)} has {len(stored) - len(self.prefix)}"
            )
        return stored

    def dump(self, key: K, record: R) -> Any:
        """The stored dict of a record, which shares nothing with it. Raises RecordError."""
        try:
            return self.type.dump(record)
        except RecordError as error:
            raise RecordError(f"{self.name}[{show_key(key)}]: {error}") from error

    def put(
        self, changes: RecordChanges, key: K, stored: bytes, before: bytes | None, value: Any
    ) -> bytes:
        """Put the dict of a record in the place of `before`: every write goes through here.

        `before` are the stored bytes of the record that is there, or None. Fields of it that the
        class does not know are taken along if the collection was opened with unknown="keep".
        Returns the stored bytes. Raises RecordError for a value that cannot be stored.
        """
        if not changes.is_described:
            self.describe(changes)
        txn = changes.txn
        try:
            if before is not None and self._keeps_unknown:
                value = self._with_unknown_fields(changes, stored, before, value)
            codec = self.database.codec
            raw = (codec.encode_simple if self._is_simple else codec.encode)(stored, value)
        except RecordError as error:
            raise RecordError(f"{self.name}[{show_key(key)}]: {error}") from error
        is_new = before is None
        if is_new and changes.batch is not None:
            changes.batch.add(stored[len(self.prefix) :], value)
        elif (indexes := self.indexes.kept(txn)) is not None:
            self._reindex(changes, indexes, stored, before, value)
        txn.put(DATA, stored, raw)
        if changes.steps is not None:
            changes.steps.put(stored)
        changes.added += is_new
        if changes.is_seen and changes.added:
            add_to_count(txn, self._count_key, changes.added)
            changes.added = 0
        return raw

    def duplicate(self, key: K) -> DuplicateKeyError:
        """The error for a record that is there already."""
        return DuplicateKeyError(
            f"{self.name}[{show_key(key)}] is there already: use put() to replace it, "
            "or update() to change some fields"
        )

    def remove(self, changes: RecordChanges, stored: bytes) -> bool:
        """Remove the record under a stored key: every removal goes through here. Was it there?"""
        if not changes.is_claimed:
            return False
        indexes = self.indexes.kept(changes.txn)
        if indexes is not None and (before := changes.txn.get(DATA, stored)) is not None:
            self._reindex(changes, indexes, stored, before, None)
        is_removed = False
        if changes.steps is not None:
            with suppress(RecordError):  # a step fails for it, so it is there
                is_removed = self.is_removed(changes, stored)
            changes.steps.remove(stored)
        found = changes.txn.delete(DATA, stored)
        changes.added -= found
        return found and not is_removed

    def remove_all(self, changes: RecordChanges) -> None:
        """Remove every record. The count begins anew, whatever it was."""
        if not changes.is_claimed:
            return
        indexes = self.indexes.kept(changes.txn)
        if indexes is not None:
            indexes.remove_all(changes.txn)
        changes.txn.delete_range(DATA, self.span.start, self.span.stop)
        changes.added = 0
        changes.txn.drop_sum(self._count_key)
        if changes.steps is not None:
            changes.described = self._description.write_empty(
                changes.txn, self._writable_database()
            )
            self._stepped(changes, changes.described)

    @cached_property
    def _is_simple(self) -> bool:
        """Whether all dicts that are written are simple values, which are encoded faster."""
        return not self._keeps_unknown and has_simple_values(self.type.conversion)

    def builder(self) -> "IndexBuilder":
        """What builds and drops the indexes. Raises ReadOnlyError for a snapshot."""
        from .index_building import IndexBuilder

        return IndexBuilder(self._writable_database(), self.indexes)

    def _reindex(
        self,
        changes: RecordChanges,
        indexes: "RecordIndexes",
        stored: bytes,
        before: bytes | None,
        after: Any,
    ) -> None:
        """Write the entries that differ: `before` are stored bytes, `after` is a dict, or None."""
        txn, key = changes.txn, stored[len(self.prefix) :]
        if before is None:
            if not changes.are_many:
                indexes.replace(txn, key, None, after)
                return
            if changes.batch is None:
                from stones.collections.indexes.maintenance import EntryBatch

                changes.batch = EntryBatch(indexes, txn)
            changes.batch.add(key, after)
            return
        if changes.batch is not None:
            changes.batch.flush()
        known = self.indexes.decode(stored, before)
        if known is None:  # writing a record mends a damaged one
            indexes.remove_damaged(txn, key)
        indexes.replace(txn, key, known, after)

    def _with_unknown_fields(
        self, changes: RecordChanges, stored: bytes, before: bytes, value: Any
    ) -> Any:
        """The dict of a record, with the fields of the record before that the class lacks."""
        try:
            if changes.steps is None:
                decoded = self.database.decode_record(stored, before)
            else:
                decoded = self._upgraded(changes, stored)
        except (CorruptValueError, RecordError):  # writing a record mends one that cannot be read
            return value
        try:
            return self.type.schema.carried(decoded, value)
        except RecursionError as error:
            raise RecordError("it is nested too deeply to keep its unknown fields") from error

    def _writable_database(self) -> Database:
        if not isinstance(self.database, Database):
            raise ReadOnlyError(f"{self.name}: a collection of a snapshot is read-only")
        return self.database
