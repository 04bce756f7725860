"""All trees of one state of an LMDB file: is each page where it should be, and only there?

`check` reports what a survey finds. `salvage` reads what it leaves standing, and where a part of a
tree was lost, the leaves that are neither in a tree nor free any more: those were in that part.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from attrs import evolve

from .pages import LONG, TREE, DamageError, Entry, File, Meta, Tree
from .trees import FREE, REACHED, SLACK, TWICE, Walk, read_free

MAIN = b""
"""The name of the main tree here. No other tree can have it: LMDB has no empty key."""
_SPARE = 1 << 20
"""Pages that may be noted behind the end of the file, since they were never written."""
# 0: an orphan; 1: in use; 2: free; 3: both, which cannot be
_STATE = bytes(bool(mark & (REACHED | SLACK)) + 2 * bool(mark & FREE) for mark in range(256))


class Problem(NamedTuple):
    """Something that is wrong, in words, and with the key of the entry where it is one entry."""

    what: str
    tree: bytes = MAIN
    key: bytes | None = None


class Stray(NamedTuple):
    """A leaf that no tree leads to: its page, its first and last key, how many entries it has."""

    page: int
    first: bytes
    last: bytes
    entries: int


class Survey:
    """What is in a state of a file. Takes a byte of memory for each page."""

    def __init__(
        self, file: File, meta: Meta, *, main: Tree | None = None, whole: bool = False
    ) -> None:
        """`main` is in place of the main tree that the meta page names.

        With `whole` all pages of the file may be in use, whatever the meta page says.
        """
        self._file = file
        self._meta = meta
        self.marks = bytearray(
            max(file.size // file.page_size, 2) if whole else page_count(file, meta)
        )
        self.marks[0] = self.marks[1] = REACHED
        free, self.free_problems = read_free(file, meta, self.marks)
        self.last_freed = int.from_bytes(free.last_key, sys.byteorder)
        """The last transaction that the list of free pages knows of."""
        self.main = main or meta.main
        self.trees: dict[bytes, Tree] = {}
        self.plain_entries = 0
        """Entries of the main tree that are values: only stones 0.3 has them."""
        self.walks: dict[bytes, Walk] = {MAIN: self._main_walk()}
        for name, tree in self.trees.items():
            walk = self.walks[name] = Walk(file, tree, self.marks)
            for _ in walk.leaves():
                pass
        self.refused: dict[int, str] = {}
        """Pages that are not to be believed, with the reason."""
        twice = self.marks.translate(bytes(mark & TWICE for mark in range(256)))
        page = twice.find(TWICE)
        while page >= 0:
            self.refused[page] = f"page {page} is in use twice"
            page = twice.find(TWICE, page + 1)

    def _main_walk(self) -> Walk:
        walk = Walk(self._file, self.main, self.marks, named=True)
        for leaf in walk.leaves():
            for entry in leaf.entries:
                if entry.flags & TREE:
                    self.trees[entry.key] = Tree.parsed(entry.value)
                else:
                    self.plain_entries += 1
        return walk

    def walk(self, name: bytes) -> Walk:
        """Goes through a tree once more, without the pages refused."""
        tree = self.main if name == MAIN else self.trees[name]
        marks = bytearray(len(self.marks))
        return Walk(self._file, tree, marks, named=name == MAIN, refused=self.refused)

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the structure of the file."""
        for what in self.free_problems:
            yield Problem(f"free pages: {what}")
        if self.last_freed > self._meta.txnid:
            yield Problem(misnumbered(self._meta))
        for name, walk in self.walks.items():
            title = space_title(name)
            for lost in walk.lost:
                yield Problem(f"{title}: {lost.what}: {describe_span(lost.low, lost.high)}", name)
            for key, what in walk.damaged:
                yield Problem(f"{title}: {what}", name, key)
            if not walk.lost and not walk.damaged:
                for what in walk.differences():
                    yield Problem(f"{title}: {what}", name)
        states = self.marks.translate(_STATE)
        both, neither = states.count(3), states.count(0)
        if both:
            yield Problem(
                f"pages in use that are listed as free: {both}, page {states.find(3)} first"
            )
        # Where a part of a tree or a long value is lost, its pages are among these.
        incomplete = any(walk.lost or walk.damaged for walk in self.walks.values())
        if neither and not incomplete and not self.free_problems:
            yield Problem(
                f"pages that are neither in use nor free: {neither}, page {states.find(0)} first"
            )

    # -- what no tree leads to ---------------------------------------------------------------------

    def orphans(self) -> list[int]:
        """The pages that are neither in a tree nor free, but for the later ones of long values."""
        states = self.marks.translate(_STATE)
        found = []
        page = states.find(0)
        while page >= 0:
            found.append(page)
            try:
                after = page + max(self._file.long_run(page), 1)
            except DamageError:
                after = page + 1
            page = states.find(0, after)
        return found

    def distrust(self) -> None:
        """Refuse what may be an old copy: leaves and long values that are also listed as free.

        Either the list is wrong, or the number of the page in the tree. In the second case the
        right one is an orphan; where there is none that could stand there, the tree is right.
        """
        if 3 not in self.marks.translate(_STATE):
            return
        keys, runs = [], set()
        for page in self.orphans():
            with suppress(DamageError):
                entries, _ = self._file.entries(page, self._file.read(page))
                keys += [entry.key for entry in entries]
            with suppress(DamageError):
                runs.add(self._file.long_run(page))
        for name, walk in self.walks.items():
            for leaf in walk.doubtful if name != MAIN else []:
                if any(_lies_in(key, leaf.low, leaf.high) for key in keys):
                    self.refused[leaf.page] = f"page {leaf.page} may be an old copy"
            for page, count in walk.doubtful_long:
                if count in runs:
                    self.refused[page] = f"page {page} may be an old copy"

    def other_main(self, names: Sequence[bytes]) -> Tree | None:
        """A main tree with these trees in it that nothing leads to, where the own one is in doubt:
        it cannot be read, or its page is listed as free."""
        walk = self.walks[MAIN]
        if self.free_problems or not (walk.lost or walk.doubtful):
            return None
        found = []
        for page in self.orphans():
            entries = self._sound_leaf(page, TREE)
            if entries and all(entry.flags & TREE and entry.key in names for entry in entries):
                found.append((page, len(entries)))
        if len(found) != 1:
            return None
        page, count = found[0]
        return evolve(self.main, root=page, depth=1, branches=0, leaves=1, entries=count)

    def strays(self, names: Sequence[bytes]) -> Mapping[bytes, list[Stray]]:
        """Leaves that were in the lost parts of these trees, by tree.

        A stale leaf must never be among them. So the list of free pages has to be without fault,
        the keys have to lie in a lost part of just one of the trees, leaves must not overlap, and
        a tree must not get more entries than it says that it has.
        """
        lost = {name: self._lost(name) for name in names}
        if not any(lost.values()) or self.free_problems:
            return {}
        if 3 in self.marks.translate(_STATE):
            return {}
        found: dict[bytes, list[Stray]] = {name: [] for name in names}
        for page in self.orphans():
            entries = self._sound_leaf(page)
            if not entries:
                continue
            first, last = entries[0].key, entries[-1].key
            owners = [
                name
                for name, spans in lost.items()
                if any(_lies_in(first, *span) and _lies_in(last, *span) for span in spans)
            ]
            if len(owners) == 1:
                found[owners[0]].append(Stray(page, first, last, len(entries)))
        return {name: self._fitting(name, strays) for name, strays in found.items()}

    def stray_entries(self, stray: Stray) -> list[Entry]:
        """The entries of a stray leaf."""
        return self._sound_leaf(stray.page)

    def _lost(self, name: bytes) -> list[tuple[bytes, bytes | None]]:
        if name not in self.trees:
            return [(b"", None)]
        walk = self.walks[name]
        if walk.lost:
            return [(lost.low, lost.high) for lost in walk.lost]
        return [(b"", None)] if self._missing(name) > 0 else []

    def _missing(self, name: bytes) -> int:
        walk = self.walks[name]
        return walk.tree.entries - walk.entries - len(walk.damaged)

    def _fitting(self, name: bytes, strays: list[Stray]) -> list[Stray]:
        strays.sort(key=lambda stray: stray.first)
        overlapping = {
            stray.page
            for pair in pairwise(strays)
            if pair[0].last >= pair[1].first
            for stray in pair
        }
        apart = [stray for stray in strays if stray.page not in overlapping]
        if name in self.trees and sum(stray.entries for stray in apart) > self._missing(name):
            return []
        return apart

    def _sound_leaf(self, page: int, flags: int = LONG) -> list[Entry]:
        """The entries of a leaf, if it has no fault at all; else none."""
        try:
            raw = self._file.read(page)
            entries, damaged = self._file.entries(page, raw)
            for entry in entries:
                if entry.flags & LONG and (
                    not 2 <= entry.page <= len(self.marks) - self._file.long_pages(entry.size)
                    or self._file.long_run(entry.page) < self._file.long_pages(entry.size)
                    or self.marks[entry.page] & (REACHED | FREE)
                ):
                    return []
        except DamageError:
            return []
        keys = [entry.key for entry in entries]
        sorted_once = all(a < b for a, b in pairwise(keys))
        sound = not damaged and sorted_once and all(not e.flags & ~flags for e in entries)
        return entries if sound else []


def _lies_in(key: bytes, low: bytes, high: bytes | None) -> bool:
    return low <= key and (high is None or key < high)


def page_count(file: File, meta: Meta) -> int:
    """How many pages a state has: what its meta page says, as far as that can be."""
    in_file = file.size // meta.page_size
    return max(min(meta.last_page + 1, in_file + max(in_file, _SPARE)), 2)


def misnumbered(meta: Meta) -> str:
    """What is wrong where the list of free pages knows of later transactions than its meta page."""
    slot = int.from_bytes(meta.raw[:8], sys.byteorder)
    return f"meta page {slot} has the number {meta.txnid}, but is of a later transaction"


def space_title(name: bytes) -> str:
    """A tree for a message."""
    return "the main tree" if name == MAIN else name.decode("utf-8", "backslashreplace")


def describe_span(low: bytes, high: bytes | None) -> str:
    """A span of keys for a message."""
    if not low and high is None:
        return "all keys"
    if high is None:
        return f"the keys from {low!r} on"
    if not low:
        return f"the keys before {high!r}"
    return f"the keys from {low!r} on, before {high!r}"
