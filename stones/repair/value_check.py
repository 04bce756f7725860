"""Goes through the values of a store, and compares them with what is derived from them.

That is the number of records of each collection, and the entries of the indexes.
"""

from collections import Counter
from collections.abc import Iterator

from stones.engine import Space
from stones.engines.lmdb.databases import SPACES
from stones.engines.lmdb.file.pages import File
from stones.engines.lmdb.file.survey import Survey
from stones.errors import FormatMismatchError
from stones.formats.messages import show_count

from .contents import COUNT, DATA, StoredMetadata, tree_entries
from .findings import DamageFinding
from .index_check import IndexComparison, IndexReport
from .sorted_entries import SortedEntries

INDEX = SPACES[Space.INDEX]


class ValueCheck:
    """Iterates over the damage of the values, of the counts, and of the indexes.

    The other attributes are for the report, after the iteration.
    """

    def __init__(
        self, file: File, survey: Survey, tree: bytes, metadata: StoredMetadata | None
    ) -> None:
        self._file = file
        self._survey = survey
        self._tree = tree
        self._metadata = metadata
        self.entries = self.unread = 0
        self.indexes: tuple[IndexReport, ...] = ()
        self.wrong_counts: set[bytes] = set()
        """The collections whose number of records is not the stored one."""
        self.wrong_indexes: set[tuple[str, str]] = set()
        """The collection and the name of each index that differs from the records."""
        self.orphans: frozenset[bytes] = frozenset()
        """The beginnings of entries that belong to no index."""

    def __iter__(self) -> Iterator[DamageFinding]:
        metadata = self._metadata
        if metadata is None:
            return
        with SortedEntries() as expected:
            lost = any(map(self._is_lost, (DATA, INDEX)))
            indexes = IndexComparison(metadata.indexes, metadata.claims, expected, lost=lost)
            yield from self._values(metadata, indexes)
            yield from indexes.differences(tree_entries(self._file, self._survey, INDEX))
        self.indexes, self.orphans = indexes.reports(), indexes.orphans
        self.wrong_indexes = indexes.wrong

    def _values(
        self, metadata: StoredMetadata, indexes: IndexComparison
    ) -> Iterator[DamageFinding]:
        records = Counter[bytes | None]()
        for key, raw in tree_entries(self._file, self._survey, self._tree):
            self.entries += 1
            owner = metadata.owner(key)
            records[owner] += 1
            try:
                value, problem = metadata.read(key, raw)
            except FormatMismatchError:
                self.unread += 1
                if owner is not None:
                    indexes.add_unread(owner)
                continue
            if owner is not None:
                inside = key[len(owner) + 1 :]
                if problem is None:
                    indexes.add_record(owner, inside, value)
                else:
                    indexes.add_damaged(owner, inside)
            if problem is not None:
                yield DamageFinding(problem, key)
        for collection, stored in metadata.counts():
            if b"%d" % records[collection] != stored:
                name, count = (raw.decode(errors="replace") for raw in (collection, stored))
                self.wrong_counts.add(COUNT + collection)
                yield DamageFinding(
                    f"the collection {name!r} has {show_count(records[collection], 'record')}, "
                    f"but its count is {count:.40}",
                    collection + b"/",
                    repairable=True,
                )

    def _is_lost(self, tree: bytes) -> bool:
        """Whether a part of a tree cannot be read."""
        walk = self._survey.walks.get(tree)
        return walk is None or bool(walk.lost or walk.damaged)
