"""ReadableRecords: the reading half of the records of one collection in the database.

`stored_records` adds the half that writes. `Query` reads from it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from attrs import frozen

from stones.collections.indexes.definition import (
    IndexDefinition,
    IndexInfo,
    info_of,
    read_definitions,
)
from stones.collections.records.conversion import MisfitError
from stones.collections.records.record_type import RecordType
from stones.engine import Transaction
from stones.errors import (
    CollectionError,
    FormatMismatchError,
    RecordError,
)
from stones.formats.codec import Codec
from stones.formats.messages import show_key
from stones.stores.claims import count_key, read_count
from stones.stores.database_reader import DatabaseReader, record_decoder
from stones.stores.spans import Span, prefix_span

from .stored_description import CurrentNames, ReadDescription, StoredDescription
from .stored_indexes import StoredIndexes

K = TypeVar("K")
R = TypeVar("R")
T = TypeVar("T")


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


class ReadableRecords(Generic[K, R]):
    """The records of the collection `name`, under the keys `name/...` of a database, for readers.

    Opening it only reads. Raises CollectionError if the class cannot read the records, or if the
    keys are in use.
    """

    def __init__(
        self,
        database: DatabaseReader,
        record_type: RecordType[R],
        name: str,
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
