"""What differs between two states of a space, found by pages of entries.

Most pages of two states are equal. Lists of bytes are compared at the speed of C, and only where
two lists differ the entries are looked at one by one.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stones.engine import Page

Equal = Callable[[bytes, bytes, bytes], bool]
"""Whether two stored values of a key are equal, the old one first. The key is the first argument.
"""


class Stretch(NamedTuple):
    """Neighbouring entries of a new state, and what must change in the old one there."""

    puts: list[tuple[bytes, bytes]]
    """Entries that are new, or whose value differs."""
    deletes: list[bytes]
    """Keys that are gone."""
    last: bytes
    """All keys up to this one have been compared."""
    looked_at: int
    """How many entries of the new state are in it."""


def differences(
    old: Iterator[Page], new: Iterator[Page], equal: Equal | None = None
) -> Iterator[Stretch]:
    """The stretches of the new state, in key order. `equal` compares values that differ in bytes.

    Both are pages with keys and values. It has a page of each in memory.
    """
    left, right = _Reader(old), _Reader(new)
    while True:
        left.fill()
        right.fill()
        if not right.keys:
            if not left.keys:
                return
            yield Stretch([], left.keys, left.keys[-1], 0)
            left.keys = []
        elif not left.keys:
            yield Stretch(
                list(zip(right.keys, right.values, strict=True)), [], right.keys[-1],
                len(right.keys),
            )  # fmt: skip
            right.keys = []
        else:
            yield _compared(left, right, equal)


def _compared(left: "_Reader", right: "_Reader", equal: Equal | None) -> Stretch:
    """The stretch up to the smaller one of the last keys that were read."""
    common = min(len(left.keys), len(right.keys))
    if left.keys[:common] == right.keys[:common]:
        keys, olds = left.take(common)
        _, news = right.take(common)
        if olds == news:
            return Stretch([], [], keys[-1], common)
        puts = [
            (key, after)
            for key, before, after in zip(keys, olds, news, strict=True)
            if before != after and not (equal is not None and equal(key, before, after))
        ]
        return Stretch(puts, [], keys[-1], common)
    last = min(left.keys[-1], right.keys[-1])
    before = dict(zip(*left.take(bisect_right(left.keys, last)), strict=True))
    keys, news = right.take(bisect_right(right.keys, last))
    puts = []
    for key, after in zip(keys, news, strict=True):
        value = before.pop(key, None)
        is_same = value == after or (
            value is not None and equal is not None and equal(key, value, after)
        )
        if not is_same:
            puts.append((key, after))
    return Stretch(puts, list(before), last, len(keys))


class _Reader:
    """The entries of pages that were read and not compared yet."""

    def __init__(self, pages: Iterator[Page]) -> None:
        self._pages = pages
        self.keys: list[bytes] = []
        self.values: list[bytes] = []

    def fill(self) -> None:
        """Read a page if there is no entry left. After the last page there is no entry."""
        while not self.keys:
            page = next(self._pages, None)
            if page is None:
                return
            self.keys, self.values = list(page[0]), list(page[1])

    def take(self, count: int) -> tuple[list[bytes], list[bytes]]:
        """Remove the first entries, and give their keys and values."""
        keys, values = self.keys[:count], self.values[:count]
        self.keys, self.values = self.keys[count:], self.values[count:]
        return keys, values
