"""The entries of a scan, read from a cursor of SQLite, in pages.

SQLite does not say whether a cursor shows what its connection writes meanwhile. So before a write,
the transaction lets its open scans read the rest of their entries: `Rows.settle`.
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from stones.engine import PAGE_BYTES, Page, page_sizes

_FEW = 16


class Rows:
    """The rows that a statement selects, from its first row on. For one thread at a time."""

    __slots__ = ("__weakref__", "_cursor", "_ended", "_fail", "fetch")

    def __init__(self, cursor: sqlite3.Cursor, fail: Callable[[sqlite3.Error], NoReturn]) -> None:
        self._cursor = cursor
        self._fail = fail
        self._ended = False
        self.fetch: Callable[[int], list[Any]] = cursor.fetchmany
        """The next rows, at most so many. An empty list: there are no more."""

    def settle(self) -> None:
        """Read the rest now."""
        try:
            rest = self._cursor.fetchall()
        except sqlite3.Error as error:
            self._fail(error)
        position = 0

        def fetch(size: int) -> list[Any]:
            nonlocal position
            found = rest[position : position + size]
            position += len(found)
            return found

        self.fetch = fetch
        self._cursor.close()

    def end(self, refuse: Callable[..., NoReturn], *, close: bool) -> None:
        """The transaction has ended: `refuse` raises the error that says so.

        With `close`, SQLite ends the statement: only for the thread that reads from it.
        """
        self._ended = True
        self.fetch = refuse
        if close:
            self._cursor.close()

    def entries(self) -> Iterator[Any]:
        """Each row."""
        while found := self._next(_FEW):
            for row in found:
                if self._ended:
                    self.fetch(0)  # raises
                yield row

    def pages(self, keys: bool, values: bool) -> Iterator[Page]:
        """The rows as pages. They have the columns that are wanted, the key first."""
        most = _FEW
        for size in page_sizes():
            found = self._next(min(size, most) if values else size)
            if not found:
                return
            if not values:
                yield [key for (key,) in found], ()
                continue
            page_keys, page_values = (
                zip(*found, strict=True) if keys else ((), [value for (value,) in found])
            )
            held = sum(map(len, page_values))
            most = max(PAGE_BYTES * len(found) // max(held, 1), 1)  # by the size of these
            if held <= PAGE_BYTES:
                yield page_keys, page_values
            else:
                yield from _split(page_keys, page_values)

    def _next(self, size: int) -> list[Any]:
        try:
            return self.fetch(size)
        except sqlite3.Error as error:
            self._fail(error)


def _split(keys: Any, values: Any) -> Iterator[Page]:
    """The entries in pages that are not too large."""
    start = held = 0
    for stop, value in enumerate(values, 1):
        held += len(value)
        if held >= PAGE_BYTES or stop == len(values):
            yield keys[start:stop], values[start:stop]
            start, held = stop, 0
