"""Pages of neighbouring entries, which `Transaction.pages` gives: their type and their sizes."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat

Page = tuple[Sequence[bytes], Sequence[bytes]]
"""Neighbouring entries: their keys, and their values in the same order."""

PAGE_ENTRIES = 500
"""The largest number of entries in a page."""
PAGE_BYTES = 1 << 20
"""A page ends with the value that brings its values to this size."""


def page_sizes() -> Iterator[int]:
    """How many entries each page of `Transaction.pages` has at most, the first page first.

    >>> list(islice(page_sizes(), 6))
    [16, 64, 256, 500, 500, 500]
    """
    return chain((16, 64, 256), repeat(PAGE_ENTRIES))


def pages_of_keys(keys: Iterator[bytes]) -> Iterator[Page]:
    """Pages with the keys, and without values."""
    for size in page_sizes():
        page = list(islice(keys, size))
        if not page:
            return
        yield page, ()


def pages_of_entries(entries: Iterator[tuple[bytes, bytes]], with_keys: bool) -> Iterator[Page]:
    """Pages with the values, and with the keys if they are wanted."""
    for size in page_sizes():
        keys: list[bytes] = []
        values: list[bytes] = []
        room = PAGE_BYTES
        for key, value in islice(entries, size):
            keys.append(key)
            values.append(value)
            room -= len(value)
            if room <= 0:
                break
        if not values:
            return
        yield keys if with_keys else (), values
