"""The pages of an LMDB file, read without LMDB. `check` and `salvage` find damage with them.

LMDB maps the file and trusts the bytes in it, so a damaged file can end the process. Here each page
is read from its place in the file, and each number in it is checked against its bounds. Any bytes
have a result, or raise DamageError. The size of the file limits the time and the memory.

The format is LMDB 0.9's on a 64-bit machine, in the machine's own byte order:

- A file begins with two meta pages. Each transaction overwrites the older one.
- A meta page leads to a tree of free pages and to the main tree.
- An entry of the main tree may be a tree itself, a named database.
- Any other page is a branch, a leaf, or one of several pages that hold one long value.
"""

import os
import struct
import sys
from typing import NamedTuple

from attrs import evolve, frozen

BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
LONG, TREE = 1, 2
"""Flags of an entry: its value is on pages of its own; its value is a tree."""
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
    """The damage of a page, in words. No public function raises it."""


@frozen
class Tree:
    """The record of a tree: the number of its root page, and how many pages and entries it has."""

    flags: int
    depth: int
    branches: int
    leaves: int
    long_pages: int
    entries: int
    root: int

    @classmethod
    def parse(cls, raw: bytes) -> "Tree":
        return cls(*_TREE.unpack(raw)[1:])


@frozen
class Meta:
    """A meta page, which describes the state after one transaction."""

    raw: bytes
    page_size: int
    txnid: int
    last_page: int
    free: Tree
    main: Tree

    @classmethod
    def parse(cls, raw: bytes, slot: int) -> "Meta":
        """The meta page 0 or 1, the `slot`. Raises DamageError if the bytes are no meta page."""
        if len(raw) < _META.size:
            raise DamageError("the file ends before it")
        number, _, flags, _, magic, version, _, _, *rest = _META.unpack_from(raw)
        page_size, last_page, txnid = rest[0], rest[-2], rest[-1]
        if magic != MAGIC or flags != META:
            raise DamageError("it does not begin like a meta page of LMDB")
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
        """The meta page of the same state for the other slot, one transaction before this one."""
        number = (self.txnid & 1) ^ 1
        other = bytearray(self.raw)
        other[:8] = number.to_bytes(8, sys.byteorder)
        other[_TXNID] = max(self.txnid - 1, 0).to_bytes(8, sys.byteorder)
        return bytes(other)


class Entry(NamedTuple):
    """An entry of a leaf. Its value is `value`; a long value is `size` bytes from `page` on."""

    key: bytes
    flags: int
    size: int
    value: bytes
    page: int


class File:
    """A data file, open for reading until `close`. One thread at a time."""

    def __init__(self, path: str) -> None:
        """Raises OSError if the file cannot be opened."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size
        self.page_size = 0

    def close(self) -> None:
        os.close(self._descriptor)

    def stamp(self) -> tuple[int, int]:
        """The size and the time of the last write. They change when the file is written."""
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns

    def metas(self) -> tuple[list[Meta], list[str]]:
        """The meta pages that can be read, and the damage of the others in words.

        The first one is of the later transaction: LMDB takes it. Sets `page_size`.
        """
        found: list[Meta] = []
        wrong = []
        for slot in (0, 1):
            # If the first one cannot be read, the second may be at any of these places.
            places = [0] if slot == 0 else [meta.page_size for meta in found] or _PAGE_SIZES
            reasons = []
            for place in places:
                try:
                    meta = Meta.parse(os.pread(self._descriptor, _PAGE_SIZES[-1], place), slot)
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
        """The bytes of `count` pages. Raises DamageError if the file ends before them."""
        start, size = page * self.page_size, count * self.page_size
        if start + size > self.size:
            raise DamageError(f"page {page} is behind the end of the file")
        raw = os.pread(self._descriptor, size, start)
        while len(raw) < size:  # Linux reads at most 2 GiB at once
            more = os.pread(self._descriptor, size - len(raw), start + len(raw))
            if not more:
                raise DamageError(f"page {page} is behind the end of the file")
            raw += more
        return raw

    def value(self, entry: Entry) -> bytes:
        """The value of an entry of a leaf. Raises DamageError if the file has become shorter."""
        if not entry.flags & LONG:
            return entry.value
        return self.read(entry.page, self.long_pages(entry.size))[_HEAD : _HEAD + entry.size]

    def long_pages(self, size: int) -> int:
        """How many pages a long value of `size` bytes takes."""
        return (_HEAD - 1 + size) // self.page_size + 1

    def long_run(self, page: int) -> int:
        """How many pages the long value on `page` has.

        Raises DamageError if `page` is not the first page of a long value.
        """
        number, _, flags, pages = _LONG_HEADER.unpack_from(self.read(page))
        if number != page or flags != OVERFLOW:
            raise DamageError(f"page {page} is not the first of a long value")
        return int(pages)

    def entries(self, page: int, raw: bytes) -> tuple[list[Entry], list[tuple[bytes, str]]]:
        """The sound entries of a leaf in the order of their keys, and the damaged ones.

        A damaged entry is its key and the damage in words. Raises DamageError if the page is no
        leaf.
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
        # The entries fill the page from `upper` to its end, without a gap. So each one begins where
        # another ends, and ends where another begins. If the place or size of an entry is damaged,
        # it does not.
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
    """The kind in the header of a page: BRANCH, LEAF or another number."""
    return int(_HEADER.unpack_from(raw)[2])


def free_bytes(raw: bytes) -> int:
    """The bytes of a branch or a leaf that are free, by its header."""
    _, _, _, lower, upper = _HEADER.unpack_from(raw)
    return max(int(upper) - int(lower), 0)


def _places(page: int, raw: bytes, kind: int, size: int) -> tuple[int, ...]:
    """The positions of the entries of a page. Raises DamageError."""
    number, _, flags, lower, upper = _HEADER.unpack_from(raw)
    if number != page or flags != kind:
        name = "branch" if kind == BRANCH else "leaf"
        raise DamageError(f"page {page} is not the {name} that it should be")
    count = (lower - _HEAD) // 2
    if not _HEAD < lower <= upper <= size or lower & 1:
        raise DamageError(f"page {page} has no place for its entries")
    places = struct.unpack_from(f"={count}H", raw, _HEAD)
    # A position out of bounds becomes the last one, where an entry fits no other.
    last = size - _ENTRY.size
    return tuple(place if upper <= place <= last else last for place in places)
