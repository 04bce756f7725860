"""StoredRecords: the records of one collection in the database.

Every change of a record goes through `StoredRecords.write` or `StoredRecords.remove`. Whatever must
change together with a record (the count today) changes there, in the same transaction. There is one
exception: `clear()` of the store removes all records of all collections at once, and all that is
kept about them (`stones.stores.writer`).
`Collection` is the mapping above it, `Query` reads from it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from attrs import define

from stones.collections.records.record_type import RecordType
from stones.engine import Space, Transaction
from stones.errors import (
    CollectionError,
    DuplicateKeyError,
    KeyTooLongError,
    ReadOnlyError,
    RecordError,
)
from stones.formats.messages import show, show_key
from stones.stores.claims import (
    add_to_count,
    claim_key,
    count_key,
    parse_count,
    read_collection,
    write_collection,
)
from stones.stores.database import Database
from stones.stores.database_reader import DATA, DatabaseReader
from stones.stores.spans import Span, prefix_span

from .description import Description

K = TypeVar("K")
R = TypeVar("R")


@define
class RecordChanges:
    """What one operation on a collection changes: its transaction, and the change of the count."""

    txn: Transaction
    added: int = 0
    """Records added less records removed. It is added to the count when the operation ends."""


class StoredRecords(Generic[K, R]):
    """The records of the collection `name`, under the keys `name/...` of a database.

    Makes these keys the collection's own, or checks that they are. Raises CollectionError where the
    name has other records, or where the keys are in use.
    """

    def __init__(self, database: DatabaseReader, record_type: RecordType[R], name: str) -> None:
        self.database = database
        self.type = record_type
        self.name = name
        self.prefix = name.encode() + b"/"
        self.span = prefix_span(self.prefix)
        self._count_key = count_key(name)
        self._claim_key = claim_key(name)
        self._encode = record_type.key_codec.encode
        self._max_key_size = database.max_key_size
        self._description = Description.of_type(record_type)
        self._claim_or_check()

    # -- reading -------------------------------------------------------------------------------

    def get(self, key: K) -> R | None:
        """The record with this key, or None. O(log n)."""
        stored = self.prefix + self._encode(key)
        raw = self.database.get(stored)
        return None if raw is None else self.load(stored, self.database.decode_record(stored, raw))

    def contains(self, key: K) -> bool:
        """Whether there is a record with this key. O(log n)."""
        return self.database.get(self.encode_key(key)) is not None

    def count(self) -> int:
        """How many records there are. O(1)."""
        return parse_count(self._count_key, self.database.get(self._count_key, Space.META))

    def keys(self, span: Span) -> Iterator[K]:
        """The keys in a span."""
        decode, start = self.type.key_codec.decode, len(self.prefix)
        return (decode(stored[start:]) for stored in self.database.keys(span))

    def values(self, span: Span) -> Iterator[R]:
        """The records in a span, in key order."""
        return (self.load(stored, value) for stored, value in self._entries(span))

    def items(self, span: Span) -> Iterator[tuple[K, R]]:
        """The records in a span, with their keys."""
        for stored, value in self._entries(span):
            yield self.decode_key(stored), self.load(stored, value)

    def scan(self, required_text: bytes | None = None) -> Iterator[tuple[bytes, Any]]:
        """The stored keys and the dicts of all records, in key order, from one snapshot.

        Records that do not contain `required_text` may be left out.
        """
        return self._entries(self.span, required_text)

    def _entries(
        self, span: Span, required_text: bytes | None = None
    ) -> Iterator[tuple[bytes, Any]]:
        return self.database.entries(span, required_text, are_records=True)

    def load(self, stored: bytes, value: Any) -> R:
        """The record of a stored dict. Raises RecordError with the key."""
        try:
            return self.type.load(value)
        except RecordError as error:
            raise RecordError(
                f"{self.name}[{show_key(self.decode_key(stored))}]: {error}"
            ) from error

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
    def writing(self, *, joinable: bool = False) -> Iterator[RecordChanges]:
        """A transaction for one operation. If `joinable`, all that runs in the block joins it.

        Raises ReadOnlyError for a collection of a snapshot.
        """
        database = self._writable_database()
        with database.writing(joinable=joinable) as txn:
            if txn.get(Space.META, self._claim_key) is None:  # its claim may have been undone
                self._claim(txn, database)
            changes = RecordChanges(txn)
            yield changes
            if changes.added:
                add_to_count(txn, self._count_key, changes.added)

    def read(self, changes: RecordChanges, key: K) -> R | None:
        """The record with this key as the transaction sees it, or None."""
        stored = self.encode_key(key)
        raw = changes.txn.get(DATA, stored)
        return None if raw is None else self.load(stored, self.database.decode_record(stored, raw))

    def last(self, changes: RecordChanges) -> tuple[bytes, R] | None:
        """The last record in key order with its stored key, or None."""
        span = self.span
        found = next(changes.txn.scan(DATA, span.start, span.stop, reverse=True), None)
        if found is None:
            return None
        return found[0], self.load(found[0], self.database.decode_record(*found))

    def write(self, changes: RecordChanges, key: K, record: R, *, overwrite: bool = True) -> None:
        """Write a record under its key: every write of a record goes through here.

        Raises DuplicateKeyError where there is a record and `overwrite` is False, RecordError for a
        record that does not fit, KeyTooLongError.
        """
        stored = self.prefix + self._encode(key)
        if len(stored) > self._max_key_size:
            room = self._max_key_size - len(self.prefix)
            raise KeyTooLongError(
                f"{self.name}: a key has at most {room} bytes here, "
                f"{show(key)} has {len(stored) - len(self.prefix)}"
            )
        txn = changes.txn
        is_new = txn.get(DATA, stored) is None
        if not is_new and not overwrite:
            raise DuplicateKeyError(
                f"{self.name}[{show_key(key)}] is there already: use put() to replace it, "
                "or update() to change some fields"
            )
        try:
            raw = self.database.codec.encode(stored, self.type.dump(record))
        except RecordError as error:
            raise RecordError(f"{self.name}[{show_key(key)}]: {error}") from error
        txn.put(DATA, stored, raw)
        changes.added += is_new

    def remove(self, changes: RecordChanges, stored: bytes) -> bool:
        """Remove the record under a stored key: every removal goes through here. Was it there?"""
        found = changes.txn.delete(DATA, stored)
        changes.added -= found
        return found

    def remove_all(self, changes: RecordChanges) -> None:
        """Remove every record. The count begins anew, whatever it was."""
        for stored in changes.txn.keys(DATA, self.span.start, self.span.stop):
            self.remove(changes, stored)
        changes.added = 0
        changes.txn.delete(Space.META, self._count_key)

    # -- the claim -----------------------------------------------------------------------------

    def _writable_database(self) -> Database:
        if not isinstance(self.database, Database):
            raise ReadOnlyError(f"{self.name}: a collection of a snapshot is read-only")
        return self.database

    def _claim_or_check(self) -> None:
        """Make the keys ours in the metadata, or see that they are already."""
        mine = self._description.stored()
        with self.database.reading() as txn:
            stored = self._read_description(txn)
        if stored == mine:
            return
        if not isinstance(self.database, Database) or self.database.readonly:
            if stored is None:
                raise CollectionError(
                    f"there is no collection {self.name!r}, and this is read-only"
                )
            return
        with self.writing() as changes:  # which claims it, unless another process was quicker
            # If the class has changed, the next change counts from here.
            if self._read_description(changes.txn) != mine:
                write_collection(changes.txn, self.name, mine)

    def _read_description(self, txn: Transaction) -> Mapping[str, Any] | None:
        """The stored description, or None. Raises CollectionError if the class does not fit it."""
        stored = read_collection(txn, self.name)
        if stored is not None:
            self._description.check_fits(self.name, Description.from_stored(self.name, stored))
        return stored

    def _claim(self, txn: Transaction, database: Database) -> None:
        if database.is_stones03:
            raise CollectionError(
                "a database of stones 0.3 has no collections: re-encode it first, with migrate() "
                "or `stones migrate`"
            )
        stray = next(txn.keys(DATA, self.span.start, self.span.stop), None)
        if stray is not None:
            raise CollectionError(
                f"the store has keys that begin with {self.prefix!r} but are no records, "
                f"{stray!r} for one: name the collection otherwise, or move them"
            )
        write_collection(txn, self.name, self._description.stored())
        database.reload(txn)
