"""The trees in an LMDB file, walked with distrust: their entries, and their lost parts.

`stones.engines.lmdb.file.pages` reads a page. A walk knows between which two keys each page must
be. So if a damaged number leads to a page from elsewhere, the walk does not take its entries.
"""

import struct
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .pages import BRANCH, LONG, TREE, TREE_SIZE, DamageError, Entry, File, Meta, Tree, kind_of

REACHED, TWICE, FREE, SLACK = 1, 2, 4, 8
"""The marks of a page: a tree leads to it; a tree leads to it more than once; it is in the list of
free pages; it is at the end of the pages of a long value that has become shorter."""

_MAX_DEPTH = 32
_NO_PAGE = (1 << 64) - 1


class LostPart(NamedTuple):
    """A part of a tree that cannot be read: its keys from `low` on, before `high`.

    `high` is None if the part goes on to the end of the tree. `what` says what is wrong.
    """

    what: str
    low: bytes
    high: bytes | None


class Leaf(NamedTuple):
    """A leaf page: its sound entries in key order, and the span that its keys must be in."""

    page: int
    low: bytes
    high: bytes | None
    entries: list[Entry]


class Walk:
    """Goes through a tree in key order, once: `for leaf in Walk(...).leaves()`.

    `marks` has a byte for each page of the file. The walk marks the pages that it reaches there.
    After the walk, `lost` has the parts that could not be read, and `damaged` has the keys of
    damaged entries with the damage in words.

    `refused` has pages that the walk does not read, with the reason. With `transaction_keys` the
    keys are numbers of transactions, as in the tree of free pages. With `subtrees` an entry may be
    a tree.
    """

    def __init__(
        self,
        file: File,
        tree: Tree,
        marks: bytearray,
        *,
        transaction_keys: bool = False,
        subtrees: bool = False,
        refused: Mapping[int, str] = {},
    ) -> None:
        self._file = file
        self._marks = marks
        self._refused = refused
        self._flags = LONG | TREE if subtrees else LONG
        self._integers = transaction_keys
        self.tree = tree
        self.last_key = b""
        self.lost: list[LostPart] = []
        self.damaged: list[tuple[bytes, str]] = []
        self.doubtful: list[Leaf] = []
        """Leaves that the walk reached and that are also in the list of free pages."""
        self.doubtful_long: list[tuple[int, int]] = []
        """Long values that are also in that list: the first page, and the number of pages."""
        self.branches = self.leaf_pages = self.long_pages = self.entries = self.depth = 0

    def leaves(self) -> Iterator[Leaf]:
        """The leaves that can be read, in key order."""
        root = self.tree.root
        if root == _NO_PAGE:
            return
        waiting: list[tuple[int, int, bytes, bytes | None]] = [(root, 1, b"", None)]
        while waiting:
            page, depth, low, high = waiting.pop()
            try:
                raw = self._page(page, depth)
                if kind_of(raw) == BRANCH:
                    children = self._children(page, raw, low, high)
                    self.branches += 1
                    waiting += [(child, depth + 1, *span) for child, span in reversed(children)]
                    continue
                leaf = self._leaf(page, raw, low, high)
            except DamageError as damage:
                self.lost.append(LostPart(str(damage), low, high))
                continue
            self.leaf_pages += 1
            self.depth = max(self.depth, depth)
            if self._marks[page] & FREE:
                self.doubtful.append(leaf)
            yield leaf

    def differences(self) -> list[str]:
        """The numbers in the tree's record that differ from those of the walk, after its end."""
        tree = self.tree
        kind = [] if self._integers or not tree.flags else [f"its kind is {tree.flags}, not 0"]
        return kind + [
            f"{found:,} {name} were found, {noted:,} are noted"
            for name, found, noted in [
                ("entries", self.entries, tree.entries),
                ("levels", self.depth, tree.depth),
                ("branch pages", self.branches, tree.branches),
                ("leaf pages", self.leaf_pages, tree.leaves),
                ("pages of long values", self.long_pages, tree.long_pages),
            ]
            if found != noted
        ]

    def _page(self, page: int, depth: int) -> bytes:
        if depth > _MAX_DEPTH:
            raise DamageError(f"page {page} is deeper than a tree of LMDB can be")
        if not 2 <= page < len(self._marks):
            raise DamageError(f"there is no page {page}")
        if page in self._refused:
            raise DamageError(self._refused[page])
        return self._file.read(page)

    def _reach(self, page: int) -> None:
        if self._marks[page] & REACHED:
            self._marks[page] |= TWICE
            raise DamageError(f"page {page} is in use twice")
        self._marks[page] |= REACHED

    def _children(
        self, page: int, raw: bytes, low: bytes, high: bytes | None
    ) -> list[tuple[int, tuple[bytes, bytes | None]]]:
        children = self._file.branches(page, raw)
        lows = [low, *(key for key, _ in children[1:])]
        highs = [*lows[1:], high]
        for start, stop in zip(lows, highs, strict=True):
            if stop is not None and self._order(start) >= self._order(stop):
                raise DamageError(f"the keys of branch page {page} are out of order")
        self._reach(page)
        return [
            (child, (start, stop))
            for (_, child), start, stop in zip(children, lows, highs, strict=True)
        ]

    def _leaf(self, page: int, raw: bytes, low: bytes, high: bytes | None) -> Leaf:
        entries, damaged = self._file.entries(page, raw)
        order = self._order
        keys = [order(entry.key) for entry in entries]
        first, last = order(low), None if high is None else order(high)
        if keys and (keys[-1] < first or (last is not None and keys[0] >= last)):
            raise DamageError(f"page {page} has the keys of another place")
        self._reach(page)
        sound = []
        for number, entry in enumerate(entries):
            key = keys[number]
            inside = first <= key and (last is None or key < last)
            # If two keys are out of order, either may be damaged.
            after = number == 0 or keys[number - 1] < key
            before = number + 1 == len(keys) or key < keys[number + 1]
            if not (inside and after and before):
                damaged.append((entry.key, f"the key is out of order on page {page}"))
                continue
            if entry.flags & ~self._flags or (
                entry.flags & TREE and (entry.flags & LONG or entry.size != TREE_SIZE)
            ):
                damaged.append((entry.key, f"the entry on page {page} is of a wrong kind"))
                continue
            if entry.flags & LONG:
                try:
                    self._reach_long(entry)
                except DamageError as damage:
                    damaged.append((entry.key, f"its long value cannot be read: {damage}"))
                    continue
            sound.append(entry)
        self.damaged += damaged
        self.entries += len(sound)
        self.last_key = sound[-1].key if sound else self.last_key
        return Leaf(page, low, high, sound)

    def _reach_long(self, entry: Entry) -> None:
        need, end = self._file.long_pages(entry.size), len(self._marks)
        if not 2 <= entry.page <= end - need:
            raise DamageError(f"there is no page {entry.page}")
        if self._refused:
            for page in range(entry.page, entry.page + need):
                if page in self._refused:
                    raise DamageError(self._refused[page])
        pages = self._file.long_run(entry.page)
        if pages < need or (entry.page + need) * self._file.page_size > self._file.size:
            raise DamageError(f"{pages} pages are too few for {entry.size} bytes")
        self.long_pages += pages
        if self._marks[entry.page] & FREE:
            self.doubtful_long.append((entry.page, pages))
        twice = False
        for page in range(entry.page, entry.page + need):
            twice |= bool(self._marks[page] & REACHED)
            self._marks[page] |= TWICE | REACHED if self._marks[page] & REACHED else REACHED
        # If a transaction writes a value again and shorter, the value keeps all its pages.
        for page in range(entry.page + need, min(entry.page + pages, end)):
            self._marks[page] |= SLACK
        if twice:
            raise DamageError(f"page {entry.page} is in use twice")

    def _order(self, key: bytes) -> bytes:
        """The key as bytes that sort as the keys do."""
        return key[::-1].rjust(8, b"\0") if self._integers and sys.byteorder == "little" else key


def read_free_pages(file: File, meta: Meta, marks: bytearray) -> tuple[Walk, list[str]]:
    """Mark the free pages in `marks`. Gives the walk, and the damage of the list in words."""
    walk = Walk(file, meta.free, marks, transaction_keys=True)
    wrong = []
    for leaf in walk.leaves():
        for entry in leaf.entries:
            name = (
                f"the list of free pages of transaction {int.from_bytes(entry.key, sys.byteorder)}"
            )
            raw = file.value(entry)
            if len(entry.key) != 8 or len(raw) < 8 or len(raw) % 8:
                wrong.append(f"{name} is damaged")
                continue
            count, *pages = struct.unpack(f"={len(raw) // 8}Q", raw)
            # LMDB leaves room behind the numbers of the pages.
            if count > len(pages):
                wrong.append(f"{name} is damaged")
                continue
            last = len(marks)
            for page in pages[:count]:
                if not 2 <= page < last:
                    wrong.append(f"{name} is out of order")
                    break
                if marks[page] & FREE:
                    wrong.append(f"page {page} is free twice")
                marks[page] |= FREE
                last = page
    wrong += [lost.what for lost in walk.lost]
    wrong += [what for _, what in walk.damaged]
    return walk, wrong or walk.differences()
