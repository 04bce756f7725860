"""ReadableRecords: the reading half of the records of one collection in the database.

`stored_records` adds the half that writes. `Query` reads from it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import frozen

from stones.collections.records.conversion import MisfitError
from stones.collections.records.record_type import RecordType
from stones.engine import Transaction
from stones.errors import (
    CollectionError,
    CorruptValueError,
    FormatMismatchError,
    RecordError,
    StoneError,
)
from stones.formats.codec import Codec
from stones.formats.messages import show_key
from stones.formats.metadata import Format
from stones.stores.claims import count_key, read_count
from stones.stores.database import Database
from stones.stores.database_reader import DATA, DatabaseReader, record_decoder
from stones.stores.spans import Span, prefix_span

from .program_steps import ProgramSteps
from .record_steps import Step
from .stored_description import CurrentNames, ReadDescription, StoredDescription
from .stored_indexes import StoredIndexes
from .unsettled_records import UnsettledReader

if TYPE_CHECKING:
    from stones.collections.indexes.definition import IndexDefinition, IndexInfo

K = TypeVar("K")
R = TypeVar("R")
T = TypeVar("T")

Decode = Callable[[bytes, bytes], Any]
"""Gives a dict, for a stored key and stored bytes."""


@frozen(eq=False, repr=False)  # which takes less than half the time to make
class RecordReader:
    """Reads the stored bytes of the records of a collection, as one transaction sees them."""

    codec: Codec
    format: Format
    """The format of new records."""
    description: ReadDescription
    decode: Decode
    """Gives, for a stored key and stored bytes, the dict of a record as a query sees it.

    It is as the class would store the record now, with the defaults of fields that were added
    later. What the class cannot read is as it is stored. Raises CorruptValueError.
    """
    completing: Callable[[Decode], Decode]
    """Makes such a function of one that gives the dicts as they are stored."""
    upgrades: UnsettledReader | None = None
    """What reads records that may lack steps of the program: then `decode` is not enough."""


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
        steps: Iterable[Step] = (),
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
        self.program = ProgramSteps(name, steps, self._show_key)
        """The steps of the collection that the program knows."""
        # A program without steps reads records as they are stored.
        self._is_settled = not self.program.steps
        self._description = StoredDescription(database, record_type, name, self.span, self.program)
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
        if not self._is_settled:
            return self._get_unsettled(stored)
        raw = self.database.get(stored)
        if raw is None:
            self._description.check_there()
            return None
        try:  # without the call of decode_record, which would make each get 3 % slower
            value = self.database.decode(stored, raw)
        except FormatMismatchError:
            value = self.database.decode_record(stored, raw)
        return self.load(stored, value)

    def get_many(self, keys: Iterable[K]) -> Iterator[tuple[K, R]]:
        """Those of `keys` that are there, in that order, with their records from one snapshot."""
        stored = [self.encode_key(key) for key in keys]
        if not self._is_settled:
            yield from self._loaded_items(self._many_unsettled(stored))
            return
        is_there = not stored
        for found, value in self.database.get_many(stored, are_records=True):
            is_there = True
            yield self.decode_key(found), self.load(found, value)
        if not is_there:
            self._description.check_there()

    def contains(self, key: K) -> bool:
        """Whether there is a record with this key. O(log n)."""
        stored = self.encode_key(key)
        if not self._is_settled:
            return next(self._many_unsettled((stored,), is_shown=False), None) is not None
        if self.database.get(stored) is not None:
            return True
        self._description.check_there()
        return False

    def check_there(self) -> None:
        """Raise CollectionError if the collection was there, and another program has renamed it."""
        self._description.check_there()

    def count(self) -> int:
        """How many records are stored. O(1)."""
        found = read_count(self.database, self._count_key)
        if not found:
            self._description.check_there()
        return found

    def count_present(self) -> int | None:
        """How many records there are, if no step of the program may remove one. None otherwise."""
        if not self._is_settled:
            with self.database.reading() as txn:
                if self.reader_at(txn).upgrades is not None:
                    return None
        return self.count()

    def count_at(self, txn: Transaction) -> int:
        """How many records there are, as a transaction sees it. O(1)."""
        return read_count(txn, self._count_key)

    def keys(self, span: Span) -> Iterator[K]:
        """The keys in a span."""
        if not self._is_settled:
            entries = self._entries_unsettled(span, is_shown=False)
            return self._decoded(stored for stored, _ in entries)
        return self._decoded(self._found(self.database.keys(span)))

    def _decoded(self, keys: Iterable[bytes]) -> Iterator[K]:
        decode, start = self.type.key_codec.decode, len(self.prefix)
        try:
            for stored in keys:
                yield decode(stored[start:])
        except CorruptValueError:
            self._description.check_there()
            raise

    def values(self, span: Span) -> Iterator[R]:
        """The records in a span, in key order."""
        return self.loaded(self.entries(span))

    def items(self, span: Span) -> Iterator[tuple[K, R]]:
        """The records in a span, with their keys."""
        return self._loaded_items(self.entries(span))

    def reader_at(self, txn: Transaction, *, is_shown: bool = True) -> RecordReader:
        """What reads the stored bytes of records as a transaction sees them. Two reads.

        `is_shown`: whether the program sees the dicts before they are stored. Raises MigrationError
        if a step that the records lack gives them other keys.
        """
        codec, description = self.database.codec_at(txn), self._description.read_at(txn)
        format, decode = codec.metadata.format_of(self.prefix), record_decoder(codec)
        completing = partial(self._completing, description)
        if self.program.steps and self._has_pending(txn, description):
            upgrades = self._upgrades(txn, decode, is_shown)
            return RecordReader(codec, format, description, decode, completing, upgrades)
        return RecordReader(codec, format, description, completing(decode), completing)

    def _loaded_items(self, entries: Iterable[tuple[bytes, Any]]) -> Iterator[tuple[K, R]]:
        return ((self.decode_key(stored), self.load(stored, value)) for stored, value in entries)

    def entries(self, span: Span) -> Iterator[tuple[bytes, Any]]:
        """The stored keys in a span, with dicts that `load` takes."""
        if self._is_settled:
            return self._found(self.database.entries(span, are_records=True))
        return self._entries_unsettled(span)

    def _found(self, items: Iterator[T]) -> Iterator[T]:
        """The items. If there is no item, this checks that the collection is still there."""
        return chain.from_iterable(self._parts(items))  # a generator takes more time for each item

    def _parts(self, items: Iterator[T]) -> Iterator[Iterable[T]]:
        for first in items:
            yield (first,)
            yield items
            return
        self._description.check_there()

    # -- records that lack steps ---------------------------------------------------------------

    def _has_pending(self, txn: Transaction, description: ReadDescription) -> bool:
        """Whether records may lack steps of the program. Whether it is settled is noted."""
        steps = description.steps
        is_pending = description.raw is None or steps.is_pending(self.program.last)
        if is_pending and self.has_records(txn):
            self.program.check_keys(steps)
        self._is_settled = not is_pending
        return is_pending

    def has_records(self, txn: Transaction) -> bool:
        """Whether there is any record, as a transaction sees it."""
        return next(txn.keys(DATA, self.span.start, self.span.stop), None) is not None

    def _upgrades(
        self, txn: Transaction, decode: Callable[[bytes, bytes], Any], is_shown: bool
    ) -> UnsettledReader:
        database = self.database
        is_changing = isinstance(database, Database) and database.in_transaction()
        return UnsettledReader(
            txn,
            self.program,
            lambda: self._description.read_at(txn),
            decode,
            self._completed,
            self._check_upgraded_key,
            has_snapshot=is_changing or database.engine.supports.snapshots,
            is_changing=is_changing,
            is_shown=is_shown,
        )

    def _get_unsettled(self, stored: bytes) -> R | None:
        for _, value in self._many_unsettled((stored,)):
            return self.load(stored, value)
        return None

    def _many_unsettled(
        self, stored: Sequence[bytes], *, is_shown: bool = True
    ) -> Iterator[tuple[bytes, Any]]:
        with self.database.reading() as txn:
            reader = self.reader_at(txn, is_shown=is_shown)
            if reader.upgrades is not None:
                yield from reader.upgrades.many(stored)
                return
            for key, raw in zip(stored, txn.get_many(DATA, stored), strict=True):
                if raw is not None:
                    yield key, reader.decode(key, raw)

    def _entries_unsettled(
        self, span: Span, *, is_shown: bool = True
    ) -> Iterator[tuple[bytes, Any]]:
        check_open = self.database.check_open
        with self.database.reading() as txn:
            reader = self.reader_at(txn, is_shown=is_shown)
            if reader.upgrades is None:
                yield from self.database.entries(span, are_records=True)
                return
            for entry in reader.upgrades.entries(span):
                check_open()
                yield entry

    def _completed(self, value: Any) -> Any:
        try:
            return self.type.schema.completed(value, self.type.rules.unknown == "drop")
        except RecursionError:  # nested so deeply that the class may not be able to read it
            return value

    def _check_upgraded_key(self, stored: bytes, value: Any) -> None:
        """Raise RecordError if steps have changed the key in the fields of a record."""
        names = self.type.key_fields
        if not names:
            return
        try:
            values = [value[name] for name in names]
            key = tuple(values) if len(values) > 1 else values[0]
            same = self.encode_key(key) == stored
        except (KeyError, StoneError):  # the class tells what is wrong when it is loaded
            return
        if not same:
            raise RecordError(
                f"{self.program.shown(stored)}: a step has changed {', '.join(names)}, which is "
                "the key: only a step with key= may change it"
            )

    def _show_key(self, key: bytes) -> str:
        try:
            return show_key(self.type.key_codec.decode(key))
        except (ValueError, OverflowError):
            return show_key(key)

    # -- dicts and records ---------------------------------------------------------------------

    def _completing(self, description: ReadDescription, decode: Decode) -> Decode:
        if not description.varies:
            return decode
        completed, drop = self.type.schema.completed, self.type.rules.unknown == "drop"
        view = description.unknown_view

        def decode_completed(stored: bytes, raw: bytes) -> Any:
            value = decode(stored, raw)
            try:
                return completed(value if view is None else view(value), drop)
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

    def why_unusable(self, txn: Transaction, index: "IndexDefinition") -> str | None:
        """Why an index cannot answer queries of this collection, in words. None if it can."""
        from .unsettled_indexes import why_unsettled  # it loads the language of queries

        description = self.indexes.description(txn)
        reason = None if description is None else why_unsettled(index, description, self.program)
        if reason is not None:
            return reason
        return self.indexes.why_unusable(txn, index, self.type.schema)

    def index_infos(self) -> "tuple[IndexInfo, ...]":
        """The indexes of the collection as of now, the oldest first."""
        from stones.collections.indexes.definition import info_of, read_definitions

        with self.database.reading() as txn:
            return tuple(map(info_of, read_definitions(txn, self.name)))

    # -- keys ----------------------------------------------------------------------------------

    def encode_key(self, key: Any) -> bytes:
        """The key in the store of the record with this key."""
        return self.prefix + self._encode(key)

    def decode_key(self, stored: bytes) -> K:
        """The key of the record that is stored under `stored`."""
        try:
            key: K = self.type.key_codec.decode(stored[len(self.prefix) :])
        except CorruptValueError:
            self._description.check_there()
            raise
        return key
