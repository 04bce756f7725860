"""Goes through the values of a store, and compares them with what is derived from them.

That is the number of records of each collection, and the entries of the indexes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from stones.errors import FormatMismatchError
from stones.formats.messages import show_count
from stones.stores.sorted_entries import Pair, SortedEntries

from .contents import COUNT, StoredMetadata
from .findings import DamageFinding
from .index_check import LOST, IndexComparison, IndexReport

_PLURALS = {"record": "records", "entry": "entries"}


class ValueCheck:
    """Iterates over the damage of the values, of the counts, and of the indexes.

    The other attributes are for the report, after the iteration.
    """

    def __init__(
        self,
        metadata: StoredMetadata,
        entries: Iterable[Pair],
        index_entries: Iterable[Pair],
        *,
        is_lost: Callable[[], bool],
    ) -> None:
        """Both kinds of entries are read in key order, once, the entries of indexes last.

        `is_lost` tells afterwards whether parts of them could not be read.
        """
        self._metadata = metadata
        self._entries = entries
        self._index_entries = index_entries
        self._is_lost = is_lost
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
        with SortedEntries() as expected:
            indexes = IndexComparison(metadata.indexes, metadata.claims, expected)
            yield from self._values(indexes)
            if self._is_lost():
                indexes.give_up(LOST)
            yield from indexes.differences(self._read_index(indexes))
        self.indexes, self.orphans = indexes.reports(), indexes.orphans
        self.wrong_indexes = indexes.wrong

    def _read_index(self, indexes: IndexComparison) -> Iterator[Pair]:
        yield from self._index_entries
        if self._is_lost():  # so what comes after the last entry is not missing
            indexes.give_up(LOST)

    def _values(self, indexes: IndexComparison) -> Iterator[DamageFinding]:
        metadata = self._metadata
        records = Counter[bytes | None]()
        for key, raw in self._entries:
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
                what, noun = f"the collection {name!r}", "record"
                if collection in metadata.namespaces:
                    what, noun = f"the namespace '{name}/'", "entry"
                found = show_count(records[collection], noun, _PLURALS[noun])
                yield DamageFinding(
                    f"{what} has {found}, but its count is {count:.40}",
                    collection + b"/",
                    repairable=True,
                )
