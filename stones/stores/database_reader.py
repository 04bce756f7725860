"""What can be read from: a database as it is now, or a snapshot of one.

`DatabaseReader` has what the two have in common: single values, the keys and the entries of a span.
`stones.stores.database` has the database that can be written too.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Self, TypeVar

from stones.engine import Engine, Space, Transaction
from stones.engines.stones03 import Stones03Engine
from stones.errors import FormatMismatchError, StoneError, StoreClosedError, UnsupportedError
from stones.formats.checksums import corrupt
from stones.formats.codec import Codec
from stones.formats.metadata import Metadata
from stones.formats.registered_types import unknown_type_in, unknown_types_kept

from .dict_keys import decode_key
from .spans import Span

T = TypeVar("T")

DATA = Space.DATA
GET_MANY = 1000
"""So many keys are asked for at once."""


class DatabaseReader(ABC):
    """What can be read from: a database as it is now, or a snapshot of one."""

    engine: Engine
    name: str
    """For messages: the path of a store on disk."""
    codec: Codec
    """Decodes most values: those in the format that the metadata names for new values."""

    @abstractmethod
    def get(self, key: bytes, space: Space = DATA) -> bytes | None:
        """The stored bytes of `key`, or None. O(log n)."""

    @abstractmethod
    def count(self) -> int:
        """How many entries there are. O(1), unless the engine does not support `counts`."""

    @abstractmethod
    def sum(self, key: bytes) -> int:
        """The sum `key`: see `Transaction.sum`. One read."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Transaction]:
        """The transaction to read from: the ambient one, or one that lasts as long as the block."""

    def reading_in(self, txn: Transaction | None) -> AbstractContextManager[Transaction]:
        """`txn` for the block, which does not end it. Without one, as `reading`."""
        return self.reading() if txn is None else nullcontext(txn)

    def look(self, look: Callable[[Transaction], T]) -> T:
        """The result of `look`, called with such a transaction. It may be called more than once."""
        with self.reading() as txn:
            return look(txn)

    @abstractmethod
    def codec_at(self, txn: Transaction) -> Codec:
        """The codec for values that are read in this transaction."""

    @abstractmethod
    def decode(self, key: bytes, raw: bytes) -> Any:
        """The value whose stored bytes are `raw`. Raises CorruptValueError for damaged bytes."""

    def decode_record(self, key: bytes, raw: bytes) -> Any:
        """The value, as `decode` gives it. A part of a type that is not registered is kept.

        It is an `UnknownValue`. So the other parts can be read and queried.
        """
        try:
            return self.decode(key, raw)
        except FormatMismatchError as error:
            return _decode_unknown_types(self.decode, key, raw, error)

    @property
    def is_stones03(self) -> bool:
        """Whether it is a database of stones 0.3, which has no metadata and no format bytes."""
        engine = self.engine
        return isinstance(engine, Stones03Engine) and engine.legacy

    @property
    def max_key_size(self) -> int:
        """The longest key in bytes that can be stored."""
        return self.engine.supports.max_key_size

    def metadata(self) -> Metadata:
        """Which formats the store has, as of now."""
        with self.reading() as txn:
            return self.codec_at(txn).metadata

    def get_many(
        self, keys: Iterable[bytes], *, are_records: bool = False
    ) -> Iterator[tuple[bytes, Any]]:
        """Those of `keys` that are there, in that order, with their values from one snapshot.

        Records are decoded as by `decode_record`.
        """
        asked = list(keys)

        def look(txn: Transaction) -> tuple[Codec, list[bytes | None]]:
            found: list[bytes | None] = []
            for some in batches(asked, GET_MANY):
                found += txn.get_many(DATA, some)
            return self.codec_at(txn), found

        # The codec comes after the values: then one message to a server may ask for all of it.
        codec, found = self.look(look)
        decode = codec.decode

        def decoded(key: bytes, raw: bytes) -> Any:
            try:
                return decode(key, raw)
            except FormatMismatchError as error:
                if not are_records:
                    raise
                return _decode_unknown_types(decode, key, raw, error)

        entries = zip(asked, found, strict=True)
        return ((key, decoded(key, raw)) for key, raw in entries if raw is not None)

    def keys(self, span: Span) -> Iterator[bytes]:
        """The keys in a span, from one snapshot that is opened when the first is asked for."""
        with self.reading() as txn:
            engine = self.engine
            for key in txn.keys(DATA, span.start, span.stop, reverse=span.reverse):
                if engine.closed:
                    raise _closed_while_read(self.name)
                yield key

    def entries(
        self, span: Span, *, are_records: bool = False, text_keys: bool = False
    ) -> Iterator[tuple[Any, Any]]:
        """The keys and values in a span, from one snapshot opened when the first is asked for.

        Records are decoded as by `decode_record`. With `text_keys`, the keys are str, as
        `decode_key` gives them.
        """
        with self.reading() as txn:
            codec = self.codec_at(txn)
            id, loads, first, read = codec.id, codec.loads, codec.first, codec.read
            other: Callable[[bytes, bytes], Any] = codec.decode
            entries = txn.scan(DATA, span.start, span.stop, reverse=span.reverse)
            engine = self.engine
            for key, raw in entries:
                if engine.closed:
                    raise _closed_while_read(self.name)
                # The common case in line: two calls less an entry, a sixth of items() in all.
                if raw and raw[0] == id:
                    try:
                        value = loads(raw[1:])
                    except MemoryError:
                        raise
                    except Exception as error:  # a decoder may raise anything on damaged bytes
                        if not are_records:
                            raise corrupt(key, error) from error
                        value = _decode_unknown_types(read, key, raw, corrupt(key, error), error)
                else:
                    decode = read if raw and raw[0] == first else other
                    try:
                        value = decode(key, raw)
                    except FormatMismatchError as error:
                        if not are_records:
                            raise
                        value = _decode_unknown_types(decode, key, raw, error)
                if text_keys:
                    try:  # as in decode_key(), without its call
                        shown: Any = key.decode()
                    except UnicodeDecodeError:
                        shown = decode_key(key, str)
                    yield shown, value
                else:
                    yield key, value

    def check_open(self) -> None:
        """Raise StoreClosedError if the store was closed, in the middle of an iteration."""
        if self.engine.closed:
            raise _closed_while_read(self.name)


class DatabaseSnapshot(DatabaseReader):
    """A database as it was at one moment, read-only. Belongs to one thread at a time.

    A context manager; `close` lets go of the snapshot.
    """

    def __init__(self, database: DatabaseReader) -> None:
        self._database = database  # if it were collected, the engine would be closed
        self.engine = database.engine
        self.name = database.name
        self._txn = self.engine.begin()
        self._closed = False
        try:
            if not self.engine.supports.snapshots:
                raise UnsupportedError(f"the engine of {self.name!r} has no snapshots")
            self.codec = database.codec_at(self._txn)
        except BaseException:
            self._txn.abort()
            raise

    def get(self, key: bytes, space: Space = DATA) -> bytes | None:
        if self._closed:
            raise self._closed_error()
        return self._txn.get(space, key)

    def count(self) -> int:
        if self._closed:
            raise self._closed_error()
        return self._txn.count(DATA)

    def sum(self, key: bytes) -> int:
        if self._closed:
            raise self._closed_error()
        return self._txn.sum(key)

    def reading(self) -> AbstractContextManager[Transaction]:
        if self._closed:
            raise self._closed_error()
        return nullcontext(self._txn)

    def codec_at(self, txn: Transaction) -> Codec:
        return self.codec

    def decode(self, key: bytes, raw: bytes) -> Any:
        return self.codec.decode(key, raw)

    def close(self) -> None:
        """Let go of the snapshot. A second call does nothing."""
        self._closed = True
        self._txn.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _closed_error(self) -> StoreClosedError:
        return StoreClosedError(f"the snapshot of {self.name!r} is closed: take another one")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`; the last one may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def record_decoder(codec: Codec) -> Callable[[bytes, bytes], Any]:
    """The function that decodes the stored bytes of a key as `decode_record` does.

    `codec` is the codec at the transaction that the bytes are read in.
    """
    id, loads, first, read = codec.id, codec.loads, codec.first, codec.read

    def decode(key: bytes, raw: bytes) -> Any:
        if raw and raw[0] == id:
            try:
                return loads(raw[1:])
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  # a decoder may raise anything
                return _decode_unknown_types(read, key, raw, corrupt(key, error), error)
        known = read if raw and raw[0] == first else codec.decode
        try:
            return known(key, raw)
        except FormatMismatchError as error:
            return _decode_unknown_types(known, key, raw, error)

    return decode


def _decode_unknown_types(
    decode: Callable[[bytes, bytes], Any],
    key: bytes,
    raw: bytes,
    error: StoneError,
    cause: Exception | None = None,
) -> Any:
    """A value that `decode` did not decode, with an UnknownValue for each part of an unknown type.

    Raises `error` if it had another cause.
    """
    if unknown_type_in(cause or error) is None:
        raise error from cause or error.__cause__
    with unknown_types_kept():
        return decode(key, raw)


def _closed_while_read(name: str) -> StoreClosedError:
    return StoreClosedError(f"the store {name!r} was closed while it was read")
