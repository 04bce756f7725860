"""The entries in an LMDB file, read from its pages without LMDB, for `check` and `salvage`."""

from collections.abc import Iterator

from stones.engine import Space
from stones.engines.lmdb.databases import SPACES
from stones.engines.lmdb.file.pages import TREE, File
from stones.engines.lmdb.file.survey import MAIN, Problem, Survey
from stones.engines.lmdb.file.trees import Walk

from .findings import DamageFinding

DATA, INDEX, META = (SPACES[space] for space in (Space.DATA, Space.INDEX, Space.META))
"""The names of the trees of a store."""


def is_stones03(survey: Survey) -> bool:
    """Whether the file is a database of stones 0.3: it has entries, but none of today's trees."""
    return not any(name in survey.trees for name in SPACES) and bool(
        survey.plain_entries or survey.trees
    )


def tree_entries(file: File, survey: Survey, tree: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and stored values of a tree that can be read, in key order."""
    if tree == MAIN or tree in survey.trees:
        yield from walk_entries(file, survey.walk(tree))


def walk_entries(file: File, walk: Walk) -> Iterator[tuple[bytes, bytes]]:
    """The keys and stored values that a walk reaches, without the entries that are trees."""
    for leaf in walk.leaves():
        for entry in leaf.entries:
            if not entry.flags & TREE:
                yield entry.key, file.value(entry)


def finding_of(problem: Problem) -> DamageFinding:
    """The finding for a problem that a survey found."""
    return DamageFinding(problem.what, problem.key)
