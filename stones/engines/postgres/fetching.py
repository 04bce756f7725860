"""Reads entries in pages, each of which begins after the last key of the one before.

So the server keeps no cursor. One answer has up to 1 MB of values. What it would have of larger
values stays at the server until it is asked for alone.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from psycopg.pq.abc import PGresult

from stones.engine import PAGE_BYTES, PAGE_ENTRIES, Page, Space

from .parameters import bigint
from .statements import Statements
from .wire import Statement, cell, column

FIRST = 32
"""The entries of the first answer: a reader may need only a few."""
GROWTH = 8
MOST = 5000
"""The most entries of an answer."""
ROOM = 16 << 20
"""The most bytes of an answer, if its values are much larger than those before."""

Ask = Callable[[Statement, tuple[bytes | None, ...]], PGresult]


def fetch_pages(
    ask: Ask,
    statements: Statements,
    space: Space,
    start: bytes,
    stop: bytes | None,
    *,
    reverse: bool,
    keys: bool,
    values: bool,
) -> Iterator[Page]:
    """The entries with start <= key < stop. `ask` runs a statement and gives its result."""
    count = FIRST
    while stop is None or start < stop:
        statement = statements.page(space, stop=stop is not None, reverse=reverse, values=values)
        bounds = () if stop is None else (stop,)
        sizes = (bigint(ROOM // count),) if values else ()
        result = ask(statement, (start, *sizes, *bounds, bigint(count)))
        found = column(result)
        if not found:
            return
        is_last = len(found) < count
        count = min(count * GROWTH, MOST)
        if values:
            contents = column(result, 1)
            if None in contents:
                is_last, count = False, FIRST
                held = contents.index(None)
                if not held:  # the first value is a large one
                    value = cell(ask(statements.get[space], (found[0],)))
                    contents[0], held = value or b"", 1
                del contents[held:], found[held:]
            yield from _split(found, contents, keys)
            size = sum(map(len, contents)) // len(contents) + 1
            count = max(min(count, PAGE_BYTES // size), 1)
        else:
            for at in range(0, len(found), PAGE_ENTRIES):
                yield found[at : at + PAGE_ENTRIES], ()
        if is_last:
            return
        if reverse:
            stop = found[-1]
        else:
            start = found[-1] + b"\0"


def _split(found: list[bytes], contents: list[bytes], with_keys: bool) -> Iterator[Page]:
    start = 0
    while start < len(found):
        page: Sequence[bytes] = contents[start : start + PAGE_ENTRIES]
        page = page[: bisect_left(list(accumulate(map(len, page))), PAGE_BYTES) + 1]
        stop = start + len(page)
        yield found[start:stop] if with_keys else (), page
        start = stop
