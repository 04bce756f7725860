"""Keeps the indexes of a collection with its records, in the transaction of each change.

`RecordIndexes` is made for one generation of the metadata, and knows all indexes that the
collection has then. It is told of a record before and after a change. It writes the entries that
differ, and no others. `EntryBatch` does the same for many new records, sorted, which is faster.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

from attrs import field, frozen

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError, DuplicateKeyError
from stones.formats.messages import show
from stones.stores.spans import after_prefix

from .definition import IndexDefinition, Matches
from .encoding import FLOAT, cut, encode
from .entries import (
    VALUES_SIZE,
    EntryMaker,
    are_unclear,
    entry_maker,
    may_be_unclear,
    parse,
    path_getter,
    values_of,
)
from .generated import AddEntries, entries_adder

INDEX: Final = Space.INDEX
BATCH_SIZE: Final = 50_000
"""So many entries are held in memory, sorted and written together."""
CHECK_SIZE: Final = 1000
"""So many entries of unique indexes are compared at once with those that are there."""
_Unchecked = tuple[bytes, bytes, IndexDefinition, bytes, Any]
"""An entry and its stored value, its index, and the key of its record and the record."""


@frozen
class RecordAccess:
    """What indexes must know about the records of their collection."""

    name: str
    """The name of the collection, for messages."""
    read: Callable[[Transaction, bytes], Any]
    """The stored dict of the record with a key. None if there is none that can be read."""
    show_key: Callable[[bytes], str]
    """A key as a user writes it, for messages."""
    equal: Callable[[Any, Any], bool]
    """Whether two values are equal, as `==` in a query."""


@frozen
class RecordIndexes:
    """The indexes of one collection that writes keep, as the metadata has them at one time."""

    definitions: tuple[IndexDefinition, ...]
    """Those that are ready or are built. Not those that failed."""
    access: RecordAccess
    view: Callable[[Any], Any] | None = field(repr=False)
    """Adds the defaults that the description keeps to a stored dict. None if it keeps none."""
    _conditions: Sequence[Matches | None] = field(repr=False)
    add_entries: AddEntries = field(repr=False)
    """Adds the entries of a record in all indexes to a dict. The record is what `seen` gives."""
    _unique: Mapping[bytes, IndexDefinition] = field(repr=False)

    @classmethod
    def of(
        cls,
        definitions: Iterable[IndexDefinition],
        access: RecordAccess,
        matches: Callable[[str], Matches],
        view: Callable[[Any], Any] | None = None,
    ) -> "RecordIndexes":
        """The indexes with these definitions. `matches` makes a function of a condition."""
        kept = tuple(definition for definition in definitions if definition.has_entries)
        conditions = [None if index.where is None else matches(index.where) for index in kept]
        unique = {index.prefix: index for index in kept if index.unique}
        return cls(kept, access, view, conditions, entries_adder(kept, conditions), unique)

    def seen(self, stored: Any) -> Any:
        """A stored dict as the indexes see it."""
        return stored if self.view is None or stored is None else self.view(stored)

    def entries(self, record: Any, key: bytes) -> dict[bytes, bytes]:
        """The entries of a record in all indexes. `record` is what `seen` gives."""
        plain: list[bytes] = []
        floats: list[bytes] = []
        found: dict[bytes, bytes] = {}
        self.add_entries(record, key, plain, floats, found)
        for entry in plain:
            found[entry] = b""
        for entry in floats:
            found[entry] = FLOAT
        return found

    def maker_of(self, index: IndexDefinition) -> EntryMaker:
        """The function that gives the entries of a record in one of the indexes."""
        return entry_maker(index, self._conditions[self.definitions.index(index)])

    def replace(self, txn: Transaction, key: bytes, before: Any, after: Any) -> None:
        """Write what differs between a record before and after a change; None is no record.

        Both are stored dicts. The key is without the prefix of the collection.

        Raises DuplicateKeyError if another record has the same values in a unique index. Nothing
        of this change is written then.
        """
        before, after = self.seen(before), self.seen(after)
        old = {} if before is None else self.entries(before, key)
        new = {} if after is None else self.entries(after, key)
        if self._unique:
            for entry, stored in new.items():
                # A cut value may be another one, and have the same entry. And an index that is
                # built may have the same bytes from another record.
                if old.get(entry) != stored or may_be_unclear(stored):
                    self.check_unique(txn, key, entry, stored, after)
        if old == new:
            return
        added = [(entry, stored) for entry, stored in new.items() if old.get(entry) != stored]
        gone = [entry for entry in old if entry not in new and self._is_mine(txn, entry, key)]
        if gone:
            txn.delete_many(INDEX, gone)
        for entry, stored in added:
            txn.put(INDEX, entry, stored)

    def check_unique(
        self, txn: Transaction, key: bytes, entry: bytes, stored: bytes, record: Any
    ) -> None:
        """Raise DuplicateKeyError if an entry of another record has the same unique values."""
        index = self._unique.get(entry[:4])
        if index is not None:
            other = self.find_duplicate(txn, index, key, entry, stored, record)
            if other is not None:
                raise DuplicateKeyError(self.duplicate_text(index, record, key, other))

    def find_duplicate(
        self,
        txn: Transaction,
        index: IndexDefinition,
        key: bytes,
        entry: bytes,
        stored: bytes,
        record: Any,
    ) -> bytes | None:
        """The key of another record with the same values in a unique index, or None."""
        if self.is_unclear(index, entry, stored):
            encoded = parse(index, entry, stored).values
            return self._find_equal(txn, index, key, encoded, record)
        present = txn.get(INDEX, entry)
        if present is None or present == stored:
            return None
        other = self.key_of(index, entry, present)
        return other if other != key else None

    def key_of(self, index: IndexDefinition, entry: bytes, stored: bytes) -> bytes:
        """The key of the record that has an entry."""
        return parse(index, entry, stored).key

    def is_unclear(self, index: IndexDefinition, entry: bytes, stored: bytes) -> bool:
        """Whether only the records tell if two of them have the same unique values."""
        return may_be_unclear(stored) and are_unclear(parse(index, entry, stored).values)

    def duplicate_text(self, index: IndexDefinition, record: Any, key: bytes, other: bytes) -> str:
        """What a DuplicateKeyError says, and a build that fails."""
        values = [show(path_getter(path)(record)) for path in index.paths]
        name, show_key = self.access.name, self.access.show_key
        return (
            f"{name}[{show_key(key)}] has the same {', '.join(index.paths)} as "
            f"{name}[{show_key(other)}], {', '.join(values)}: the index {index.name!r} is unique"
        )

    def remove_all(self, txn: Transaction) -> None:
        """Remove every entry of every index."""
        for index in self.definitions:
            txn.delete_range(INDEX, index.prefix, after_prefix(index.prefix))

    def remove_damaged(self, txn: Transaction, key: bytes) -> None:
        """Remove all entries of a record that cannot be read. O(entries of the collection)."""
        for index in self.definitions:
            for entry, stored in txn.scan(INDEX, index.prefix, after_prefix(index.prefix)):
                try:
                    if parse(index, entry, stored).key == key:
                        txn.delete(INDEX, entry)
                except CorruptValueError:
                    continue

    def _is_mine(self, txn: Transaction, entry: bytes, key: bytes) -> bool:
        """Whether an entry belongs to the record with this key, and not to a later one.

        While a unique index is built, a record that it does not have yet may have the same values
        as one that it has.
        """
        index = self._unique.get(entry[:4])
        if index is None:
            return True
        stored = txn.get(INDEX, entry)
        return stored is not None and parse(index, entry, stored).key == key

    def _find_equal(
        self,
        txn: Transaction,
        index: IndexDefinition,
        key: bytes,
        encoded: Sequence[bytes],
        record: Any,
    ) -> bytes | None:
        """Looks at each record whose entry has the same bytes: they are cut, or tell nothing."""
        prefix = index.prefix + b"".join(encoded)
        mine = list(_values_of(index, record, encoded))
        for entry, stored in txn.scan(INDEX, prefix, after_prefix(prefix)):
            other = parse(index, entry, stored).key
            if other == key:
                continue
            found = self.seen(self.access.read(txn, other))
            if found is not None and any(
                all(map(self.access.equal, one, two))
                for one in mine
                for two in _values_of(index, found, encoded)
            ):
                return other
        return None


class EntryBatch:
    """The entries of many new records, held back and written sorted, many at a time.

    The records must be new: their keys had no records before. Nothing else may read or write
    entries of the collection before `flush`.
    """

    def __init__(self, indexes: RecordIndexes, txn: Transaction) -> None:
        self._indexes = indexes
        self._txn = txn
        self._view, self._add_entries = indexes.view, indexes.add_entries
        self._plain: list[bytes] = []
        self._floats: list[bytes] = []
        self._entries: dict[bytes, bytes] = {}
        self._checks = any(index.unique for index in indexes.definitions)
        self._unchecked: list[_Unchecked] = []

    def add(self, key: bytes, record: Any) -> None:
        """Take the entries of a new record.

        Raises DuplicateKeyError as `replace` does, now or from the next `check` or `flush`.
        """
        entries = self._entries
        if self._view is not None:
            record = self._view(record)
        if self._checks:
            new: dict[bytes, bytes] = {}
            self._add_entries(record, key, self._plain, self._floats, new)
            self._check(key, record, new)
            entries.update(new)
        else:
            self._add_entries(record, key, self._plain, self._floats, entries)
        if len(self._plain) + len(self._floats) + len(entries) >= BATCH_SIZE:
            self.flush()

    def check(self) -> None:
        """Compare what was added with the entries that are there, all of it in one reading.

        Raises DuplicateKeyError if another record has the same values in a unique index.
        """
        if not self._unchecked:
            return
        unchecked, self._unchecked = self._unchecked, []
        present = self._txn.get_many(INDEX, [entry for entry, *_ in unchecked])
        for (entry, stored, index, key, record), found in zip(unchecked, present, strict=True):
            if found is None or found == stored:
                continue
            other = self._indexes.key_of(index, entry, found)
            if other != key:
                raise DuplicateKeyError(self._indexes.duplicate_text(index, record, key, other))

    def flush(self) -> None:
        """Write what is held back. Raises as `check`."""
        self.check()
        put_entries(self._txn, self._plain, self._floats, self._entries)

    def _check(self, key: bytes, record: Any, new: Mapping[bytes, bytes]) -> None:
        for index in self._indexes.definitions:
            if not index.unique:
                continue
            for entry, stored in new.items():
                if not entry.startswith(index.prefix):
                    continue
                present = self._entries.get(entry)
                if present is not None:
                    other = parse(index, entry, present).key
                    text = self._indexes.duplicate_text(index, record, key, other)
                    raise DuplicateKeyError(text)
                if self._indexes.is_unclear(index, entry, stored):
                    self.flush()  # so that the entries of this batch are found too
                    self._indexes.check_unique(self._txn, key, entry, stored, record)
                else:
                    self._unchecked.append((entry, stored, index, key, record))
        if len(self._unchecked) >= CHECK_SIZE:
            self.check()


def put_entries(
    txn: Transaction, plain: list[bytes], floats: list[bytes], others: dict[bytes, bytes]
) -> None:
    """Write what `add_entries` gave, in the order of the keys, and empty the lists and the dict."""
    keys = sorted(others)
    for entries, values in (
        (sorted(plain), repeat(b"")),
        (sorted(floats), repeat(FLOAT)),
        (keys, map(others.__getitem__, keys)),
    ):
        # A list of new tuples for all of them would wake the garbage collector.
        txn.put_many(INDEX, zip(entries, values, strict=False))
    plain.clear()
    floats.clear()
    others.clear()


def _values_of(index: IndexDefinition, record: Any, encoded: Sequence[bytes]) -> Iterator[Any]:
    """The values of a record that are encoded so, as they are."""
    limit = VALUES_SIZE // len(index.paths)
    for values in values_of(index, record):
        if [cut(encode(value), limit) for value in values] == [*encoded]:
            yield values
