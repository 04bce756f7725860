"""The records of a selection in its order, where the order has to be made: by sorting.

With a limit, a heap holds as many records as the selection gives, and the ones that it leaves out
before them. Without a limit, all matching records are in memory.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from sys import maxsize
from typing import Any

from attrs import evolve

from stones.stores.spans import Span

from .selection import Selection
from .sort_fields import place_of

Match = tuple[bytes, Any]
"""The stored key of a record, and its dict as a query sees it."""


def sorted_matches(
    entries: Iterable[Match],
    selection: Selection,
    prefix_size: int,
    keep: Callable[[Any], Any] = lambda value: value,
) -> Iterator[Match]:
    """The part of some matches that a selection wants, in its order.

    `entries` are all records that match its filters, in any order. `prefix_size` is the length of
    what stands before the keys of the collection. `keep` makes what is held of each dict.
    """
    place, after, reverse = place_of(selection.order), selection.after, selection.reverse
    if selection.limit == 0:
        return
    placed: Iterable[tuple[bytes, bytes, Any]] = (
        (place(stored[prefix_size:], value), stored, keep(value)) for stored, value in entries
    )
    if after is not None:
        placed = (each for each in placed if (each[0] < after if reverse else each[0] > after))
    # Two places are never equal, so the comparison of two tuples ends there.
    if selection.limit is None or selection.offset + selection.limit > maxsize:
        ordered = sorted(placed, reverse=reverse)
    else:
        choose = heapq.nlargest if reverse else heapq.nsmallest
        ordered = choose(selection.offset + selection.limit, placed)
    for _, stored, value in part(ordered, selection):
        yield stored, value


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
