"""A sorted map from bytes to bytes in memory, whose copies cost nothing.

A `SortedMap` is a list of sorted leaves. A fork shares the leaves. It copies a leaf before it
writes to it for the first time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import chain

LEAF_SIZE = 512
"""The largest number of entries in a leaf."""


class SortedMap:
    """A sorted map. Its copies share each leaf until one of them changes it."""

    __slots__ = ("count", "_firsts", "_leaves", "_owner")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove every key."""
        self._owner: object = object()
        self._firsts: list[bytes] = [b""]  # for each leaf, the lowest key that belongs there
        self._leaves: list[_Leaf] = [_Leaf([], [], self._owner)]
        self.count = 0

    def fork(self) -> "SortedMap":
        """An independent copy, in O(1). From now on, neither changes a shared leaf in place."""
        twin = SortedMap.__new__(SortedMap)
        twin.count, twin._firsts, twin._leaves = self.count, self._firsts, self._leaves
        self._owner = twin._owner = None
        return twin

    def is_same_as(self, other: "SortedMap") -> bool:
        """Whether neither of two copies has changed since they were one. O(1)."""
        return self._leaves is other._leaves

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None. O(log n)."""
        leaf = self._leaves[bisect_right(self._firsts, key) - 1]
        at = bisect_left(leaf.keys, key)
        return leaf.values[at] if at < len(leaf.keys) and leaf.keys[at] == key else None

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of `key`."""
        place = bisect_right(self._firsts, key) - 1
        leaf = self._own(place)
        at = bisect_left(leaf.keys, key)
        if at < len(leaf.keys) and leaf.keys[at] == key:
            leaf.values[at] = value
            return
        leaf.keys.insert(at, key)
        leaf.values.insert(at, value)
        self.count += 1
        if len(leaf.keys) > LEAF_SIZE:
            # Keys that come in order leave full leaves behind, and not half of each empty.
            half = LEAF_SIZE if at == LEAF_SIZE else LEAF_SIZE // 2
            right = _Leaf(leaf.keys[half:], leaf.values[half:], self._owner)
            del leaf.keys[half:], leaf.values[half:]
            self._leaves.insert(place + 1, right)
            self._firsts.insert(place + 1, right.keys[0])

    def delete(self, key: bytes) -> bool:
        """Remove `key`. Was it there?"""
        if self.get(key) is None:
            return False
        place = bisect_right(self._firsts, key) - 1
        leaf = self._own(place)
        at = bisect_left(leaf.keys, key)
        del leaf.keys[at], leaf.values[at]
        self.count -= 1
        if not leaf.keys and place > 0:
            del self._leaves[place], self._firsts[place]
        return True

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, in key order. Nobody may change the map before the last one is read."""
        leaves = [zip(leaf.keys, leaf.values, strict=True) for leaf in self._leaves]
        return chain.from_iterable(leaves)

    def scan(
        self, start: bytes, stop: bytes | None, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """The entries with start <= key < stop, in key order or in reverse."""
        for keys, values in self.spans(start, stop, reverse):
            yield from zip(keys, values, strict=True)

    def spans(
        self, start: bytes, stop: bytes | None, reverse: bool
    ) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """The keys and values with start <= key < stop, leaf by leaf."""
        # A tree was forked before a scan, or is never written: the lists stay as they are.
        leaves = self._leaves
        low = max(bisect_right(self._firsts, start) - 1, 0)
        high = len(leaves) if stop is None else bisect_left(self._firsts, stop)
        places = range(high - 1, low - 1, -1) if reverse else range(low, max(high, low))
        for place in places:
            keys, values = leaves[place].keys, leaves[place].values
            first = bisect_left(keys, start) if place == low else 0
            last = bisect_left(keys, stop) if stop is not None and place == high - 1 else len(keys)
            keys, values = keys[first:last], values[first:last]
            yield (keys[::-1], values[::-1]) if reverse else (keys, values)

    def _own(self, place: int) -> "_Leaf":
        """The leaf at `place`, which this tree may change. A shared leaf is copied first."""
        if self._owner is None:
            self._owner = object()
            self._firsts, self._leaves = self._firsts.copy(), self._leaves.copy()
        leaf = self._leaves[place]
        if leaf.owner is not self._owner:
            leaf = _Leaf(leaf.keys.copy(), leaf.values.copy(), self._owner)
            self._leaves[place] = leaf
        return leaf


class _Leaf:
    """Up to LEAF_SIZE neighbouring entries, and the tree that may change them in place."""

    __slots__ = ("keys", "owner", "values")

    def __init__(self, keys: list[bytes], values: list[bytes], owner: object) -> None:
        self.keys = keys
        self.values = values
        self.owner = owner
