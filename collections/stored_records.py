"""StoredRecords: the records of one collection in the database.

Every change of a record goes through `StoredRecords.write` or `StoredRecords.remove`. Whatever must
change together with a record, the count and the entries of indexes, changes there, in the same
transaction. There is one exception: `clear()` of the store removes all records of all collections
at once, and all that is kept about them (`stones.stores.writer`).
`Collection` is the mapping above it, `Query` reads from it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Generic, TypeVar

from attrs import frozen

from stones.collections.indexes.definition import (
    IndexDefinition,
    IndexInfo,
    info_of,
    read_definitions,
)
from stones.collections.indexes.maintenance import EntryBatch, RecordIndexes
from stones.collections.records.conversion import MisfitError
from stones.collections.records.record_type import RecordType
from stones.collections.records.simple_values import has_simple_values
from stones.engine import Space, Transaction
from stones.errors import (
    CollectionError,
    CorruptValueError,
    DuplicateKeyError,
    FormatMismatchError,
    KeyTooLongError,
    ReadOnlyError,
    RecordError,
)
from stones.formats.codec import Codec
from stones.formats.messages import show, show_key
from stones.stores.claims import add_to_count, count_key, read_count
from stones.stores.database import Database
from stones.stores.database_reader import DATA, DatabaseReader, record_decoder
from stones.stores.spans import Span, prefix_span

from .declared_indexes import DeclaredIndexes
from .index_building import IndexBuilder
from .record_changes import RecordChanges
from .stored_description import CurrentNames, ReadDescription, StoredDescription
from .stored_indexes import StoredIndexes

K = TypeVar("K")
R = TypeVar("R")


@frozen(eq=False)
class RecordReader:
    """Reads the stored bytes of the records of a collection, as one transaction sees them."""

    codec: Codec
    description: ReadDescription
    decode: Callable[[bytes, bytes], Any]
    """Gives, for a stored key and stored bytes, the dict of a record as a query sees it.

    It is as the class would store the record now, with the defaults of fields that were added
    later. What the class cannot read is as it is stored. Raises CorruptValueError.
    """


class StoredRecords(Generic[K, R]):
    """The records of the collection `name`, under the keys `name/...` of a database.

    Opening it only reads. Raises CollectionError if the class cannot read the records, or if the
    keys are in use. The first record that is written makes the keys the collection's own.
    """

    def __init__(
        self,
        database: DatabaseReader,
        record_type: RecordType[R],
        name: str,
        declared: Sequence[IndexDefinition] = (),
    ) -> None:
        self.database = database
        self.type = record_type
        self.name = name
        self.prefix = name.encode() + b"/"
        self.span = prefix_span(self.prefix)
        self._count_key = count_key(name)
        self._encode = record_type.key_codec.encode
        self._functions = record_type.schema.functions
        self._max_key_size = database.max_key_size
        if database.is_stones03:
            raise CollectionError(
                "a database of stones 0.3 has no collections: re-encode it first, with migrate() "
                "or `stones migrate`"
            )
        self._keeps_unknown = record_type.rules.unknown == "keep"
        self._description = StoredDescription(database, record_type, name, self.span)
        self._description.check()
        self.description_key = self._description.key
        """The key of the description in the metadata."""
        self.indexes = StoredIndexes(database, name)
        self.declared = DeclaredIndexes(declared, self.indexes)
        if declared and isinstance(database, Database) and not database.readonly:
            self.declared.settle(database, lambda txn: self._description.write(txn, database))

    def extra_fields(self) -> Sequence[Collection[str]]:
        """The names that queries may use though no class has them: of records, of dicts inside."""
        if not self._keeps_unknown:
            return (), ()
        read_now = self._description.read_now
        return CurrentNames(lambda: read_now().names), CurrentNames(lambda: read_now().names_inside)

    # -- reading -------------------------------------------------------------------------------

    def get(self, key: K) -> R | None:
        """The record with this key, or None. O(log n)."""
        stored = self.prefix + self._encode(key)
        raw = self.database.get(stored)
        if raw is None:
            return None
        try:  # without the call of decode_record, which would make each get 3 % slower
            value = self.database.decode(stored, raw)
        except FormatMismatchError:
            value = self.database.decode_record(stored, raw)
        return self.load(stored, value)

    def get_many(self, keys: Iterable[K]) -> Iterator[tuple[K, R]]:
        """Those of `keys` that are there, in that order, with their records from one snapshot."""
        stored = [self.encode_key(key) for key in keys]
        for found, value in self.database.get_many(stored, are_records=True):
            yield self.decode_key(found), self.load(found, value)

    def contains(self, key: K) -> bool:
        """Whether there is a record with this key. O(log n)."""
        return self.database.get(self.encode_key(key)) is not None

    def count(self) -> int:
        """How many records there are. O(1)."""
        return read_count(self.database, self._count_key)

    def count_at(self, txn: Transaction) -> int:
        """How many records there are, as a transaction sees it. O(1)."""
        return read_count(txn, self._count_key)

    def keys(self, span: Span) -> Iterator[K]:
        """The keys in a span."""
        decode, start = self.type.key_codec.decode, len(self.prefix)
        return (decode(stored[start:]) for stored in self.database.keys(span))

    def values(self, span: Span) -> Iterator[R]:
        """The records in a span, in key order."""
        return self.loaded(self._entries(span))

    def items(self, span: Span) -> Iterator[tuple[K, R]]:
        """The records in a span, with their keys."""
        for stored, value in self._entries(span):
            yield self.decode_key(stored), self.load(stored, value)

    def reader_at(self, txn: Transaction) -> RecordReader:
        """What reads the stored bytes of records as a transaction sees them. Two reads."""
        codec, description = self.database.codec_at(txn), self._description.read_at(txn)
        return RecordReader(codec, description, self._decoder(codec, description))

    def _entries(self, span: Span) -> Iterator[tuple[bytes, Any]]:
        return self.database.entries(span, are_records=True)

    def _decoder(self, codec: Codec, description: ReadDescription) -> Callable[[bytes, bytes], Any]:
        decode = record_decoder(codec)
        if not description.varies:
            return decode
        completed, drop = self.type.schema.completed, self.type.rules.unknown == "drop"

        def decode_completed(stored: bytes, raw: bytes) -> Any:
            value = decode(stored, raw)
            try:
                return completed(value, drop)
            except RecursionError:  # nested so deeply that the class may not be able to read it
                return value

        return decode_completed

    def load(self, stored: bytes, value: Any) -> R:
        """The record of a stored dict. Raises RecordError with the key."""
        try:
            record: R = self._functions.load(value)
        except MisfitError as error:
            raise self._misfit(stored, error) from error.__cause__
        return record

    def loaded(self, entries: Iterable[tuple[bytes, Any]]) -> Iterator[R]:
        """The records of stored keys and dicts, as `load` makes them."""
        functions = self._functions
        for stored, value in entries:
            try:  # without the call of load(), which would take 3 % more time
                record: R = functions.load(value)
            except MisfitError as error:
                raise self._misfit(stored, error) from error.__cause__
            yield record

    def _misfit(self, stored: bytes, error: MisfitError) -> RecordError:
        return RecordError(f"{self.name}[{show_key(self.decode_key(stored))}]: {error}")

    def why_unusable(self, txn: Transaction, index: IndexDefinition) -> str | None:
        """Why an index cannot answer queries of this collection, in words. None if it can."""
        return self.indexes.why_unusable(txn, index, self.type.schema)

    def index_infos(self) -> tuple[IndexInfo, ...]:
        """The indexes of the collection as of now, the oldest first."""
        with self.database.reading() as txn:
            return tuple(map(info_of, read_definitions(txn, self.name)))

    # -- keys ----------------------------------------------------------------------------------

    def encode_key(self, key: Any) -> bytes:
        """The key in the store of the record with this key."""
        return self.prefix + self._encode(key)

    def decode_key(self, stored: bytes) -> K:
        """The key of the record that is stored under `stored`."""
        key: K = self.type.key_codec.decode(stored[len(self.prefix) :])
        return key

    # -- writing -------------------------------------------------------------------------------

    @contextmanager
    def writing(
        self, *, joinable: bool = False, many: bool = False, is_seen: bool = False
    ) -> Iterator[RecordChanges]:
        """A transaction for one operation. If `joinable`, all that runs in the block joins it.

        If the operation may write `many` new records, their entries in indexes are sorted and
        written together, which is faster. It must not be joinable then.

        If the operation `is_seen` by code of the caller that runs in the block, that code may read
        and write the records so far, once it is in the same transaction. Then neither an entry nor
        a change of the count is held back.

        Raises ReadOnlyError for a collection of a snapshot.
        """
        database = self._writable_database()
        if self.declared.are_unfinished:
            self.declared.take_step(database)
        if not self.declared.are_stored:
            self.declared.note_stored(database)
        is_seen = is_seen and (joinable or database.in_transaction())
        with database.writing(joinable=joinable) as txn:
            raw, known = txn.get(Space.META, self._description.key), self._description.known
            is_described = raw is not None and raw == known and not self.declared.are_missing(txn)
            changes = RecordChanges(txn, raw is not None, is_described)
            changes.are_many, changes.is_seen = many and not is_seen, is_seen
            yield changes
            if changes.batch is not None:
                changes.batch.flush()
            if changes.added:
                add_to_count(txn, self._count_key, changes.added)

    def read(self, changes: RecordChanges, key: K) -> R | None:
        """The record with this key as the transaction sees it, or None."""
        stored = self.encode_key(key)
        if not changes.is_claimed:  # what is there belongs to somebody else
            return None
        raw = changes.txn.get(DATA, stored)
        return None if raw is None else self.load(stored, self.database.decode_record(stored, raw))

    def holds(self, changes: RecordChanges, key: K) -> bool:
        """Whether there is a record with this key, as the transaction sees it."""
        return changes.is_claimed and changes.txn.get(DATA, self.encode_key(key)) is not None

    def last(self, changes: RecordChanges) -> tuple[bytes, R] | None:
        """The last record in key order with its stored key, or None."""
        if not changes.is_claimed:
            return None
        span = self.span
        found = next(changes.txn.scan(DATA, span.start, span.stop, reverse=True), None)
        if found is None:
            return None
        return found[0], self.load(found[0], self.database.decode_record(*found))

    def write(self, changes: RecordChanges, key: K, record: R, *, overwrite: bool = True) -> None:
        """Write a record under its key: every write of a record goes through here.

        Fields of the record before that the class does not know are taken along if the collection
        was opened with unknown="keep". The first record also writes the description.

        Raises DuplicateKeyError where there is a record and `overwrite` is False, RecordError for a
        record that does not fit, KeyTooLongError. Raises CollectionError if the keys of the
        collection are in use.
        """
        stored = self.prefix + self._encode(key)
        if len(stored) > self._max_key_size:
            room = self._max_key_size - len(self.prefix)
            raise KeyTooLongError(
                f"{self.name}: a key has at most {room} bytes here, "
                f"{show(key)} has {len(stored) - len(self.prefix)}"
            )
        txn = changes.txn
        if not changes.is_described:
            self._description.write(txn, self._writable_database())
            self.declared.add_missing(txn, self._writable_database())
            changes.is_claimed = changes.is_described = True
        before = txn.get(DATA, stored)
        is_new = before is None
        if not is_new and not overwrite:
            raise DuplicateKeyError(
                f"{self.name}[{show_key(key)}] is there already: use put() to replace it, "
                "or update() to change some fields"
            )
        try:
            value = self.type.dump(record)
            if before is not None and self._keeps_unknown:
                value = self._with_unknown_fields(stored, before, value)
            codec = self.database.codec
            raw = (codec.encode_simple if self._is_simple else codec.encode)(stored, value)
        except RecordError as error:
            raise RecordError(f"{self.name}[{show_key(key)}]: {error}") from error
        if is_new and changes.batch is not None:
            changes.batch.add(stored[len(self.prefix) :], value)
        elif (indexes := self.indexes.kept(txn)) is not None:
            self._reindex(changes, indexes, stored, before, value)
        txn.put(DATA, stored, raw)
        changes.added += is_new
        if changes.is_seen and changes.added:
            add_to_count(txn, self._count_key, changes.added)
            changes.added = 0

    def remove(self, changes: RecordChanges, stored: bytes) -> bool:
        """Remove the record under a stored key: every removal goes through here. Was it there?"""
        if not changes.is_claimed:
            return False
        indexes = self.indexes.kept(changes.txn) if changes.have_entries else None
        if indexes is not None and (before := changes.txn.get(DATA, stored)) is not None:
            self._reindex(changes, indexes, stored, before, None)
        found = changes.txn.delete(DATA, stored)
        changes.added -= found
        return found

    def remove_all(self, changes: RecordChanges) -> None:
        """Remove every record. The count begins anew, whatever it was."""
        if not changes.is_claimed:
            return
        indexes = self.indexes.kept(changes.txn)
        if indexes is not None:
            indexes.remove_all(changes.txn)
        changes.have_entries = False
        for stored in changes.txn.keys(DATA, self.span.start, self.span.stop):
            self.remove(changes, stored)
        changes.added = 0
        changes.txn.drop_sum(self._count_key)

    @cached_property
    def _is_simple(self) -> bool:
        """Whether all dicts that are written are simple values, which are encoded faster."""
        return not self._keeps_unknown and has_simple_values(self.type.conversion)

    def builder(self) -> IndexBuilder:
        """What builds and drops the indexes. Raises ReadOnlyError for a snapshot."""
        return IndexBuilder(self._writable_database(), self.indexes)

    def _reindex(
        self,
        changes: RecordChanges,
        indexes: RecordIndexes,
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
                changes.batch = EntryBatch(indexes, txn)
            changes.batch.add(key, after)
            return
        if changes.batch is not None:
            changes.batch.flush()
        known = self.indexes.decode(stored, before)
        if known is None:  # writing a record mends a damaged one
            indexes.remove_damaged(txn, key)
        indexes.replace(txn, key, known, after)

    def _with_unknown_fields(self, stored: bytes, before: bytes, value: Any) -> Any:
        """The dict of a record, with the fields of the record before that the class lacks."""
        try:
            decoded = self.database.decode_record(stored, before)
        except CorruptValueError:  # writing a record mends a damaged one
            return value
        try:
            return self.type.schema.carried(decoded, value)
        except RecursionError as error:
            raise RecordError("it is nested too deeply to keep its unknown fields") from error

    def _writable_database(self) -> Database:
        if not isinstance(self.database, Database):
            raise ReadOnlyError(f"{self.name}: a collection of a snapshot is read-only")
        return self.database
