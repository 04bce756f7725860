"""How full the pages of a file are, from a sample of them.

A backup asks it. If nearly all pages are full, LMDB's own copy is small enough, and takes a quarter
of the time: LMDB copies pages, and does not look at each entry.
"""

from collections.abc import Iterator

from .pages import BRANCH, LEAF, TREE, DamageError, File, Meta, Tree, free_bytes, kind_of

SAMPLE = 300
"""Leaves that are looked at in each tree."""
_FEW = 5_000
"""Pages. To write the entries of so many anew takes a tenth of a second."""
_DEPTH = 64


def is_dense(file: File, meta: Meta, most_wasted: float = 0.07) -> bool:
    """Whether a copy of the pages in use is as small as one of the entries, nearly.

    At most the part `most_wasted` of the pages in use is free. With entries of 120 bytes, a new
    store that was filled in key order has 0.06 free: an entry more has no place in a leaf.

    A small file is not called dense, nor a file whose long values take much of it: LMDB takes
    longer for those. Nor is a damaged one.
    """
    try:
        trees = [meta.main, *_trees_in(file, meta.main)]
        pages = sum(tree.branches + tree.leaves + tree.long_pages for tree in trees)
        long_pages = sum(tree.long_pages for tree in trees)
        if pages < _FEW or 10 * long_pages > pages:
            return False
        large = [tree for tree in trees if tree.leaves > 1]
        wasted = sum(tree.leaves * (1 - leaf_fill(file, tree)) for tree in large)
    except DamageError:
        return False
    return wasted <= most_wasted * pages


def leaf_fill(file: File, tree: Tree, sample: int = SAMPLE) -> float:
    """The part of the space of a tree's leaves that is in use: from 0 to 1. Raises DamageError."""
    used = weights = 0.0
    for number in range(sample):
        free, weight = _descend(file, tree.root, (number + 0.5) / sample)
        used += weight * (1 - free)
        weights += weight
    return used / weights


def _descend(file: File, page: int, place: float) -> tuple[float, float]:
    """The free part of the leaf at `place` in its tree, from 0 to 1, and the weight of the leaf.

    Branches have different numbers of children. So a leaf below large branches is met less often
    than a leaf below small ones; its weight makes up for that.
    """
    weight = 1.0
    for _ in range(_DEPTH):
        raw = file.read(page)
        if kind_of(raw) == LEAF:
            return free_bytes(raw) / file.page_size, weight
        if kind_of(raw) != BRANCH:
            break
        children = file.branches(page, raw)
        number = int(place * len(children))
        place = place * len(children) - number
        weight *= len(children)
        page = children[number][1]
    raise DamageError(f"page {page} is not in its tree")


def _trees_in(file: File, main: Tree) -> Iterator[Tree]:
    """The named trees, if the main tree has only a few entries. Raises DamageError."""
    if main.depth != 1:
        return
    for entry in file.entries(main.root, file.read(main.root))[0]:
        if entry.flags & TREE:
            yield Tree.parse(entry.value)
