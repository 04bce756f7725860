"""The records of a selection in its order, where the order has to be made: by sorting.

Twice as many records are held as a selection with a limit gives and leaves out before them; of a
selection without a limit, all. `ordered_scan` holds their places and keys only, and reads the
records again.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from .selection import Selection, most_of, part
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
