"""The pages of an LMDB file, read without LMDB: `check` and `salvage` look at damage with them.

LMDB maps the file and believes what is in it, so that damage can end the process. Here every page
is read by its offset and every number in it is held against its bounds: whatever the bytes are,
there is an answer, in time and memory that the size of the file limits.

The format is that of LMDB 0.9 on a 64-bit machine, in the machine's own byte order. A file begins
with two meta pages, of which each transaction writes the older one; each leads to a tree of free
pages and to the main tree, whose entries may be trees (named databases) themselves. A page is a
branch, a leaf, or the first of several that hold one long value.
"""

import os
import struct
import sys
from typing import NamedTuple

from attrs import evolve, frozen

BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
LONG, TREE = 1, 2
"""Flags of an entry: its value is on pages of its own, its value is a tree."""
MAGIC = 0xBEEFC0DE

_HEADER = struct.Struct("=QHHHH")
_LONG_HEADER = struct.Struct("=QHHI")
_META = struct.Struct("=QHHIIIQQIHHQQQQQIHHQQQQQQQ")
_TREE = struct.Struct("=IHHQQQQQ")
_ENTRY = struct.Struct("=HHHH")
_HEAD = _HEADER.size
TREE_SIZE = _TREE.size
_PAGE_SIZES = [1 << power for power in range(9, 16)]
_TXNID = slice(_META.size - 8, _META.size)


class DamageError(Exception):
    """What is wrong with a page, in words. Never leaves this package."""


@frozen
class Tree:
    """What a tree says of itself."""

    flags: int
    depth: int
    branches: int
    leaves: int
    long_pages: int
    entries: int
    root: int

    @classmethod
    def parsed(cls, raw: bytes) -> "Tree":
        return cls(*_TREE.unpack(raw)[1:])


@frozen
class Meta:
    """A meta page: the state that one transaction left."""

    raw: bytes
    page_size: int
    txnid: int
    last_page: int
    free: Tree
    main: Tree

    @classmethod
    def parsed(cls, raw: bytes, slot: int) -> "Meta":
        """Raises DamageError for what is no meta page."""
        if len(raw) < _META.size:
            raise DamageError("the file ends before it")
        number, _, flags, _, magic, version, _, _, *rest = _META.unpack_from(raw)
        page_size, last_page, txnid = rest[0], rest[-2], rest[-1]
        if magic != MAGIC or flags != META:
            raise DamageError("it does not begin as one of LMDB's")
        if version != 1:
            raise DamageError(f"it has the version {version} of the format, not 1")
        if number != slot or (txnid and txnid & 1 != slot):
            raise DamageError(f"it says that it is page {number}, of transaction {txnid}")
        if page_size not in _PAGE_SIZES:
            raise DamageError(f"it says that a page has {page_size} bytes")
        if last_page < 1:
            raise DamageError("it says that there are no pages")
        return cls(raw, page_size, txnid, last_page, Tree(*rest[1:8]), Tree(*rest[9:16]))

    def earlier(self) -> bytes:
        """The meta page for the other slot: the same state, as of the transaction before."""
        number = (self.txnid & 1) ^ 1
        other = bytearray(self.raw)
        other[:8] = number.to_bytes(8, sys.byteorder)
        other[_TXNID] = max(self.txnid - 1, 0).to_bytes(8, sys.byteorder)
        return bytes(other)


class Entry(NamedTuple):
    """An entry of a leaf. Its value is `value`, or `size` bytes on the pages from `page` on."""

    key: bytes
    flags: int
    size: int
    value: bytes
    page: int


class File:
    """A data file, open for reading until `close`. One thread at a time."""

    def __init__(self, path: str) -> None:
        """Raises OSError where there is no such file."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size
        self.page_size = 0

    def close(self) -> None:
        os.close(self._descriptor)

    def stamp(self) -> tuple[int, int]:
        """What changes when the file is written."""
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns

    def metas(self) -> tuple[list[Meta], list[str]]:
        """The meta pages that can be read, and what is wrong with the others.

        The first is the one that LMDB takes. Sets `page_size`.
        """
        found: list[Meta] = []
        wrong = []
        for slot in (0, 1):
            # Where the first one cannot be read, the second may be at any of these places.
            places = [0] if slot == 0 else [meta.page_size for meta in found] or _PAGE_SIZES
            reasons = []
            for place in places:
                try:
                    meta = Meta.parsed(os.pread(self._descriptor, _PAGE_SIZES[-1], place), slot)
                except DamageError as damage:
                    reasons.append(str(damage))
                    continue
                if slot and meta.page_size != place:
                    reasons.append(f"it says that a page has {meta.page_size} bytes")
                    continue
                found.append(evolve(meta, raw=meta.raw[: meta.page_size]))
                break
            else:
                wrong.append(f"meta page {slot} cannot be read: {reasons[0]}")
        found.sort(key=lambda meta: meta.txnid, reverse=True)
        if found:
            self.page_size = found[0].page_size
        return found, wrong

    def read(self, page: int, count: int = 1) -> bytes:
        """The bytes of some pages. Raises DamageError where the file ends before."""
        start, size = page * self.page_size, count * self.page_size
        if start + size > self.size:
            raise DamageError(f"page {page} is behind the end of the file")
        raw = os.pread(self._descriptor, size, start)
        while len(raw) < size:  # at most 2 GiB at a time, on Linux
            more = os.pread(self._descriptor, size - len(raw), start + len(raw))
            if not more:
                raise DamageError(f"page {page} is behind the end of the file")
            raw += more
        return raw

    def value(self, entry: Entry) -> bytes:
        """The value of an entry of a leaf. Raises DamageError where the file has shrunk since."""
        if not entry.flags & LONG:
            return entry.value
        return self.read(entry.page, self.long_pages(entry.size))[_HEAD : _HEAD + entry.size]

    def long_pages(self, size: int) -> int:
        """How many pages a long value of so many bytes takes."""
        return (_HEAD - 1 + size) // self.page_size + 1

    def long_run(self, page: int) -> int:
        """How many pages the long value has that starts on `page`. Raises DamageError."""
        number, _, flags, pages = _LONG_HEADER.unpack_from(self.read(page))
        if number != page or flags != OVERFLOW:
            raise DamageError(f"page {page} is not the first of a long value")
        return int(pages)

    def entries(self, page: int, raw: bytes) -> tuple[list[Entry], list[tuple[bytes, str]]]:
        """The entries of a leaf in the order of their keys, and the keys of damaged ones.

        Raises DamageError for what is no leaf.
        """
        size = self.page_size
        places = _places(page, raw, LEAF, size)
        entries, ends = [], []
        for place in places:
            low, high, flags, key_size = _ENTRY.unpack_from(raw, place)
            start = place + _ENTRY.size
            value, length = start + key_size, low | high << 16
            stored = 8 if flags & LONG else length
            end = value + stored
            ends.append(end + (end & 1) if end <= size else 0)
            entries.append(
                Entry(
                    raw[start:value],
                    flags,
                    length,
                    raw[value:end] if end <= size else b"",
                    int.from_bytes(raw[value:end], sys.byteorder) if flags & LONG else 0,
                )
            )
        # The entries fill the page from `upper` to its end, without a gap: an entry whose place or
        # size is damaged does not begin where another ends, or end where another begins.
        upper = _HEADER.unpack_from(raw)[4]
        starts = {*places, size}
        borders = {*ends, upper}
        whole = starts == borders and len(starts) == len(places) + 1
        sound, damaged = [], []
        shared = {place for place in places if places.count(place) > 1} if not whole else ()
        for number, entry in enumerate(entries):
            fits = whole or (
                places[number] in borders
                and ends[number] in starts
                and places[number] not in shared
            )
            if not fits or not 1 <= len(entry.key) <= 511 or entry.flags & ~(LONG | TREE):
                damaged.append((entry.key[:511], f"the entry on page {page} is damaged"))
            else:
                sound.append(entry)
        return sound, damaged

    def branches(self, page: int, raw: bytes) -> list[tuple[bytes, int]]:
        """The smallest key and the page of each child of a branch. Raises DamageError."""
        places = _places(page, raw, BRANCH, self.page_size)
        found = []
        ends = set()
        for place in places:
            low, middle, high, key_size = _ENTRY.unpack_from(raw, place)
            start = place + _ENTRY.size
            end = start + key_size
            ends.add(end + (end & 1))
            found.append((raw[start:end], low | middle << 16 | high << 32))
        upper = _HEADER.unpack_from(raw)[4]
        if {*places, self.page_size} != {*ends, upper} or len(set(places)) < len(places):
            raise DamageError(f"the entries of branch page {page} do not fit together")
        return found


def kind_of(raw: bytes) -> int:
    """What a page says that it is: BRANCH, LEAF or another number."""
    return int(_HEADER.unpack_from(raw)[2])


def _places(page: int, raw: bytes, kind: int, size: int) -> tuple[int, ...]:
    """Where the entries of a page are. Raises DamageError."""
    number, _, flags, lower, upper = _HEADER.unpack_from(raw)
    if number != page or flags != kind:
        name = "branch" if kind == BRANCH else "leaf"
        raise DamageError(f"page {page} is not the {name} that it should be")
    count = (lower - _HEAD) // 2
    if not _HEAD < lower <= upper <= size or lower & 1:
        raise DamageError(f"page {page} has no place for its entries")
    places = struct.unpack_from(f"={count}H", raw, _HEAD)
    # One that is out of bounds is read as if it were at the end, where it fits nothing.
    last = size - _ENTRY.size
    return tuple(place if upper <= place <= last else last for place in places)
