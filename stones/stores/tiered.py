"""Tiered: a small store in front of a large one. Reads and writes go through both.

`fast_tier` keeps the entries of the fast store, and decides which of them may be read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any, Self, overload

from stones.engine import Space
from stones.errors import StoneError, StoreOpenError, TransactionError, ValueTypeError
from stones.formats.messages import show, show_value
from stones.formats.metadata import CLAIMS

from . import transactions
from .bound_to_store import BoundToStore
from .claims import MAX_NAME_SIZE
from .dict_keys import decode_key, encode_key
from .fast_tier import MISSING, FastTier, Use
from .missing_keys import missing_key
from .reader import K, Reader, T, V
from .store import Store
from .views import Items, Keys, Range, Values
from .writer import pairs


class Tiered(BoundToStore, MutableMapping[K, V]):
    """A dict over two stores: a small, fast one in front of a large one, which has every entry.

    A key that is read comes from `fast`, if that has it. Otherwise it is read from `slow`, and put
    into `fast`. A write goes to `slow` first, then to `fast`. So `slow` always has the truth.
    `fast` has at most `size` entries; those that were used least recently go first. It counts
    entries, not bytes, so think of the size of a value when you choose it.

    Writes of this Tiered are seen at once. What others write to `slow`, in this program or another
    one, is not seen until the entry leaves `fast`. With `max_age`, that is after so many seconds
    at most. `forget` drops one entry or all.

    Iteration, `len()`, `range()` and the views read `slow`. So does all that is read inside a
    transaction. A key that is not there is not remembered: each look goes to `slow`. The values of
    `get_many` may be of several moments.

    `fast` belongs to one Tiered. It is empty at first. It may have the entries of an earlier Tiered
    over the same `slow` which was closed, or whose program has ended. After a crash it starts
    empty. If `fast` cannot store an entry, the entry is read from `slow`. The serializers may
    differ.

    Threads may share it. Collections work on the slow store: `Collection(tiered.slow, User)`. Their
    records are never kept in `fast`. Raises StoreOpenError if `fast` has entries of its own,
    ValueTypeError for an argument of a wrong type.

    >>> from stones import LmdbStore, MemoryStore, Tiered
    >>> with Tiered(MemoryStore(), LmdbStore('large'), size=1000) as store:
    ...     store['a'] = 1
    ...     store['a'], dict(store.slow)
    (1, {b'a': 1})
    """

    _copied_by = "copy its slow store: tiered.slow.copy()"

    def __init__(
        self,
        fast: Store[Any, Any],
        slow: Store[K, V],
        size: int,
        *,
        max_age: float | None = None,
    ) -> None:
        for store in (fast, slow):
            if not isinstance(store, Store):
                raise ValueTypeError(f"a Tiered is over two open stores, not {show(store)}")
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueTypeError(f"size is a number of entries from 1 on, not {show_value(size)}")
        is_number = isinstance(max_age, int | float) and not isinstance(max_age, bool)
        if max_age is not None and not (is_number and max_age >= 0):
            raise ValueTypeError(
                f"max_age is a number of seconds, or None for no limit, not {show_value(max_age)}"
            )
        if fast.database.engine is slow.database.engine:
            raise StoreOpenError(f"{slow.database.name!r} cannot be before itself: take two stores")
        self._fast = fast
        self._slow = slow
        self._tier = FastTier(fast, slow, size, max_age)

    @property
    def fast(self) -> Store[Any, Any]:
        """The store in front. Do not write to it."""
        return self._fast

    @property
    def slow(self) -> Store[K, V]:
        """The store that has every entry. What is written to it directly is seen late."""
        return self._slow

    # -- reading -------------------------------------------------------------------------------

    def __getitem__(self, key: K | bytes | str) -> V:
        """The value of `key`. Raises KeyError with the key."""
        value = MISSING
        if type(key) is bytes and transactions.ambient.get() is None:
            value = self._tier.get(key)  # the usual case, without a call
        if value is MISSING:
            value = self._read(key)
        if value is MISSING:
            raise missing_key(key)
        return value  # type: ignore[no-any-return]  # a V was stored

    @overload
    def get(self, key: K | bytes | str) -> V | None: ...
    @overload
    def get(self, key: K | bytes | str, default: V) -> V: ...
    @overload
    def get(self, key: K | bytes | str, default: T) -> V | T: ...
    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        value = self._read(key)
        return default if value is MISSING else value

    def get_many(self, keys: Iterable[K | bytes | str]) -> dict[K, V]:
        """Those of `keys` that are there, in that order, with their values.

        All that `fast` does not have is read from `slow` at once.
        """
        slow, tier = self._slow, self._tier
        wanted = [encode_key(key) for key in keys]
        if slow.database.in_transaction():
            return slow.get_many(wanted)
        found = {key: tier.get(key) for key in wanted}
        missing = [key for key, value in found.items() if value is MISSING]
        if missing:
            use = tier.reading(missing)
            try:
                rest = {encode_key(key): value for key, value in slow.get_many(missing).items()}
                use.entries = [entry for entry in rest.items() if not self._is_claimed(entry[0])]
            finally:
                tier.end(use)
            found.update(rest)
        return {
            decode_key(key, slow._key_type): found[key]
            for key in wanted
            if found[key] is not MISSING
        }

    def __contains__(self, key: object) -> bool:
        stored = encode_key(key)
        if not self._slow.database.in_transaction() and self._tier.holds(stored):
            return True
        return stored in self._slow

    def __len__(self) -> int:
        """How many entries `slow` has."""
        return len(self._slow)

    def __iter__(self) -> Iterator[K]:
        return iter(self._slow)

    def __reversed__(self) -> Iterator[K]:
        return reversed(self._slow)

    def keys(self) -> Keys[K]:
        """The keys of `slow`: a set-like view, in order."""
        return self._slow.keys()

    def values(self) -> Values[V]:
        """The values of `slow`, in the order of their keys."""
        return self._slow.values()

    def items(self) -> Items[K, V]:
        """The (key, value) pairs of `slow`: a set-like view, in key order."""
        return self._slow.items()

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
        """The entries of `slow` between two keys: see `Store.range`."""
        return self._slow.range(
            ge=ge, gt=gt, le=le, lt=lt, prefix=prefix, reverse=reverse, limit=limit
        )

    def __eq__(self, other: object) -> bool:
        return self is other or self._slow == (other.slow if isinstance(other, Tiered) else other)

    __hash__ = None  # type: ignore[assignment]  # as with dict

    # -- writing -------------------------------------------------------------------------------

    def __setitem__(self, key: K | bytes | str, value: V) -> None:
        """Set the value of `key`, in `slow` and then in `fast`. Raises as `Store` does."""
        self.put(key, value)

    def put(self, key: K | bytes | str, value: V, overwrite: bool = True) -> bool:
        """Set the value of `key`, unless it has one and `overwrite` is False. Was it written?"""
        stored = encode_key(key)
        with self._tier.changing(stored) as use:
            written = self._slow.put(key, value, overwrite)
            if written:
                with suppress(StoneError):
                    # As `slow` will give it back: functions that encode may change a value.
                    database = self._slow.database
                    raw = database.codec.encode(stored, value)
                    use.entries = [(stored, database.decode(stored, raw))]
        return written

    def __delitem__(self, key: K | bytes | str) -> None:
        """Remove `key`. Raises KeyError with the key where it is not there."""
        if not self.delete(key):
            raise missing_key(key)

    def delete(self, key: K | bytes | str) -> bool:
        """Remove `key` from both stores; was it there?"""
        with self._tier.changing(encode_key(key)):
            return self._slow.delete(key)

    @overload
    def pop(self, key: K | bytes | str) -> V: ...
    @overload
    def pop(self, key: K | bytes | str, default: V) -> V: ...
    @overload
    def pop(self, key: K | bytes | str, default: T) -> V | T: ...
    def pop(self, key: Any, default: Any = MISSING) -> Any:
        """Remove `key` and return its value; where it is not there, `default` or KeyError."""
        with self._tier.changing(encode_key(key)):
            value = self._slow.pop(key, MISSING)
        if value is not MISSING:
            return value
        if default is MISSING:
            raise missing_key(key)
        return default

    def popitem(self) -> tuple[K, V]:
        """Remove and return the last entry in key order. Raises KeyError in an empty store."""
        with self.transaction():
            for key in self._slow.range(reverse=True, limit=1):
                return key, self.pop(key)
        raise KeyError("popitem(): the store is empty")

    def setdefault(self, key: K | bytes | str, default: V = None) -> V:  # type: ignore[assignment]  # as dict
        """The value of `key` in `slow`; where it has none, `default` becomes its value."""
        stored = encode_key(key)
        with self._tier.changing(stored) as use:
            value = self._slow.setdefault(key, default)
            use.entries = [(stored, value)]
        return value

    def update(  # type: ignore[override]  # keys may be str too
        self, other: Mapping[Any, V] | Iterable[tuple[Any, V]] = (), /, **kwargs: V
    ) -> None:
        """Set many values in one transaction of `slow`. They leave `fast`, until they are read.

        `other` is whatever `Store.update` takes. A store takes all entries out of `fast`.
        """
        if isinstance(other, Tiered):
            other = other.slow
        with self._tier.changing() as use:
            if isinstance(other, Reader):
                self._tier.touch_all(use)
            elif type(other) is dict:
                self._touch(use, other)
            else:
                other = self._touched(use, pairs(other))
            self._touch(use, kwargs)
            self._slow.update(other, **kwargs)

    def __ior__(self, other: Mapping[Any, V] | Iterable[tuple[Any, V]]) -> Self:
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove every entry of both stores, the records of collections in `slow` included."""
        with self._tier.changing() as use:
            self._tier.touch_all(use)
            self._slow.clear()

    # -- transactions --------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """A transaction of `slow`, which its collections join too: see `Store.transaction`.

        What is read and written in the block goes to `slow`. At its end, however it ends, the keys
        that were written have left `fast`. A write through this Tiered inside `slow.transaction()`
        alone raises TransactionError, since nobody would tell this Tiered of the end.
        """
        with self._tier.transaction(), self._slow.transaction():
            yield self

    def transact(self, function: Callable[[], T]) -> T:
        """What `function()` returns, in a transaction of `slow`: see `Store.transact`."""
        with self._tier.transaction():
            return self._slow.transact(function)

    # -- the whole -----------------------------------------------------------------------------

    def forget(self, key: K | bytes | str | None = None) -> None:
        """Drop `key` from `fast`, or every key: the next look reads `slow`.

        For entries that somebody else has written, and after `slow` was restored from a backup.
        """
        with self._tier.changing() as use:
            if key is None:
                self._tier.touch_all(use)
            else:
                self._tier.touch(use, encode_key(key))

    def stats(self) -> dict[str, Any]:
        """The figures of `slow`, and `fast_entries`: how many entries `fast` has."""
        return {**self._slow.stats(), "fast_entries": len(self._tier)}

    def close(self) -> None:
        """Close both stores. Again is harmless. Raises TransactionError inside a transaction.

        The entries of a `fast` on disk are there for the next opening. O(size), since their order
        is written down. A program that ends without `close` does that at its end.
        """
        for store in (self._slow, self._fast):
            if store.database.in_transaction():
                raise TransactionError("close() inside a transaction of the store: end that first")
        self._tier.close()
        self._fast.close()
        self._slow.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Tiered {self._fast!r} before {self._slow!r}>"

    # -- inside --------------------------------------------------------------------------------

    def _read(self, key: Any) -> Any:
        stored = key if type(key) is bytes and key else encode_key(key)
        slow = self._slow
        if transactions.ambient.get() is not None and slow.database.in_transaction():
            return slow.get(stored, MISSING)
        value = self._tier.get(stored)
        if value is not MISSING:
            return value
        use = self._tier.reading((stored,))
        try:
            value = slow.get(stored, MISSING)
            if value is not MISSING and not self._is_claimed(stored):
                use.entries = [(stored, value)]
        finally:
            self._tier.end(use)
        return value

    def _is_claimed(self, stored: bytes) -> bool:
        """Whether a collection writes the key: this Tiered would never hear of that."""
        database = self._slow.database
        name, slash, _ = stored.partition(b"/")
        if not slash or len(name) > MAX_NAME_SIZE:
            return False
        # Not by `has_collections` of the codec: another program may just have made the first one.
        return database.get(CLAIMS[0] + name, Space.META) is not None

    def _touch(self, use: Use, keys: Iterable[object]) -> None:
        for key in keys:
            self._tier.touch(use, encode_key(key))

    def _touched(self, use: Use, entries: Iterable[Any]) -> Iterator[Any]:
        for key, value in entries:
            self._tier.touch(use, encode_key(key))
            yield key, value
