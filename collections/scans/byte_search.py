"""The values of a page that contain the bytes of a pretest.

The values are searched all at once, joined: a search for each value would take five times as long.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from .byte_patterns import Pretest


def places(pretest: Pretest, joined: bytes, raws: Sequence[bytes]) -> Sequence[int]:
    """The places of the values that may contain what a pretest seeks, in order.

    `joined` are the values one after the other. Bytes of two neighbours may look like a hit. Then
    the first of the two is among the places, and the search goes on at the start of the second.
    """
    found: set[int] = set()
    ends: list[int] = []
    for sought in pretest:
        if sought.marker is not None and not sought.marker.is_in(joined):
            continue
        find = sought.find
        at = find(joined, 0)
        if at >= 0 and not ends:
            ends = list(accumulate(map(len, raws)))
        while at >= 0:
            place = bisect_right(ends, at)
            found.add(place)
            at = find(joined, ends[place])
    return sorted(found)
