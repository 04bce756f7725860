"""Values of records from the entries of an index alone, where the entries tell them.

An index covers a query if it has all paths that are asked for, and answers the whole filter. Then a
record is read only if its entry does not tell the values: a Decimal, a text that is cut, a list.
"""

from collections.abc import Iterator, Sequence
from struct import unpack
from typing import Any, Final

from attrs import frozen

from stones.collections.indexes.definition import IndexDefinition
from stones.collections.indexes.encoding import (
    FLOAT,
    OTHER,
    UNDECODABLE,
    decode,
    encode,
    end_of,
)
from stones.collections.indexes.entries import parse
from stones.collections.indexes.numbers import NUMBER
from stones.engine import Space, Transaction
from stones.stores.spans import after_prefix

from .index_reading import are_short
from .key_ranges import Path
from .plan import Access, EntrySpan, QueryIndex, accesses, conjuncts, whole_access
from .selection import Selection
from .usable_indexes import UsableIndexes

Row = tuple[bytes, tuple[Any, ...] | None]
"""The key of a record, and its values. None if the record must be asked, and tested."""

_ABOVE_NONE: Final = bytes([encode(None)[0] + 1])


@frozen
class Cover:
    """An access whose entries have all the values that are asked for."""

    access: Access
    places: tuple[int, ...]
    """Which path of the index each value is."""

    @property
    def index(self) -> QueryIndex:
        """The index."""
        assert self.access.index is not None
        return self.access.index

    @property
    def is_single(self) -> bool:
        """Whether entries with equal values follow each other in the order of their keys."""
        return len(self.index.paths) == 1 and not self.index.definition.unique


def find_cover(selection: Selection, paths: Sequence[Path], indexes: UsableIndexes) -> Cover | None:
    """An index that covers the values of some paths in the records of a selection, or None."""
    if selection.using is None or selection.order or not paths:
        return None
    usable = [
        index
        for index in indexes.usable
        if not index.definition.each
        and all(path in index.paths for path in paths)
        and (index.name == selection.using or not isinstance(selection.using, str))
    ]
    if not usable or any(each.selector is not None for each in selection.filters):
        return None
    parts = tuple(part for each in selection.filters for part in conjuncts(each.expressions))
    for index in usable:
        whole = whole_access(index, parts)
        found = accesses(parts, parts, [index]) or ([] if whole is None else [whole])
        for access in found:
            if access.complete:
                return Cover(access, tuple(map(index.paths.index, paths)))
    return None


def rows(txn: Transaction, cover: Cover) -> Iterator[Row]:
    """The records of an access in the order of its entries, with their values."""
    definition = cover.index.definition
    for span in cover.access.spans:
        for entries, stored in txn.pages(Space.INDEX, span.start, span.stop):
            numbers = _numbers(definition, entries, stored) if span.exact else None
            if numbers is not None and cover.places == (0,):
                yield from zip((entry[14:] for entry in entries), numbers, strict=True)
                continue
            for entry, value in zip(entries, stored, strict=True):
                yield _row(cover, span, entry, value)


def _row(cover: Cover, span: EntrySpan, entry: bytes, stored: bytes) -> Row:
    found = parse(cover.index.definition, entry, stored)
    if not (found.exact and span.exact):
        return found.key, None
    kinds = [found.kinds[place] for place in cover.places]
    if UNDECODABLE in kinds:
        return found.key, None
    return found.key, tuple(
        [decode(found.values[place], kind) for place, kind in zip(cover.places, kinds, strict=True)]
    )


def _numbers(
    definition: IndexDefinition, entries: Sequence[bytes], stored: Sequence[bytes]
) -> list[tuple[Any]] | None:
    """The values of entries which are all ints, or all floats, from 0 on. None for other ones."""
    if len(definition.paths) != 1 or entries[0][4] != NUMBER or entries[-1][4] != NUMBER:
        return None
    kinds = {*stored}
    if len(kinds) != 1 or kinds - {b"", FLOAT} or not are_short(definition, entries):
        return None
    if definition.unique or any(entry[13] for entry in entries):
        return None
    raw = b"".join([entry[5:13] for entry in entries])
    found = unpack(f">{len(entries)}d", raw)
    if FLOAT in kinds:
        return [(number,) for number in found]
    return [(int(number),) for number in found]


def extreme(txn: Transaction, cover: Cover, *, highest: bool) -> Row | None:
    """The key and the value of the record with the lowest or the highest value of the last path.

    None does not count. Of equal values it is the first one. The key and the values are empty if
    there is no value. Returns None if the entries alone do not tell it.
    """
    access, index = cover.access, cover.index
    if cover.places != (access.fixed,) or len(index.paths) != access.fixed + 1:
        return None
    ends: list[bytes] = []
    for span in access.spans:
        head = _head(index, access, span)
        others = max(span.start, head + OTHER) if span.exact else span.start
        if _first(txn, others, span.stop) is not None:
            return None
        entry = _first(txn, max(span.start, head + _ABOVE_NONE), span.stop, reverse=highest)
        ends += [] if entry is None or not span.exact else [entry]
    if not ends:
        return b"", ()
    entry = ends[-1] if highest else ends[0]
    if highest:  # the first one of its group
        values = parse(index.definition, entry, txn.get(Space.INDEX, entry) or b"").values
        group = index.definition.prefix + b"".join(values)
        entry = _first(txn, group, after_prefix(group)) or entry
    if not are_short(index.definition, (entry,)):
        return None
    key, found = _row(cover, EVERY_ENTRY, entry, txn.get(Space.INDEX, entry) or b"")
    return None if found is None else (key, found)


EVERY_ENTRY: Final = EntrySpan(b"", None)


def _head(index: QueryIndex, access: Access, span: EntrySpan) -> bytes:
    """What the entries of a span begin with, up to the path whose values differ."""
    at = len(index.definition.prefix)
    for _ in range(access.fixed):
        at = end_of(span.start, at)
    return span.start[:at]


def _first(
    txn: Transaction, start: bytes, stop: bytes | None, *, reverse: bool = False
) -> bytes | None:
    if stop is not None and start >= stop:
        return None
    return next(txn.keys(Space.INDEX, start, stop, reverse=reverse), None)
