"""Where two states of an LMDB file differ: the spans of keys below pages that are not the same.

LMDB never changes a page that an open read transaction can see: it writes another page, and another
one for each branch above. So two states with the same page have the same entries there. Both trees
are walked down from their roots, and only below branches that differ.
"""

import os
from collections.abc import Iterator
from contextlib import closing

from stones.engine import Space
from stones.engines.compared_states import KeySpan
from stones.engines.lmdb.file.pages import BRANCH, TREE_SIZE, DamageError, File, Tree, kind_of

from .databases import SPACES
from .open_file import OpenFile
from .transaction import LmdbTransaction

_NO_PAGE = (1 << 64) - 1
_Child = tuple[bytes, bytes | None, int]
"""The span of the keys below a page, and the number of the page."""


def changed_spans(
    file: OpenFile, old: LmdbTransaction, new: LmdbTransaction, space: Space
) -> list[KeySpan] | None:
    """The spans of keys in which two states may differ, in order. None if the file cannot tell.

    Both transactions are of the environment in `file`. O(pages that differ).
    """
    trees = [_tree(file, txn, space) for txn in (old, new)]
    before, after = trees
    if before is None or after is None or not file.place.holds_data():
        return None
    if before.root == after.root:
        return []
    if _NO_PAGE in (before.root, after.root) or before.depth != after.depth:
        return [(b"", None)]
    try:
        with closing(File(os.path.join(file.path, "data.mdb"))) as pages:
            pages.metas()
            return _joined(_differing(pages, (b"", None, before.root), (b"", None, after.root)))
    except (DamageError, OSError):  # whoever reads the entries meets it too
        return None


def _tree(file: OpenFile, txn: LmdbTransaction, space: Space) -> Tree | None:
    raw = txn.raw.get(SPACES[space], db=file.main)
    return Tree.parse(raw) if raw is not None and len(raw) == TREE_SIZE else None


def _differing(pages: File, old: _Child, new: _Child) -> Iterator[KeySpan]:
    """The spans below two pages with the same span. The pages differ."""
    befores, afters = _children(pages, old), _children(pages, new)
    if befores is None or afters is None:
        yield new[:2]
        return
    earlier = {child[:2]: child for child in befores}
    for child in afters:
        before = earlier.get(child[:2])
        if before is None:  # a page was split, or two were joined
            yield child[:2]
        elif before[2] != child[2]:
            yield from _differing(pages, before, child)


def _children(pages: File, parent: _Child) -> list[_Child] | None:
    """The children of a branch, with their spans. None for a leaf."""
    low, high, page = parent
    raw = pages.read(page)
    if kind_of(raw) != BRANCH:
        return None
    found = pages.branches(page, raw)
    lows = [low, *(key for key, _ in found[1:])]
    highs: list[bytes | None] = [*lows[1:], high]
    return list(zip(lows, highs, (child for _, child in found), strict=True))


def _joined(spans: Iterator[KeySpan]) -> list[KeySpan]:
    """The spans, with neighbours as one."""
    joined: list[KeySpan] = []
    for low, high in spans:
        if joined and joined[-1][1] == low:
            joined[-1] = joined[-1][0], high
        else:
            joined.append((low, high))
    return joined
