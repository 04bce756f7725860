"""The keys of the records that an index finds, read from its entries bit by bit.

`plan` says which entries. `probing` reads the first entries of several indexes, to choose one, and
`execution` reads on. Keys of records have no prefix of the collection here.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from stones.collections.indexes.definition import IndexDefinition
from stones.collections.indexes.encoding import MISSING, OTHER, UNDECODABLE, encode, end_of, is_cut
from stones.collections.indexes.entries import VALUES_SIZE, parse
from stones.collections.indexes.numbers import BELOW, NAN, NUMBER
from stones.engine import Space, Transaction

from .plan import Access, EntrySpan, QueryIndex

STR: Final = 0x20
"""The first byte of an encoded str."""
NUMBERS: Final = frozenset({BELOW, NUMBER})

SplitPage = tuple[Sequence[bytes], Sequence[bytes]]
"""Keys of records: those whose entry tells the values, and those whose entry does not."""


class AccessReader:
    """The keys of the records that an access finds. They may come twice.

    `clear` are keys of records that surely fulfil the conjuncts which the access answers. `unclear`
    are keys of records that may: their entry does not tell.
    """

    def __init__(self, txn: Transaction, access: Access, prefix: bytes) -> None:
        self.access = access
        self.clear: list[bytes] = []
        self.unclear: list[bytes] = []
        self.entries = 0
        """How many entries were read. The keys in a query need not be read."""
        self.ended = False
        self._counted = 0
        self._txn = txn
        self._pages = self._read(txn, prefix)

    @property
    def count(self) -> int:
        """How many keys were found, or entries were counted."""
        return len(self.clear) + len(self.unclear) + self._counted

    def count_entries(self) -> bool:
        """Count the entries, and do not look at their keys. False if the entries do not tell."""
        index, counted = self.access.index, 0
        if index is None or any(is_unique_point(index.definition, x) for x in self.access.spans):
            return False
        for span in self.access.spans:
            found = count_short(self._txn, index.definition, span)
            if found is None or (found and not span.exact):
                return False
            counted += found
        self.entries += counted
        self._counted, self.ended = counted, True
        return True

    def read(self, limit: int) -> bool:
        """Read until there are more than `limit` keys, or until the end. Is that the end?"""
        while not self.ended and self.count <= limit:
            page = next(self._pages, None)
            if page is None:
                self.ended = True
            else:
                self.clear += page[0]
                self.unclear += page[1]
        return self.ended

    def _read(self, txn: Transaction, prefix: bytes) -> Iterator[SplitPage]:
        index = self.access.index
        points = [span.start for span in self.access.spans if index is None and span.is_point]
        if points:
            yield (), points
        for span in self.access.spans:
            if index is not None:
                yield from self._entries_of(txn, index, span)
            elif not span.is_point:
                yield from self._keys_of(txn, prefix, span)

    def _entries_of(
        self, txn: Transaction, index: QueryIndex, span: EntrySpan
    ) -> Iterator[SplitPage]:
        definition = index.definition
        if is_unique_point(definition, span):
            found = txn.get(Space.INDEX, span.start)
            if found is not None:
                self.entries += 1
                key = found.partition(b"\0")[2]
                yield ((key,), ()) if span.exact else ((), (key,))
            return
        size = None
        if span.is_point and len(_values_of(definition, span.start)) == len(definition.paths):
            size = len(span.start)
        for entries, stored in entry_pages(txn, definition, span.start, span.stop):
            self.entries += len(entries)
            yield _split(definition, span, size, entries, stored)

    def _keys_of(self, txn: Transaction, prefix: bytes, span: EntrySpan) -> Iterator[SplitPage]:
        start, stop = key_bounds(prefix, span)
        size = len(prefix)
        for keys, _ in txn.pages(Space.DATA, start, stop, values=False):
            self.entries += len(keys)
            found = [key[size:] for key in keys]
            yield (found, ()) if span.exact else ((), found)


def key_bounds(prefix: bytes, span: EntrySpan) -> tuple[bytes, bytes | None]:
    """The stored keys of a span of keys, in the collection with this prefix."""
    end = prefix[:-1] + bytes([prefix[-1] + 1])  # a prefix ends with a slash
    return prefix + span.start, end if span.stop is None else min(prefix + span.stop, end)


def is_unique_point(definition: IndexDefinition, span: EntrySpan) -> bool:
    """Whether a span is the place of one entry, which no second record can have."""
    if not (definition.unique and span.is_point):
        return False
    values = _values_of(definition, span.start)
    return len(values) == len(definition.paths) and not any(map(_may_repeat, values))


def _values_of(definition: IndexDefinition, start: bytes) -> list[bytes]:
    values = []
    at = len(definition.prefix)
    while at < len(start):
        end = end_of(start, at)
        values.append(start[at:end])
        at = end
    return values


def _may_repeat(value: bytes) -> bool:
    return value in _REPEATED or is_cut(value)


_REPEATED = (encode(MISSING), encode(None), NAN, OTHER)


def entry_pages(
    txn: Transaction,
    definition: IndexDefinition,
    start: bytes,
    stop: bytes | None,
    *,
    reverse: bool = False,
) -> Iterator[tuple[Sequence[bytes], Sequence[bytes]]]:
    """The entries of a span, a page at a time, with what is stored beside them if that matters.

    It does not matter to entries that are short: no value is cut, and the whole key is in them.
    """
    if definition.unique:
        yield from txn.pages(Space.INDEX, start, stop, reverse=reverse)
        return
    for entries, _ in txn.pages(Space.INDEX, start, stop, reverse=reverse, values=False):
        if are_short(definition, entries):
            yield entries, ()
        else:
            found = txn.get_many(Space.INDEX, entries)
            yield entries, [b"" if stored is None else stored for stored in found]


def are_short(definition: IndexDefinition, entries: Sequence[bytes]) -> bool:
    """Whether all entries are shorter than one with a value that is cut, or with a cut key."""
    cut_size = VALUES_SIZE // len(definition.paths) - 1  # or one byte more
    return max(map(len, entries)) < len(definition.prefix) + cut_size


def count_short(txn: Transaction, definition: IndexDefinition, span: EntrySpan) -> int | None:
    """How many entries a span has. None if an entry is not short: then more must be known.

    In a span with the same values everywhere, none of these is cut. So the length tells nothing.
    """
    found, is_certain = 0, span.is_point and span.exact
    for entries, _ in txn.pages(Space.INDEX, span.start, span.stop, values=False):
        if not (is_certain or are_short(definition, entries)):
            return None
        found += len(entries)
    return found


def _split(
    definition: IndexDefinition,
    span: EntrySpan,
    size: int | None,
    entries: Sequence[bytes],
    stored: Sequence[bytes],
) -> SplitPage:
    """The keys of the records in a page. `size` is where they begin, if that is known."""
    if not any(stored):  # the usual case: all values are told by the keys
        if size is None:
            keys = plain_keys(definition, entries)
        else:
            keys = [entry[size:] for entry in entries]
        return (keys, ()) if span.exact else ((), keys)
    clear: list[bytes] = []
    unclear: list[bytes] = []
    for entry, value in zip(entries, stored, strict=True):
        kinds, has_key, key = value.partition(b"\0")
        if UNDECODABLE in kinds:
            parsed = parse(definition, entry, value)
            (clear if parsed.exact and span.exact else unclear).append(parsed.key)
            continue
        if not has_key:
            key = entry[end_of_values(definition, entry) if size is None else size :]
        (clear if span.exact else unclear).append(key)
    return clear, unclear


def told_keys(
    definition: IndexDefinition, entries: Sequence[bytes], stored: Sequence[bytes]
) -> list[bytes] | None:
    """The keys of the records in a page, in its order. None if only records tell the order.

    Then a value is cut, or the key of a record is.
    """
    if not any(stored):
        return plain_keys(definition, entries) if are_short(definition, entries) else None
    if not definition.unique:
        return None
    parts = [value.partition(b"\0") for value in stored]
    if any(UNDECODABLE in kinds or not has_key for kinds, has_key, _ in parts):
        return None
    return [key for _, _, key in parts]


def end_of_values(definition: IndexDefinition, entry: bytes) -> int:
    """Where the values of an entry end. Raises CorruptValueError for a damaged entry."""
    at = len(definition.prefix)
    for _ in definition.paths:
        at = end_of(entry, at)
    return at


def plain_keys(definition: IndexDefinition, entries: Sequence[bytes]) -> list[bytes]:
    """The keys of records in sorted entries, none of which has anything stored beside it."""
    if len(definition.paths) == 1:
        ends = {entries[0][4], entries[-1][4]}  # entries are sorted: all are between the two
        if ends == {STR}:
            return [entry[entry.index(b"\0\0", 5) + 2 :] for entry in entries]
        if ends <= NUMBERS:
            keys = [entry[14:] for entry in entries if not entry[13]]  # not those with a tail
            if len(keys) == len(entries):
                return keys
    return [entry[end_of_values(definition, entry) :] for entry in entries]
