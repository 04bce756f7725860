"""Pages of what is stored, with the changes of a transaction merged into them."""

from collections.abc import Iterator
from itertools import chain, repeat

from stones.engine import Page
from stones.pages import pages_of_entries, pages_of_keys

GONE = bytes(bytearray(b"gone"))  # an object of its own: no value of a user is the same object
"""Stands in a map of changes for a key that was deleted. Compare it by `is`."""


def merged_pages(
    pages: Iterator[Page],
    changed: Iterator[tuple[bytes, bytes]],
    *,
    reverse: bool,
    keys: bool,
    values: bool,
) -> Iterator[Page]:
    """The pages, which have keys, with the changed entries in them. Both are in the same order.

    A page without a change is passed on as it is.
    """
    change = next(changed, None)
    for page in pages:
        last = page[0][-1]
        if change is None or (change[0] < last if reverse else change[0] > last):
            yield page if keys else ((), page[1])
            continue
        entries = dict(zip(*page, strict=True)) if values else dict(zip(page[0], repeat(b"")))
        while change is not None and (change[0] >= last if reverse else change[0] <= last):
            entries[change[0]] = change[1]
            change = next(changed, None)
        yield from _paged(iter(sorted(entries.items(), reverse=reverse)), keys, values)
    if change is not None:
        yield from _paged(chain([change], changed), keys, values)


def _paged(entries: Iterator[tuple[bytes, bytes]], keys: bool, values: bool) -> Iterator[Page]:
    kept = (entry for entry in entries if entry[1] is not GONE)
    if not values:
        return pages_of_keys(key for key, _ in kept)
    return pages_of_entries(kept, keys)
