"""Read transactions before the named databases are open: they read the pages of the file.

LMDB opens a named database only for whoever has the lock of the writers, and reading must not wait
for that. A process that opens a store while another one writes reads in this way, until the other
transaction has ended. It takes some ten times as long.

A read transaction of LMDB keeps the pages of its snapshot as they are. The main tree of the
snapshot, which LMDB has open at any time, says where the trees of the named databases begin.
"""

from collections.abc import Callable, Iterator
from typing import Any
from weakref import finalize

import lmdb

from stones.engine import Space, Transaction
from stones.engines.lmdb.file.pages import (
    BRANCH,
    TREE,
    TREE_SIZE,
    DamageError,
    File,
    Meta,
    Tree,
    kind_of,
)
from stones.errors import StorageError

from .databases import SPACES
from .transaction import LmdbTransaction

_NO_PAGE = (1 << 64) - 1
_MAX_DEPTH = 32
_TRIES = 100


class PageTransaction(LmdbTransaction):
    """A read transaction that reads the named databases of its snapshot page by page."""

    __slots__ = ("_finalize", "_meta", "_pages", "_trees")

    # Entry by entry, through `_walk` and `get`.
    pages = Transaction.pages
    get_many = Transaction.get_many

    _pages: File
    _meta: Meta
    _trees: tuple[Tree | None, ...]

    def start(self, environment: Callable[[], lmdb.Environment]) -> None:
        """Begin. Raises lmdb.Error, and StorageError if the pages cannot be read."""
        file = self._file
        for _ in range(_TRIES):
            super().start(environment)
            try:
                if self._find_pages():
                    return
            except BaseException as error:
                self.abort()
                if isinstance(error, DamageError | OSError) and not isinstance(error, StorageError):
                    raise StorageError(f"cannot read {file.path!r}: {error}") from error
                raise
            self.let_go()
        raise StorageError(f"cannot read {file.path!r}: others write to it without a pause")

    def let_go(self) -> None:
        super().let_go()
        if hasattr(self, "_finalize"):
            self._finalize()

    def get(self, space: Space, key: bytes) -> bytes | None:
        found: tuple[bytes, bytes] | None = next(
            self._walk(space, key, key + b"\0", False, True), None
        )
        return None if found is None else found[1]

    def count(self, space: Space) -> int:
        self.id()  # raises if the transaction has ended
        if self._file.closed:
            raise self._file.closed_error()
        tree = self._trees[space]
        return 0 if tree is None else tree.entries

    def used_size(self) -> int:
        trees = (self._meta.main, *(tree for tree in self._trees if tree is not None))
        pages = sum(tree.branches + tree.leaves + tree.long_pages for tree in trees)
        return (pages + 2) * self._meta.page_size

    def _find_pages(self) -> bool:
        """Find the trees of the snapshot. False if others have replaced its meta page."""
        file = self._file
        pages = File(file.path + "/data.mdb")
        self._finalize = finalize(self, pages.close)
        if not file.place.holds_data():
            raise StorageError(
                f"cannot read {file.path!r}: it was moved or replaced since it was opened, by a "
                "program that writes to it; open it where it is now"
            )
        number = self.id()
        meta = next((meta for meta in pages.metas()[0] if meta.txnid == number), None)
        if meta is None:
            return False
        self._pages, self._meta = pages, meta
        ours = self.raw.get(SPACES[Space.META], db=file.main) is not None
        names = SPACES if ours else (file.table, None, None)
        self._trees = tuple(self._tree(name) for name in names)
        return True

    def _tree(self, name: bytes | None) -> Tree | None:
        if name is None:
            return None
        for _, raw in self._entries(self._meta.main.root, name, name + b"\0", False, TREE):
            return Tree.parse(raw)
        raise DamageError(f"it has no database {name!r}")

    def _walk(
        self, space: Space, start: bytes, stop: bytes | None, reverse: bool, values: bool
    ) -> Iterator[Any]:
        self.id()  # raises if the transaction has ended
        tree = self._trees[space]
        return self._checked(
            iter(()) if tree is None else self._entries(tree.root, start, stop, reverse, 0), values
        )

    def _checked(self, entries: Iterator[tuple[bytes, bytes]], values: bool) -> Iterator[Any]:
        while True:
            self.id()
            if self._file.closed:
                raise self._file.closed_error()
            try:
                entry = next(entries, None)
            except (DamageError, OSError) as error:
                raise StorageError(f"cannot read {self._file.path!r}: {error}") from error
            if entry is None:
                return
            yield entry if values else entry[0]

    def _entries(
        self, page: int, start: bytes, stop: bytes | None, reverse: bool, flags: int, depth: int = 1
    ) -> Iterator[tuple[bytes, bytes]]:
        """The entries below a page with start <= key < stop, in order, or in reverse."""
        if page == _NO_PAGE:
            return
        if depth > _MAX_DEPTH or page < 2:
            raise DamageError(f"page {page} cannot be part of a tree")
        pages = self._pages
        raw = pages.read(page)
        if kind_of(raw) == BRANCH:
            children = pages.branches(page, raw)
            lows = [b"", *(key for key, _ in children[1:])]
            spans = list(
                zip(lows, [*lows[1:], None], (child for _, child in children), strict=True)
            )
            for low, high, child in reversed(spans) if reverse else spans:
                if (stop is None or low < stop) and (high is None or high > start):
                    yield from self._entries(child, start, stop, reverse, flags, depth + 1)
            return
        sound, damaged = pages.entries(page, raw)
        if damaged:
            raise DamageError(damaged[0][1])
        for entry in reversed(sound) if reverse else sound:
            if entry.key < start or (stop is not None and entry.key >= stop):
                continue
            if entry.flags & TREE != flags or (flags and entry.size != TREE_SIZE):
                raise DamageError(f"the entry {entry.key!r} is of a wrong kind")
            yield entry.key, pages.value(entry)
