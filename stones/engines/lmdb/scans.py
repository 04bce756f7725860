"""The entries of a transaction in key order: one by one, and in pages.

A later write in the same transaction must not change what a scan shows. So a write transaction
knows its open scans. Before a write, each scan reads the rest of its entries (`settle`). When the
transaction ends, its scans let go of LMDB (`end`).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import lmdb

from stones.engine import PAGE_BYTES, PAGE_ENTRIES, Page, page_sizes
from stones.errors import StoneError

from .open_file import OpenFile

Bounds = tuple[bytes, bytes | None, bool]
"""Where a scan starts and stops, and whether it goes in reverse."""


_FEW_KEYS = 128
"""So many keys are read before a scan looks if its end was passed. A look takes as long as ten."""


class Scan:
    """The entries of a scan in a write transaction, one by one."""

    __slots__ = ("__weakref__", "_entries")

    def __init__(self, entries: Iterator[Any]) -> None:
        self._entries = entries

    def __iter__(self) -> "Scan":
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def settle(self) -> None:
        """Read the rest of the entries."""
        self._entries = iter(list(self._entries))

    def end(self) -> None:
        """Let go of LMDB. What was not read yet is lost."""
        self._entries = _lost()


class Pages:
    """The entries of a scan in pages: the iterator that `Transaction.pages` gives."""

    __slots__ = (
        "__weakref__",
        "_cursor",
        "_db",
        "_end",
        "_file",
        "_first",
        "_keys",
        "_others",
        "_reverse",
        "_sizes",
        "_txn",
        "_values",
    )

    def __init__(
        self,
        file: OpenFile,
        txn: "lmdb.Transaction[bytes]",
        db: Any,
        bounds: Bounds,
        keys: bool,
        values: bool,
    ) -> None:
        """Raises lmdb.Error."""
        start, stop, self._reverse = bounds
        self._file = file
        self._txn: Any = txn
        self._db = db
        self._end = start if self._reverse else stop
        self._keys = keys
        self._values = values
        self._sizes = page_sizes()
        self._others: Iterator[Page] | None = None  # the pages that are not read by the cursor
        self._cursor: Any = txn.cursor(db)
        move_to_start(self._cursor, *bounds)
        self._first: bytes = self._cursor.key()  # of the next page; empty without an entry

    def __iter__(self) -> "Pages":
        return self

    def __next__(self) -> Page:
        try:
            if self._others is not None:
                return next(self._others)
            if self._file.closed:
                raise self._file.closed_error()
            first = self._first
            if first and not self._is_past(first):
                return self._read(next(self._sizes))
        except lmdb.Error as error:
            raise self._file.translated(error) from error
        self._let_go(iter(()))
        raise StopIteration

    def settle(self) -> None:
        """Read the rest of the pages."""
        if self._others is None:
            self._let_go(iter(list(self)))

    def end(self) -> None:
        """Let go of LMDB. What was not read yet is lost."""
        self._let_go(_lost())

    def _let_go(self, others: Iterator[Page]) -> None:
        self._others = others
        self._cursor = self._txn = None

    def _is_past(self, key: bytes) -> bool:
        """Whether a key lies beyond the last one of the scan."""
        end = self._end
        return end is not None and (key < end if self._reverse else key >= end)

    def _read(self, size: int) -> Page:
        """The page that starts at the cursor, which moves to the start of the next page."""
        if self._values and (size < PAGE_ENTRIES or self._has_long_values()):
            return self._read_one_by_one(size)
        cursor = self._cursor
        walk = cursor.iterprev if self._reverse else cursor.iternext
        keys: Any = ()
        values: Any = ()
        if not self._values:
            keys = self._keys_until_end(walk(True, False), size)
        elif self._keys:
            keys, values = zip(*islice(walk(True, True), size), strict=True)
        else:
            values = list(islice(walk(False, True), size))
        last = cursor.key()  # empty at the end of the database
        if last and not self._is_past(last):
            self._move_on()
            return keys, values
        if self._end is not None:
            if not keys:
                cursor.set_key(self._first)
                keys = list(islice(walk(True, False), size))
            within = bisect_left(keys, True, key=self._is_past)
            keys, values = keys[:within], values[:within]
        self._first = b""
        return keys if self._keys else (), values

    def _keys_until_end(self, walk: Iterator[bytes], size: int) -> list[bytes]:
        """At most `size` keys, and few behind the end of the scan."""
        keys: list[bytes] = []
        while len(keys) < size:
            wanted = min(size - len(keys), _FEW_KEYS)
            found = list(islice(walk, wanted))
            keys += found
            if len(found) < wanted or self._is_past(found[-1]):
                break
        return keys

    def _read_one_by_one(self, size: int) -> Page:
        """A page that ends where the scan ends, or has PAGE_BYTES. It reads no entry too many.

        So it is faster for a few entries with their values. For others, `_read` is.
        """
        keys: list[bytes] = []
        values: list[bytes] = []
        room = PAGE_BYTES
        end, reverse = self._end, self._reverse
        walk = self._cursor.iterprev if reverse else self._cursor.iternext
        for key, value in islice(walk(True, True), size):
            if end is not None and (key < end if reverse else key >= end):
                self._first = b""
                break
            keys.append(key)
            values.append(value)
            room -= len(value)
            if room <= 0:
                self._move_on()
                break
        else:
            self._move_on()
        return keys if self._keys else (), values

    def _move_on(self) -> None:
        """Move to the start of the next page."""
        cursor = self._cursor
        if cursor.key():  # not at the end of the database yet
            (cursor.prev if self._reverse else cursor.next)()
        self._first = cursor.key()

    def _has_long_values(self) -> bool:
        """Whether PAGE_ENTRIES values may have much more than PAGE_BYTES.

        LMDB stores a value of more than about 2,000 bytes in pages of its own.
        """
        stat = self._txn.stat(self._db)
        return bool(stat["overflow_pages"] * stat["psize"] > PAGE_BYTES)


def move_to_start(
    cursor: "lmdb.Cursor[bytes]", start: bytes, stop: bytes | None, reverse: bool
) -> bool:
    """Move to the first entry of a scan, which may lie past its end. Is there one?"""
    if reverse:
        above = cursor.set_range(stop) if stop is not None else False
        return cursor.prev() if above else cursor.last()
    return cursor.set_range(start) if start else cursor.first()


def guarded(entries: Iterator[Any], failed: Callable[[lmdb.Error], StoneError]) -> Iterator[Any]:
    """The entries, with errors of LMDB as errors of stones."""
    try:
        yield from entries
    except lmdb.Error as error:
        raise failed(error) from error


def until(
    entries: Iterator[Any],
    end: bytes,
    reverse: bool,
    values: bool,
    failed: Callable[[lmdb.Error], StoneError],
) -> Iterator[Any]:
    """The entries (with `values`) or keys before `end`, with errors as errors of stones."""
    try:
        for entry in entries:
            key = entry[0] if values else entry
            if key < end if reverse else key >= end:
                return
            yield entry
    except lmdb.Error as error:
        raise failed(error) from error


def _lost() -> Iterator[Any]:
    raise lmdb.BadTxnError("the entries that were not read yet are lost with it")
    yield
