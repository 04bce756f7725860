"""The reading half of the dict face: what a store and a snapshot of it have in common."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Generic, NoReturn, overload

from stones.errors import ValueTypeError
from stones.formats.checksums import corrupt

from .database_reader import DatabaseReader
from .dict_keys import decode_key, encode_bound, encode_key
from .missing_keys import missing_key
from .spans import EVERYTHING, Span, span_of
from .views import Items, Keys, Range, Values

if TYPE_CHECKING:
    # A default for a type variable (PEP 696) makes `LmdbStore('my-db')` an LmdbStore[bytes, Any]
    # to type checkers. Before Python 3.13 `typing` has no default, so nothing has one at run time.
    from typing_extensions import TypeVar

    K = TypeVar("K", default=bytes)
    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar

    K = TypeVar("K")
    V = TypeVar("V")
T = TypeVar("T")


class Reader(Mapping[K, V]):
    """What can be asked of a store or of a snapshot: a read-only, ordered dict.

    Keys are bytes, or str which are encoded as UTF-8; with `key_type=str` they come back as str.
    Iteration is in key order (of the encoded bytes) and sees one snapshot, taken when it starts.
    What you get is a copy: to change a value, store it again.
    """

    is_whole = True
    """Whether it is a store or a snapshot, which may have collections, and not a namespace."""

    def __init__(self, database: DatabaseReader, key_type: type, value_type: type) -> None:
        self._source = database
        self._key_type = key_type
        self._value_type = value_type
        self._entries: DictEntries[K, V] = DictEntries(database, key_type)

    @property
    def database(self) -> DatabaseReader:
        """The layer below the dict, which collections and migrations work on too."""
        return self._source

    def __getitem__(self, key: K | bytes | str) -> V:
        """The value of `key`. Raises KeyError with the key. O(log n)."""
        stored = key if type(key) is bytes and key else encode_key(key)
        source = self._source
        raw = source.get(stored)
        if raw is None:
            raise missing_key(key)
        codec = source.codec
        # As in decode(), without its call. One call looks at the first byte, and takes it off.
        plain = raw.removeprefix(codec.plain_prefix)
        if plain != raw:
            try:
                return codec.loads(plain)  # type: ignore[no-any-return]  # a V was stored
            except MemoryError:
                raise
            except Exception as error:  # a decoder may raise anything on damaged bytes
                raise corrupt(stored, error) from error
        if raw and raw[0] == codec.first:
            return codec.read(stored, raw)  # type: ignore[no-any-return]  # as above
        return source.decode(stored, raw)  # type: ignore[no-any-return]  # as above

    @overload
    def get(self, key: K | bytes | str) -> V | None: ...
    @overload
    def get(self, key: K | bytes | str, default: V) -> V: ...
    @overload
    def get(self, key: K | bytes | str, default: T) -> V | T: ...
    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, or `default`. O(log n)."""
        stored = key if type(key) is bytes and key else encode_key(key)
        raw = self._source.get(stored)
        return default if raw is None else self._source.decode(stored, raw)

    def get_many(self, keys: Iterable[K | bytes | str]) -> dict[K, V]:
        """Those of `keys` that are there, in that order, with their values from one snapshot.

        >>> from stones import MemoryStore
        >>> MemoryStore(a=1, b=2).get_many(['b', 'c', 'a'])
        {b'b': 2, b'a': 1}
        """
        found = self._source.get_many([encode_key(key) for key in keys])
        if self._key_type is bytes:
            return dict(found)  # type: ignore[arg-type]  # K is bytes then
        return {decode_key(stored, self._key_type): value for stored, value in found}

    def __contains__(self, key: object) -> bool:
        stored = key if type(key) is bytes and key else encode_key(key)
        return self._source.get(stored) is not None

    def __len__(self) -> int:
        """How many entries there are, records of collections included. O(1)."""
        return self._source.count()

    def __iter__(self) -> Iterator[K]:
        return self._entries.keys(EVERYTHING)

    def __reversed__(self) -> Iterator[K]:
        return self._entries.keys(EVERYTHING.reversed())

    def keys(self) -> Keys[K]:
        """The keys: a set-like view, in order."""
        return Keys(self, self._entries, EVERYTHING)

    def values(self) -> Values[V]:
        """The values, in the order of their keys."""
        return Values(self, self._entries, EVERYTHING)

    def items(self) -> Items[K, V]:
        """The (key, value) pairs: a set-like view, in key order."""
        return Items(self, self._entries, EVERYTHING)

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

        `ge`, `gt`, `le` and `lt` are bounds. `prefix` takes the keys that begin with it, together
        with bounds only those within the bounds. Costs O(log n) to start and O(1) an entry; memory
        does not grow with the number of entries.

        Raises KeyTypeError (a TypeError) for a key that is neither bytes nor str, and
        ValueTypeError (a TypeError) for a `limit` that is not an int. Raises InvalidKeyError (a
        ValueError) for two bounds on the same side, or a negative `limit`.

        >>> from stones import MemoryStore
        >>> store = MemoryStore({'a/1': 'x', 'a/2': 'y', 'b/1': 'z'})
        >>> dict(store.range(prefix='a/'))
        {b'a/1': 'x', b'a/2': 'y'}
        >>> list(store.range(prefix='a/', gt='a/1', limit=10))
        [b'a/2']
        >>> list(store.range(lt='b', reverse=True, limit=1))
        [b'a/2']
        """
        span = span_of(
            encode_bound,
            EVERYTHING,
            ge=ge,
            gt=gt,
            le=le,
            lt=lt,
            prefix=prefix,
            reverse=reverse,
            limit=limit,
        )
        return Range(self, self._entries, span)

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

    __hash__ = None  # type: ignore[assignment]  # as with dict

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise ValueTypeError(
            f"{self!r} cannot be pickled, or passed to another process: pass its name or path, and "
            "open it there"
        )


class DictEntries(Generic[K, V]):
    """The entries of a database with the keys and values of the dict face: what views read."""

    __slots__ = ("_key_type", "database")

    def __init__(self, database: DatabaseReader, key_type: type) -> None:
        self.database = database
        self._key_type = key_type

    def encode_key(self, key: Any) -> bytes:
        """The stored form of a key."""
        return encode_key(key)

    def keys(self, span: Span) -> Iterator[K]:
        """The keys in a span."""
        keys: Iterator[Any] = self.database.keys(span)
        if self._key_type is bytes:
            return keys
        return (decode_key(stored, self._key_type) for stored in keys)

    def values(self, span: Span) -> Iterator[V]:
        """The values in a span."""
        return (value for _, value in self.database.entries(span))

    def items(self, span: Span) -> Iterator[tuple[K, V]]:
        """The keys with their values in a span."""
        return self.database.entries(span, text_keys=self._key_type is str)
