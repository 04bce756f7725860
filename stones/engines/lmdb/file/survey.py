"""All trees of one state of an LMDB file: whether each page is in its place, and only there.

`check` reports the problems that a survey finds. `salvage` reads the trees. If a part of a tree is
lost, it also reads the orphan leaves, which are neither in a tree nor free: they were in that part.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from attrs import evolve

from .pages import LONG, TREE, DamageError, Entry, File, Meta, Tree
from .trees import FREE, REACHED, SLACK, TWICE, Walk, read_free_pages

MAIN = b""
"""The name of the main tree here. No other tree can have it: LMDB has no empty key."""
_SPARE = 1 << 20
"""How many pages behind the end of the file may be free: LMDB never wrote them."""
# The state of a page, by its marks: bit 0 is set if it is in use, bit 1 if it is free. A page that
# is both is damage.
_ORPHAN, _IN_USE_AND_FREE = 0, 3
_STATE = bytes(bool(mark & (REACHED | SLACK)) + 2 * bool(mark & FREE) for mark in range(256))


class Problem(NamedTuple):
    """A damage in words, its tree, and the key of the entry if it is in one entry."""

    what: str
    tree: bytes = MAIN
    key: bytes | None = None


class OrphanLeaf(NamedTuple):
    """A leaf that no tree leads to: its page, its first and last key, its number of entries."""

    page: int
    first: bytes
    last: bytes
    entries: int


class Survey:
    """The trees and pages of one state of a file. It takes a byte of memory for each page."""

    def __init__(
        self, file: File, meta: Meta, *, main: Tree | None = None, whole: bool = False
    ) -> None:
        """If `main` is given, it stands for the main tree that the meta page names.

        With `whole` each page of the file may be in use. Without it only the pages up to the last
        one that the meta page names may be.
        """
        self._file = file
        self._meta = meta
        self.marks = bytearray(
            max(file.size // file.page_size, 2) if whole else page_count(file, meta)
        )
        self.marks[0] = self.marks[1] = REACHED
        free, self.free_problems = read_free_pages(file, meta, self.marks)
        self.last_freed = int.from_bytes(free.last_key, sys.byteorder)
        """The last transaction in the list of free pages."""
        self.main = main or meta.main
        self.trees: dict[bytes, Tree] = {}
        self.plain_entries = 0
        """How many entries of the main tree are values. Only stones 0.3 writes such entries."""
        self.walks: dict[bytes, Walk] = {MAIN: self._main_walk()}
        for name, tree in self.trees.items():
            walk = self.walks[name] = Walk(file, tree, self.marks)
            for _ in walk.leaves():
                pass
        self.refused: dict[int, str] = {}
        """Pages that `walk` does not read, with the reason."""
        twice = self.marks.translate(bytes(mark & TWICE for mark in range(256)))
        page = twice.find(TWICE)
        while page >= 0:
            self.refused[page] = f"page {page} is in use twice"
            page = twice.find(TWICE, page + 1)

    def _main_walk(self) -> Walk:
        walk = Walk(self._file, self.main, self.marks, subtrees=True)
        for leaf in walk.leaves():
            for entry in leaf.entries:
                if entry.flags & TREE:
                    self.trees[entry.key] = Tree.parse(entry.value)
                else:
                    self.plain_entries += 1
        return walk

    def walk(self, name: bytes) -> Walk:
        """A new walk through a tree, without the pages in `refused`."""
        tree = self.main if name == MAIN else self.trees[name]
        marks = bytearray(len(self.marks))
        return Walk(self._file, tree, marks, subtrees=name == MAIN, refused=self.refused)

    def problems(self) -> Iterator[Problem]:
        """The damage in the structure of the file."""
        for what in self.free_problems:
            yield Problem(f"free pages: {what}")
        if self.last_freed > self._meta.txnid:
            yield Problem(wrong_number_text(self._meta))
        for name, walk in self.walks.items():
            title = tree_title(name)
            for lost in walk.lost:
                yield Problem(f"{title}: {lost.what}: {describe_span(lost.low, lost.high)}", name)
            for key, what in walk.damaged:
                yield Problem(f"{title}: {what}", name, key)
            if not walk.lost and not walk.damaged:
                for what in walk.differences():
                    yield Problem(f"{title}: {what}", name)
        states = self.marks.translate(_STATE)
        both, neither = states.count(_IN_USE_AND_FREE), states.count(_ORPHAN)
        if both:
            yield Problem(
                f"pages in use that are listed as free: {both}, page "
                f"{states.find(_IN_USE_AND_FREE)} first"
            )
        # If a part of a tree or a long value is lost, its pages are orphans, and are no damage.
        incomplete = any(walk.lost or walk.damaged for walk in self.walks.values())
        if neither and not incomplete and not self.free_problems:
            yield Problem(
                f"pages that are neither in use nor free: {neither}, page "
                f"{states.find(_ORPHAN)} first"
            )

    # -- orphan pages ------------------------------------------------------------------------------

    def orphans(self) -> list[int]:
        """The pages that are neither in a tree nor free. Of a long value only the first page."""
        states = self.marks.translate(_STATE)
        found = []
        page = states.find(_ORPHAN)
        while page >= 0:
            found.append(page)
            try:
                after = page + max(self._file.long_run(page), 1)
            except DamageError:
                after = page + 1
            page = states.find(_ORPHAN, after)
        return found

    def distrust(self) -> None:
        """Refuse leaves and long values that may be old copies: they are also listed as free.

        Either the list is wrong, or the tree leads to a wrong page. If the tree is wrong, the right
        page is an orphan. If no orphan could be in that place, the tree is right.
        """
        if _IN_USE_AND_FREE not in self.marks.translate(_STATE):
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
        """A main tree among the orphan pages, if the main tree is in doubt, or None.

        The main tree is in doubt if it cannot be read, or if its page is listed as free. An orphan
        leaf can stand for it if each of its entries is one of the trees `names`.
        """
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

    def orphan_leaves(self, names: Sequence[bytes]) -> Mapping[bytes, list[OrphanLeaf]]:
        """The orphan leaves that were in the lost parts of these trees, by tree.

        An old copy of a leaf must never be among them. So there are conditions:

        - The list of free pages has no damage.
        - The keys of the leaf are in a lost part of exactly one of the trees.
        - No two of the leaves overlap.
        - A tree does not get more entries than its record says.
        """
        lost = {name: self._lost_spans(name) for name in names}
        if not any(lost.values()) or self.free_problems:
            return {}
        if _IN_USE_AND_FREE in self.marks.translate(_STATE):
            return {}
        found: dict[bytes, list[OrphanLeaf]] = {name: [] for name in names}
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
                found[owners[0]].append(OrphanLeaf(page, first, last, len(entries)))
        return {name: self._fitting(name, leaves) for name, leaves in found.items()}

    def orphan_entries(self, orphan: OrphanLeaf) -> list[Entry]:
        """The entries of an orphan leaf."""
        return self._sound_leaf(orphan.page)

    def _lost_spans(self, name: bytes) -> list[tuple[bytes, bytes | None]]:
        """The spans of the lost parts of a tree: from the first key on, before the second."""
        if name not in self.trees:
            return [(b"", None)]
        walk = self.walks[name]
        if walk.lost:
            return [(lost.low, lost.high) for lost in walk.lost]
        return [(b"", None)] if self._missing(name) > 0 else []

    def _missing(self, name: bytes) -> int:
        """How many entries of a tree are in its lost parts, by its record."""
        walk = self.walks[name]
        return walk.tree.entries - walk.entries - len(walk.damaged)

    def _fitting(self, name: bytes, leaves: list[OrphanLeaf]) -> list[OrphanLeaf]:
        """The leaves that overlap no other one, unless they have too many entries for the tree."""
        leaves.sort(key=lambda leaf: leaf.first)
        overlapping = {
            leaf.page for pair in pairwise(leaves) if pair[0].last >= pair[1].first for leaf in pair
        }
        apart = [leaf for leaf in leaves if leaf.page not in overlapping]
        if name in self.trees and sum(leaf.entries for leaf in apart) > self._missing(name):
            return []
        return apart

    def _sound_leaf(self, page: int, flags: int = LONG) -> list[Entry]:
        """The entries of a leaf without any damage. For any other page, an empty list."""
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
    """How many pages a state has: the number in its meta page, within what is possible."""
    in_file = file.size // meta.page_size
    return max(min(meta.last_page + 1, in_file + max(in_file, _SPARE)), 2)


def wrong_number_text(meta: Meta) -> str:
    """The damage if the list of free pages has later transactions than its meta page, in words."""
    slot = int.from_bytes(meta.raw[:8], sys.byteorder)
    return f"meta page {slot} has the number {meta.txnid}, but is of a later transaction"


def tree_title(name: bytes) -> str:
    """The name of a tree, for a message."""
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
