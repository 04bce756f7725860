"""Compares the entries of all indexes with all records, both ways, in bounded memory.

The records come first, in the order of their keys. The entries that they must have are sorted, with
a temporary file if there are many. Then the entries of the store come, sorted as they are. So the
two are compared side by side, and nothing is looked up: `check` reads an LMDB file without LMDB,
page by page, and an engine on a network in large pages.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import define, field, frozen

from stones.collections.indexes.definition import IndexDefinition, State
from stones.collections.indexes.entries import parse
from stones.collections.indexes.maintenance import RecordIndexes
from stones.collections.keys import KeyCodec
from stones.errors import CorruptValueError
from stones.formats.messages import show, show_count
from stones.formats.registered_types import UnknownTypeError, known
from stones.stores.sorted_entries import Pair, SortedEntries

from .findings import DamageFinding
from .index_metadata import IndexMetadata

MOST_DAMAGED = 10_000
"""So many keys of damaged records of a collection are remembered."""
PICKLED = (
    "its records were not decoded: they are pickles or encrypted, or their serializer is not known"
)
LOST = "parts of the store cannot be read"


@frozen
class IndexReport:
    """What `check` has found out about one index."""

    collection: str
    """The name of the collection."""
    name: str
    """The name of the index: 'age', 'country,age'."""
    state: State
    """`ready`, `building` until each record is in it, or `failed`."""
    entries: int
    """How many entries it has."""
    problem: str = ""
    """Why it has failed: which two records have the same values."""
    unchecked: str | None = None
    """Why its entries were not compared with the records. None if they were."""


@define
class _Collection:
    """The indexes of one collection, and what stands in the way of comparing them."""

    name: bytes
    keys: KeyCodec[Any]
    indexes: RecordIndexes
    unchecked: str | None = None
    damaged: set[bytes] = field(factory=set)
    """The keys of records that cannot be read. Whatever entries they have is right."""
    has_unknown_types: bool = False

    def why_unchecked(self, index: IndexDefinition) -> str | None:
        if self.unchecked is None and self.has_unknown_types and index.where is not None:
            return "its condition may look at values of types that are not known here"
        return self.unchecked

    def show_key(self, key: bytes) -> str:
        try:
            return show(self.keys.decode(key))
        except (ValueError, OverflowError):
            return show(key)


class IndexComparison:
    """Takes the records, then the entries, and gives the differences. Used once, in that order."""

    def __init__(
        self,
        metadata: IndexMetadata,
        keys: Mapping[bytes, KeyCodec[Any]],
        expected: SortedEntries,
    ) -> None:
        """`keys` are the key codecs of the collections."""
        self._metadata = metadata
        self._expected = expected
        self._collections = {
            name: _Collection(name, keys[name], indexes) for name, indexes in metadata.kept.items()
        }
        self._owners = {
            index.prefix: (index, collection)
            for collection in self._collections.values()
            for index in collection.indexes.definitions
        }
        self._checks_where = {
            name
            for name, collection in self._collections.items()
            if any(index.where is not None for index in collection.indexes.definitions)
        }
        self._found = Counter[bytes]()
        self._orphans = Counter[bytes]()
        self.wrong: set[tuple[str, str]] = set()
        """The collection and the name of each index with differences."""

    @property
    def orphans(self) -> frozenset[bytes]:
        """The beginnings of entries that belong to no index."""
        return frozenset(self._orphans)

    # -- the records ---------------------------------------------------------------------------

    def add_record(self, name: bytes, key: bytes, value: Any) -> None:
        """Take a record of the collection `name`. The key is without the prefix."""
        collection = self._collections.get(name)
        if collection is None or collection.unchecked is not None:
            return
        if name in self._checks_where and not collection.has_unknown_types:
            try:
                known(value)
            except UnknownTypeError:
                collection.has_unknown_types = True
        indexes = collection.indexes
        try:
            entries = indexes.entries(indexes.seen(value), key)
        except RecursionError:  # a forged description may lead deep into a record
            self.add_damaged(name, key)
            return
        self._expected.add(entries.items())

    def add_damaged(self, name: bytes, key: bytes) -> None:
        """Take a record that cannot be read."""
        collection = self._collections.get(name)
        if collection is not None:
            collection.damaged.add(key)
            if len(collection.damaged) > MOST_DAMAGED:
                collection.unchecked = f"more than {MOST_DAMAGED:,} of its records are damaged"

    def add_unread(self, name: bytes) -> None:
        """Take a record whose value may not be decoded, or cannot be decoded by this program."""
        collection = self._collections.get(name)
        if collection is not None:
            collection.unchecked = PICKLED

    def give_up(self, reason: str) -> None:
        """Compare no entry: not all records or entries could be read."""
        for collection in self._collections.values():
            collection.unchecked = reason

    # -- the entries ---------------------------------------------------------------------------

    def differences(self, entries: Iterable[Pair]) -> Iterator[DamageFinding]:
        """Compare the entries of the store, in the order of their keys."""
        for entry, expected, present in _side_by_side(self._expected, entries):
            owner = self._owners.get(entry[:4])
            if present is not None:
                self._found[entry[:4]] += 1
            if owner is not None and expected == [present]:
                continue  # the usual case
            if owner is not None:
                yield from self._differences(*owner, entry, expected, present)
            elif entry[:4] not in self._metadata.dropped:
                self._orphans[entry[:4]] += 1
        for prefix, count in sorted(self._orphans.items()):
            yield DamageFinding(
                f"indexes: {show_count(count, 'entry', 'entries')} of an index that is not defined "
                f"any more, with the number {int.from_bytes(prefix)}",
                repairable=True,
            )

    def reports(self) -> tuple[IndexReport, ...]:
        """All indexes, after the comparison."""
        return tuple(
            IndexReport(
                name.decode(),
                index.name,
                index.state,
                self._found[index.prefix],
                index.problem,
                self._why_unchecked(name, index),
            )
            for name, indexes in self._metadata.definitions.items()
            for index in indexes
        )

    def _why_unchecked(self, name: bytes, index: IndexDefinition) -> str | None:
        if index.state == "failed":
            return "it has failed, and has no entries"
        collection = self._collections.get(name)
        if collection is None:
            return "what the metadata tells of it cannot be read"
        return collection.why_unchecked(index)

    def _differences(
        self,
        index: IndexDefinition,
        collection: _Collection,
        entry: bytes,
        expected: list[bytes],
        present: bytes | None,
    ) -> Iterator[DamageFinding]:
        key = None
        if present is not None:
            try:
                key = parse(index, entry, present).key
            except CorruptValueError:
                yield self._finding(index, collection, b"", f"the entry {show(entry)} is damaged")
                return
        if collection.why_unchecked(index) is not None:
            return
        keys = [parse(index, entry, value).key for value in expected]
        if index.unique and len(keys) > 1 and all(_is_taken_in(index, each) for each in keys):
            shown = " and ".join(collection.show_key(each) for each in keys[:2])
            what = f"the records {shown} have the same values, and it is unique"
            yield self._finding(index, collection, keys[0], what, repairable=False)
            return
        if present in expected:
            return
        if key in collection.damaged:
            return
        if key is not None and key not in keys:
            what = (
                f"the entry {show(entry)} is of the record {collection.show_key(key)}, which has "
                "no such values or is not there"
            )
            yield self._finding(index, collection, key, what)
            return
        for each, value in zip(keys, expected, strict=True):
            if not _is_taken_in(index, each):
                continue
            record = f"the record {collection.show_key(each)}"
            what = f"the entry {show(entry)} of {record} is missing"
            if present is not None:
                what = f"the entry {show(entry)} of {record} is {show(present)}, not {show(value)}"
            yield self._finding(index, collection, each, what)

    def _finding(
        self,
        index: IndexDefinition,
        collection: _Collection,
        key: bytes,
        what: str,
        *,
        repairable: bool = True,
    ) -> DamageFinding:
        name = collection.name.decode()
        self.wrong.add((name, index.name))
        return DamageFinding(
            f"the index {index.name!r} of the collection {name!r}: {what}",
            collection.name + b"/" + key,
            repairable=repairable,
        )


def _is_taken_in(index: IndexDefinition, key: bytes) -> bool:
    """Whether a record must have its entries: the build may not have come to it."""
    return index.state != "building" or (index.at != b"" and key <= index.at)


def _side_by_side(
    expected: Iterable[Pair], found: Iterable[Pair]
) -> Iterator[tuple[bytes, list[bytes], bytes | None]]:
    """Each key of an entry, with the values that it must have, and the value that it has."""
    left, right = iter(expected), iter(found)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        entry = min(pair[0] for pair in (one, other) if pair is not None)
        values = []
        while one is not None and one[0] == entry:
            values.append(one[1])
            one = next(left, None)
        present = None
        if other is not None and other[0] == entry:
            present = other[1]
            other = next(right, None)
        yield entry, values, present
