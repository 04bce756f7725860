"""The records of a selection in its order, where the order has to be made: by sorting.

Twice as many records are held as a selection with a limit gives and leaves out before them; of a
selection without a limit, all. `ordered_scan` holds their places and keys only, and reads the
records again.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from sys import maxsize
from typing import Any

from attrs import evolve

from stones.stores.spans import Span

from .selection import Selection
from .sort_fields import Place, place_of

Match = tuple[bytes, Any]
"""The stored key of a record, and its dict as a query sees it."""


def sorted_matches(
    entries: Iterable[Match],
    selection: Selection,
    prefix_size: int,
    *,
    keep: bool = True,
    place: Place | None = None,
) -> Iterator[Match]:
    """The part of some matches that a selection wants, in its order.

    `entries` are all records that match its filters, in any order. `prefix_size` is the length of
    what stands before the keys of the collection. Unless `keep`, None takes the place of each dict.

    With a `place`, something else stands in the entries for the dicts, which it takes.
    """
    if selection.limit == 0:
        return
    found = _placed(entries, selection, prefix_size, keep, place or place_of(selection.order))
    count = most_of(selection)
    if count is None:
        # Two places are never equal, so the comparison of two tuples ends there.
        ordered = sorted(found, reverse=selection.reverse)
    else:
        ordered = _first(found, count, selection.reverse)
    for _, stored, value in part(ordered, selection):
        yield stored, value


def most_of(selection: Selection) -> int | None:
    """How many records a selection gives and leaves out before them. None: any number."""
    return None if selection.limit is None else selection.offset + selection.limit


_Placed = tuple[bytes, bytes, Any]
"""The place of a record, its stored key, and its dict."""


def _first(found: Iterable[_Placed], count: int, reverse: bool) -> list[_Placed]:
    """The first `count` records, in order. Holds twice as many at most.

    A sort now and then is faster than a heap: it is one call for many records.
    """
    kept: list[_Placed] = []
    room = 2 * count + 100
    bound: bytes | None = None
    for each in found:
        if bound is not None and (each[0] < bound if reverse else each[0] > bound):
            continue
        kept.append(each)
        if len(kept) == room:
            kept.sort(reverse=reverse)
            del kept[count:]
            bound = kept[-1][0]
    kept.sort(reverse=reverse)
    return kept[:count]


def _placed(
    entries: Iterable[Match], selection: Selection, prefix_size: int, keep: bool, place: Place
) -> Iterator[_Placed]:
    """Each match that is behind `after`, with its place."""
    after, reverse = selection.after, selection.reverse
    for stored, value in entries:
        at = place(stored[prefix_size:], value)
        if after is None or (at < after if reverse else at > after):
            yield at, stored, value if keep else None


def part(ordered: Iterable[Any], selection: Selection) -> Iterator[Any]:
    """What is left of ordered records behind `offset`, at most `limit` of them."""
    start = min(selection.offset, maxsize)
    if selection.limit is None:
        return islice(ordered, start, None)
    return islice(ordered, start, min(start + selection.limit, maxsize))


def count_of_part(matching: int, selection: Selection) -> int:
    """How many of so many matching records are left, for a selection without `after`."""
    left = max(matching - selection.offset, 0)
    return left if selection.limit is None else min(left, selection.limit)


def span_in_key_order(selection: Selection, prefix: bytes) -> Span:
    """The span to go through for a selection without `order`: from `after` on, and reversed.

    `prefix` is what stands before the keys of the collection.
    """
    span, after = selection.span, selection.after
    if after is not None and selection.reverse:
        place = prefix + after
        stop = place if span.stop is None else min(place, span.stop)
        span = evolve(span, start=min(span.start, stop), stop=stop)
    elif after is not None:
        span = evolve(span, start=max(span.start, prefix + after + b"\0"))
    return span.reversed() if selection.reverse else span
