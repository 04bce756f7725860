"""keys(), values() and items() of a store, and `range`: lazy, in key order, from one snapshot.

A view reads nothing until it is iterated. Then it opens a snapshot, and lets go of it when the
iteration ends, however it ends.
"""

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from itertools import islice
from sys import maxsize
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from .bound_to_store import BoundToStore
from .missing_keys import missing_key
from .spans import Span

K = TypeVar("K")
V = TypeVar("V")
K_co = TypeVar("K_co", covariant=True)
V_co = TypeVar("V_co", covariant=True)


class EntrySource(Protocol[K_co, V_co]):
    """The entries that a view reads.

    Each iterator opens one snapshot when its first item is asked for.
    """

    def keys(self, span: Span) -> Iterator[K_co]: ...
    def values(self, span: Span) -> Iterator[V_co]: ...
    def items(self, span: Span) -> Iterator[tuple[K_co, V_co]]: ...
    def encode_key(self, key: Any) -> bytes: ...


class Range(BoundToStore, Mapping[K, V]):
    """The entries between two keys, as `range()` of a store gives them: a lazy read-only mapping.

    Nothing is read before it is asked for, and each reading sees the store as it is then. `len()`
    counts them one by one: O(entries).
    """

    _copied_by = "take dict() of it"

    def __init__(self, mapping: Mapping[K, V], source: EntrySource[K, V], span: Span) -> None:
        self._mapping = mapping
        self._source = source
        self._span = span

    def __getitem__(self, key: K) -> V:
        if key not in self:
            raise missing_key(key)
        return self._mapping[key]

    def __contains__(self, key: object) -> bool:
        stored, span = self._source.encode_key(key), self._span
        if stored not in span or key not in self._mapping:
            return False
        if span.limit is None:
            return True
        before = Span(stored + b"\0", span.stop) if span.reverse else Span(span.start, stored)
        return sum(1 for _ in _limited(self._source.keys(before), span)) < span.limit

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())

    def __reversed__(self) -> Iterator[K]:
        return reversed(self.keys())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def keys(self) -> "Keys[K]":
        return Keys(self, self._source, self._span)

    def values(self) -> "Values[V]":
        return Values(self, self._source, self._span)

    def items(self) -> "Items[K, V]":
        return Items(self, self._source, self._span)

    def __repr__(self) -> str:
        return f"<Range of {self._mapping!r}>"


def range_parts(given: Range[K, V]) -> tuple[EntrySource[K, V], Span]:
    """What a range reads, and which span of it, for the layers above."""
    return given._source, given._span


class Keys(BoundToStore, KeysView[K]):
    """The keys: set-like, in order."""

    def __init__(self, mapping: "Mapping[K, Any]", source: EntrySource[K, Any], span: Span) -> None:
        super().__init__(mapping)
        self._viewed = mapping
        self._source = source
        self._span = span

    def __iter__(self) -> Iterator[K]:
        return _limited(self._source.keys(self._span), self._span)

    def __reversed__(self) -> Iterator[K]:
        return _backwards(self._source.keys, self._span)

    @property
    def mapping(self) -> MappingProxyType[K, Any]:
        """The mapping whose keys these are, read-only."""
        return MappingProxyType(self._viewed)

    def __repr__(self) -> str:
        return f"Keys({self._viewed!r})"


class Values(BoundToStore, ValuesView[V]):
    """The values, in the order of their keys."""

    def __init__(self, mapping: "Mapping[Any, V]", source: EntrySource[Any, V], span: Span) -> None:
        super().__init__(mapping)
        self._viewed = mapping
        self._source = source
        self._span = span

    def __iter__(self) -> Iterator[V]:
        return _limited(self._source.values(self._span), self._span)

    def __reversed__(self) -> Iterator[V]:
        return _backwards(self._source.values, self._span)

    @property
    def mapping(self) -> MappingProxyType[Any, V]:
        """The mapping whose values these are, read-only."""
        return MappingProxyType(self._viewed)

    def __contains__(self, value: object) -> bool:
        return any(value is found or value == found for found in self)

    def __repr__(self) -> str:
        return f"Values({self._viewed!r})"


class Items(BoundToStore, ItemsView[K, V]):
    """The (key, value) pairs: set-like, in the order of the keys."""

    def __init__(self, mapping: "Mapping[K, V]", source: EntrySource[K, V], span: Span) -> None:
        super().__init__(mapping)
        self._viewed = mapping
        self._source = source
        self._span = span

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return _limited(self._source.items(self._span), self._span)

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        return _backwards(self._source.items, self._span)

    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and len(item) == 2 and super().__contains__(item)

    @property
    def mapping(self) -> MappingProxyType[K, V]:
        """The mapping whose items these are, read-only."""
        return MappingProxyType(self._viewed)

    def __repr__(self) -> str:
        return f"Items({self._viewed!r})"


def _limited(entries: Iterator[Any], span: Span) -> Iterator[Any]:
    return entries if span.limit is None else islice(entries, min(span.limit, maxsize))


def _backwards(entries: Callable[[Span], Iterator[Any]], span: Span) -> Iterator[Any]:
    if span.limit is None:
        return entries(span.reversed())
    # The other end of a limited range is only known once it has been read.
    return iter(list(_limited(entries(span), span))[::-1])
