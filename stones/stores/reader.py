"""The reading half of the dict face: what a store and a snapshot of it have in common."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from stones.engine import Engine, Space, Transaction
from stones.errors import InvalidKeyError, KeyTypeError, StoreClosedError, ValueTypeError
from stones.formats.checksums import corrupt
from stones.formats.codec import Codec

from .views import EVERYTHING, Items, Keys, Range, Span, Values, after_prefix

if TYPE_CHECKING:
    from .store import Store

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

DATA = Space.DATA


class Reader(Mapping[K, V]):
    """What can be asked of a store or of a snapshot: a read-only, ordered dict.

    Keys are bytes, or str which are encoded as UTF-8; with `key_type=str` they come back as str.
    Iteration is in key order (of the encoded bytes) and sees one snapshot, taken when it starts.
    What you get is a copy: to change a value, store it again.
    """

    # What begins with one underscore is between the layers: the collections and the migrations use
    # it too, users do not.

    _engine: Engine
    _codec: Codec
    _key_type: type
    _value_type: type
    _name: str

    @abstractmethod
    def _reading(self) -> tuple[Transaction, bool]:
        """The transaction to read from; and whether it was opened just for this reading."""

    @abstractmethod
    def _raw(self, key: bytes) -> bytes | None:
        """What is stored at a key."""

    @abstractmethod
    def _codec_at(self, txn: Transaction) -> Codec:
        """The codec for what is read in this transaction."""

    def __getitem__(self, key: K | bytes | str) -> V:
        """The value of `key`. Raises KeyError with the key. O(log n)."""
        stored = key if type(key) is bytes and key else self._encoded(key)
        raw = self._raw(stored)
        if raw is None:
            raise KeyError(key)
        codec = self._codec
        if raw and raw[0] == codec.id:  # as in _decode, and without its call a twentieth faster
            try:
                return codec.loads(raw[1:])  # type: ignore[no-any-return]
            except MemoryError:
                raise
            except Exception as error:  # a decoder may raise anything on damaged bytes
                raise corrupt(stored, error) from error
        if raw and raw[0] == codec.first:
            return codec.read(stored, raw)  # type: ignore[no-any-return]
        return self._decode(stored, raw)  # type: ignore[no-any-return]

    @overload
    def get(self, key: K | bytes | str) -> V | None: ...
    @overload
    def get(self, key: K | bytes | str, default: T) -> V | T: ...
    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        stored = key if type(key) is bytes and key else self._encoded(key)
        raw = self._raw(stored)
        return default if raw is None else self._decode(stored, raw)

    def get_many(self, keys: Iterable[K | bytes | str]) -> dict[K, V]:
        """Those of `keys` that are there, in that order, with their values from one snapshot."""
        wanted = [self._encoded(key) for key in keys]
        txn, own = self._reading()
        try:
            decode = self._codec_at(txn).decode
            found = [(stored, txn.get(DATA, stored)) for stored in wanted]
        finally:
            if own:
                txn.abort()
        return {self._key_out(key): decode(key, raw) for key, raw in found if raw is not None}

    def __contains__(self, key: object) -> bool:
        stored = key if type(key) is bytes and key else self._encoded(key)
        return self._raw(stored) is not None

    def __len__(self) -> int:
        """How many entries there are, records of collections included. O(1)."""
        txn, own = self._reading()
        try:
            return txn.count(DATA)
        finally:
            if own:
                txn.abort()

    def __iter__(self) -> Iterator[K]:
        return self._keys(EVERYTHING)

    def __reversed__(self) -> Iterator[K]:
        return self._keys(EVERYTHING.reversed())

    def keys(self) -> Keys[K]:
        """The keys: a set-like view, in order."""
        return Keys(self, self, EVERYTHING)

    def values(self) -> Values[V]:
        """The values, in the order of their keys."""
        return Values(self, self, EVERYTHING)

    def items(self) -> Items[K, V]:
        """The (key, value) pairs: a set-like view, in key order."""
        return Items(self, self, EVERYTHING)

    def range(
        self,
        *,
        ge: K | bytes | str | None = None,
        gt: K | bytes | str | None = None,
        le: K | bytes | str | None = None,
        lt: K | bytes | str | None = None,
        prefix: K | bytes | str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Range[K, V]:
        """The entries between two keys, in key order, as a lazy read-only mapping.

        Costs O(log n) to start and O(1) an entry; memory does not grow with their number.
        Raises TypeError for a key that is neither bytes nor str and a `limit` that is no int,
        ValueError for two bounds on the same side, a `prefix` together with a bound, or a negative
        `limit`.
        """
        if prefix is not None and (ge, gt, le, lt) != (None,) * 4:
            raise InvalidKeyError("range() takes either prefix= or bounds, not both")
        if (ge is not None and gt is not None) or (le is not None and lt is not None):
            raise InvalidKeyError("range() takes one lower and one upper bound: ge or gt, le or lt")
        if not (limit is None or isinstance(limit, int)):
            raise ValueTypeError(f"range() takes a whole number as limit, not {limit!r:.80}")
        if limit is not None and limit < 0:
            raise InvalidKeyError(f"range() takes a limit of 0 or more, not {limit}")
        start, stop = b"", None
        if prefix is not None:
            start = self._encoded(prefix, empty=True)
            stop = after_prefix(start)
        if ge is not None:
            start = self._encoded(ge, empty=True)
        if gt is not None:
            start = self._encoded(gt, empty=True) + b"\0"
        if lt is not None:
            stop = self._encoded(lt, empty=True) or b"\0"  # the lowest key: nothing is below either
        if le is not None:
            stop = self._encoded(le, empty=True) + b"\0"
        return Range(self, self, Span(start, stop, reverse, limit))

    def copy(self) -> "Store[K, V]":
        """The same entries in a new MemoryStore with the same serializer."""
        twin = self._empty_twin()
        twin.update(self)
        return twin

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> "Store[K, V]":
        return self.copy()  # values are copies at any rate

    def __or__(self, other: Mapping[Any, Any]) -> "Store[K, V]":
        if not isinstance(other, Mapping):
            return NotImplemented
        twin = self.copy()
        twin.update(other)
        return twin

    def __ror__(self, other: Mapping[Any, Any]) -> "Store[K, V]":
        if not isinstance(other, Mapping):
            return NotImplemented
        twin = self._empty_twin()
        twin.update(other)
        twin.update(self)
        return twin

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        if self is other or len(self) != len(other):
            return self is other
        if isinstance(other, Reader):  # both are in order: nothing has to be kept
            return all(mine == its for mine, its in zip_longest(self.items(), other.items()))
        entries = other if isinstance(other, dict) else dict(other.items())
        rest = len(entries)  # what was counted above may have changed since
        for key, value in self.items():
            if key not in entries or entries[key] != value:
                return False
            rest -= 1
        return rest == 0

    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise ValueTypeError(
            f"{self!r} cannot be pickled, or passed to another process: pass its name or path, and "
            "open it there"
        )

    def _empty_twin(self) -> "Store[K, V]":
        from .store import MemoryStore

        return MemoryStore(
            key_type=self._key_type, value_type=self._value_type, **self._codec.options()
        )

    def _keys(self, span: Span) -> Iterator[K]:
        txn, own = self._reading()
        engine = self._engine
        try:
            for key in txn.keys(DATA, span.start, span.stop, reverse=span.reverse):
                if engine.closed:
                    raise StoreClosedError(f"the store {self._name!r} was closed meanwhile")
                yield self._key_out(key)
        finally:
            if own:
                txn.abort()

    def _items(self, span: Span) -> Iterator[tuple[K, V]]:
        entries: Iterator[Any] = self._entries(span)
        if self._key_type is bytes:
            return entries
        return ((self._key_out(key), value) for key, value in entries)

    def _entries(
        self, span: Span, required_text: bytes | None = None
    ) -> Iterator[tuple[bytes, Any]]:
        """The stored keys and the decoded values, from one snapshot that is opened at the first.

        Entries whose value does not contain the text `required_text` may be left out.
        """
        txn, own = self._reading()
        engine = self._engine
        try:
            codec = self._codec_at(txn)
            id, loads, first, read = codec.id, codec.loads, codec.first, codec.read
            entries = txn.scan(DATA, span.start, span.stop, reverse=span.reverse)
            if required_text is not None and codec.shows_text:
                entries = codec.with_text(required_text, entries)
            for key, raw in entries:
                if engine.closed:
                    raise StoreClosedError(f"the store {self._name!r} was closed meanwhile")
                # The common case in line: two calls less an entry, a sixth of items() in all.
                if raw and raw[0] == id:
                    try:
                        value = loads(raw[1:])
                    except MemoryError:
                        raise
                    except Exception as error:  # a decoder may raise anything on damaged bytes
                        raise corrupt(key, error) from error
                elif raw and raw[0] == first:
                    value = read(key, raw)
                else:
                    value = codec.decode(key, raw)
                yield key, value
        finally:
            if own:
                txn.abort()

    def _values(self, span: Span) -> Iterator[V]:
        for _, value in self._entries(span):
            yield value

    def _decode(self, key: bytes, raw: bytes) -> Any:
        return self._codec.decode(key, raw)

    def _encoded(self, key: object, *, empty: bool = False) -> bytes:
        """The stored form of a key from outside."""
        if isinstance(key, str):
            stored = _utf8(key)
        elif isinstance(key, bytes):
            stored = bytes(key)  # an instance of a subclass is another object
        else:
            raise KeyTypeError(f"a key is bytes or str, not {type(key).__name__} {key!r:.80}")
        if not stored and not empty:
            raise InvalidKeyError("a key has at least 1 byte: the empty key cannot be stored")
        return stored

    def _key_out(self, key: bytes) -> Any:
        return key.decode("utf-8", "surrogateescape") if self._key_type is str else key


def _utf8(key: str) -> bytes:
    """UTF-8; bytes that are none, as `key_type=str` shows them: in lone surrogates (PEP 383)."""
    try:  # not suppress(): that takes as long as all the rest of a key
        return key.encode()
    except UnicodeEncodeError:
        pass
    with suppress(UnicodeEncodeError):
        stored = key.encode("utf-8", "surrogateescape")
        # Surrogates for bytes that are UTF-8 after all would come back as another str.
        if stored.decode("utf-8", "surrogateescape") == key:
            return stored
    raise InvalidKeyError(f"{key!r:.80} cannot be a key: it has no UTF-8")
