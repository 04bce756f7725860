"""Entries that are counted on their way to whoever looks at them, to tell the progress."""

from collections.abc import Callable, Iterator

from stones.migrations.progress import Progress, ProgressCounter
from stones.stores.sorted_entries import Pair

Counted = Callable[[Iterator[Pair]], Iterator[Pair]]
"""Gives the same entries, and counts them."""
_STEP = 1000


def counting(progress: Progress | None, total: int) -> Counted:
    """What counts entries, of which there are `total` in all. Without `progress` it does nothing.

    >>> counted = counting(lambda done, total: print(done, "of", total), 2)
    >>> list(counted(iter([(b"a", b"1"), (b"b", b"2")])))
    2 of 2
    [(b'a', b'1'), (b'b', b'2')]
    """
    if progress is None:
        return lambda entries: entries
    counter = ProgressCounter(progress, total)

    def counted(entries: Iterator[Pair]) -> Iterator[Pair]:
        number = 0
        for number, entry in enumerate(entries, 1):
            yield entry
            if number % _STEP == 0:
                counter.add(_STEP)
        counter.add(number % _STEP)

    return counted
