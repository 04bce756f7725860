"""The keys of records in the order of an index, from its entries alone where they tell it.

Entries with the same values are a group. Inside of a group the keys decide, from low to high unless
the whole order is turned. Entries with cut values do not tell the order of their records: such a
group is read and sorted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from attrs import frozen

from stones.collections.indexes.encoding import end_of, is_cut
from stones.collections.indexes.entries import KEY_SIZE, VALUES_SIZE, parse
from stones.engine import Space, Transaction
from stones.stores.spans import after_prefix

from .index_reading import entry_pages, plain_keys, told_keys
from .plan import Access, EntrySpan, QueryIndex
from .ranges import fitted, point
from .sort_fields import SortField, place_of

Fetch = Callable[[Sequence[bytes]], Iterable[tuple[bytes, Any]]]
"""Gives those of some keys that have a record, each with its complete dict."""

Item = tuple[bytes, bytes, bool | None]
"""The values of an entry, as its bytes up to there or up to a cut value; the key; if it is exact.

Once it is known to come from a cut entry, the place of the record is the first, and None the last.
"""

_COMPLEMENT = bytes(range(255, -1, -1))
# Keys that are longer end with a hash in an entry, so keys that begin with as much have no order.
_KEY_START = KEY_SIZE - 16
_head = itemgetter(0)
_key = itemgetter(1)


@frozen(slots=False)  # which takes half the time to make
class Walk:
    """The entries of an access in one order. Its index has no elements of arrays."""

    access: Access
    order: tuple[SortField, ...]
    """The paths of the index, all in one direction, without those that have one value only."""
    reverse: bool = False
    """Whether the records come in the opposite order, equal ones too."""
    after: bytes | None = None
    """The place in the order, without `reverse`, behind which the records are. See `place_of`."""

    @property
    def index(self) -> QueryIndex:
        """The index."""
        assert self.access.index is not None
        return self.access.index

    @property
    def goes_down(self) -> bool:
        """Whether high values come first."""
        return self.order[0].descending is not self.reverse


def is_walkable(txn: Transaction, access: Access) -> bool:
    """Whether the spans of an access follow each other in the order of the index.

    Not so if there are values without an order where all other entries have one value.
    """
    return not any(
        span.is_other and next(txn.keys(Space.INDEX, span.start, span.stop), None) is not None
        for span in access.spans
    )


def walk(txn: Transaction, walked: Walk, fetch: Fetch) -> Iterator[tuple[bytes, bool]]:
    """The keys of records in order. Tells with each whether it surely fulfils the access."""
    after, reverse = walked.after, walked.reverse
    place = None if after is None else _group_of(walked, after)
    for span in _spans(walked, place):
        exact = span.exact
        for run in _runs(txn, walked, span, place):
            if after is None and run.keys is not None:
                for key in run.keys:
                    yield key, exact
                continue
            ordered = _ordered(walked, run, fetch)
            if after is None:
                for _, key, is_clear in ordered:
                    yield key, exact and is_clear is True
                continue
            for head, key, is_clear in ordered:
                if after is not None:
                    found = head if is_clear is None else _place(walked, head, key)
                    if found >= after if reverse else found <= after:
                        continue
                    after = None  # all others are behind it too
                yield key, exact and is_clear is True


# -- spans -------------------------------------------------------------------------------------


@frozen(slots=False)
class _Group:
    """The group in which a place is, or may have been, and the bounds of the place in it."""

    head: bytes
    """What the entries of the group begin with."""
    low: bytes
    """The entries of the place, and of higher keys, are from here on."""
    high: bytes | None
    """The entries of the place, and of lower keys, are below. None: there is no such bound."""


def _group_of(walked: Walk, place: bytes) -> _Group:
    head, key = _head_of(walked, place)
    if key is None or walked.index.definition.unique:  # not all entries have a key behind the head
        return _Group(head, head, after_prefix(head))
    low = head + key[:_KEY_START]
    return _Group(head, low, low + b"\0" if len(key) < _KEY_START else after_prefix(low))


def _spans(walked: Walk, place: _Group | None) -> list[EntrySpan]:
    """The spans in the order to go through them, from the place on, or from the group of it."""
    spans = [span for span in walked.access.spans if not span.is_other]
    if place is None or not spans:
        return spans[::-1] if walked.goes_down else spans
    is_straight = walked.goes_down is walked.reverse
    if walked.goes_down:
        stop = place.high if is_straight else after_prefix(place.head)
        bounded = [_span(span, span.start, stop) for span in reversed(spans)]
    else:
        start = place.low if is_straight else place.head
        bounded = [_span(span, start, span.stop) for span in spans]
    return [span for span in bounded if span.stop is None or span.start < span.stop]


def _span(span: EntrySpan, start: bytes, stop: bytes | None) -> EntrySpan:
    stops = [each for each in (span.stop, stop) if each is not None]
    return EntrySpan(max(span.start, start), min(stops, default=None), span.exact)


def _head_of(walked: Walk, place: bytes) -> tuple[bytes, bytes | None]:
    """What the entries of the group of a place begin with, and the key behind it.

    The key is None if a value is cut: then the keys are not in the order of the places.
    """
    limit = VALUES_SIZE // len(walked.index.paths)
    start = walked.access.spans[0].start
    at = len(walked.index.definition.prefix)
    for _ in range(walked.access.fixed):
        at = end_of(start, at)
    head = start[:at]
    values, key = split_place(walked.order, place)
    for value in values:
        found = fitted(point(value), limit)
        head += found.low
        if not found.is_point:  # the values behind a value that is cut are anywhere
            return head, None
    return head, key


def split_place(order: Sequence[SortField], place: bytes) -> tuple[list[bytes], bytes]:
    """The encoded values of a place in an order, and the key of its record."""
    values = []
    for sort_field in order:
        plain = place.translate(_COMPLEMENT) if sort_field.descending else place
        end = end_of(plain, 0)
        values.append(plain[:end])
        place = place[end:]
    return values, place


def _place(walked: Walk, head: bytes, key: bytes) -> bytes:
    """The place of a record, by the beginning of its entry."""
    values = b"".join(_values_in(walked, head))
    return (values.translate(_COMPLEMENT) if walked.order[0].descending else values) + key


# -- groups ------------------------------------------------------------------------------------


@frozen(slots=False)
class _Run:
    """Entries that follow each other in the order: a group, or several that are sorted."""

    items: list[Item] | Iterator[Item]
    is_sorted: bool = False
    """Whether the items are in the order that is wanted, but for long keys."""
    keys: list[bytes] | None = None
    """The keys in the order that is wanted, in the place of the items."""


def _runs(txn: Transaction, walked: Walk, span: EntrySpan, place: _Group | None) -> Iterator[_Run]:
    """The entries of a span in order.

    A group that fills a page has a pass of its own, in the direction of its keys. In the group of
    `place`, it begins there.
    """
    split: Callable[[Sequence[bytes], Sequence[bytes]], list[Item]] | None = None
    definition, is_first = walked.index.definition, walked.after is None
    start, stop, down = span.start, span.stop, walked.goes_down
    is_straight = down is walked.reverse
    while True:
        pending: list[Item] = []
        for entries, stored in entry_pages(txn, definition, start, stop, reverse=down):
            keys = None
            # The entries of a unique index with something stored beside them are groups of one.
            if is_straight or (definition.unique and any(stored)):
                keys = told_keys(definition, entries, stored)
            if keys is not None:
                if pending:
                    yield _Run(pending)
                    pending = []
                if is_first:
                    yield _Run([], keys=keys)
                else:
                    split = split or _splitter(walked)
                    yield _Run(split(entries, stored), is_sorted=True)
                continue
            split = split or _splitter(walked)
            items = split(entries, stored)
            if is_first and not any(stored) and _are_single(items, pending):
                if pending:
                    yield _Run(pending)
                yield _Run([], keys=[key for _, key, _ in items[:-1]])
                pending = items[-1:]  # the next page may have more of its group
                continue
            before = len(pending)
            for _, found in groupby(items, _head):
                group = list(found)
                if pending and pending[0][0] == group[0][0]:
                    pending += group
                else:
                    if pending:
                        yield _Run(pending)
                    pending = group
            if len(pending) == before + len(entries):
                break
        else:
            if pending:
                yield _Run(pending)
            return
        head = pending[0][0]
        begin, end = max(head, start), after_prefix(head)
        low, high = begin, end
        if place is not None and head == place.head:
            low, high = (begin, place.high) if walked.reverse else (max(begin, place.low), end)
        yield _Run(_pass(txn, walked, low, high), is_sorted=True)
        if down:
            stop = begin
        elif end is None or (stop is not None and stop <= end):
            return
        else:
            start = end


def _are_single(items: list[Item], before: list[Item]) -> bool:
    """Whether all of these items are groups of one, which do not go on with a group before."""
    if before and before[0][0] == items[0][0]:
        return False
    return len({*map(_head, items)}) == len(items)


def _pass(txn: Transaction, walked: Walk, start: bytes, stop: bytes | None) -> Iterator[Item]:
    split = _splitter(walked)
    for page in txn.pages(Space.INDEX, start, stop, reverse=walked.reverse):
        yield from split(*page)


def _splitter(walked: Walk) -> Callable[[Sequence[bytes], Sequence[bytes]], list[Item]]:
    definition = walked.index.definition

    def split(entries: Sequence[bytes], stored: Sequence[bytes]) -> list[Item]:
        if any(stored):
            return [_item(*each) for each in zip(entries, stored, strict=True)]
        keys = plain_keys(definition, entries)
        return [
            (entry[: len(entry) - len(key)], key, True)
            for entry, key in zip(entries, keys, strict=True)
        ]

    def _item(entry: bytes, stored: bytes) -> Item:
        parsed = parse(definition, entry, stored)
        values = parsed.values
        if not parsed.exact:  # what is behind a cut value does not tell the order
            cuts = [place for place, value in enumerate(values) if is_cut(value)]
            values = values[: cuts[0] + 1] if cuts else values
        return definition.prefix + b"".join(values), parsed.key, parsed.exact

    return split


def _ordered(walked: Walk, run: _Run, fetch: Fetch) -> Iterable[Item]:
    """The items of a run in order. The items of a cut group begin with their places."""
    items = iter(run.items)
    first = next(items, None)
    if first is None:  # nothing is left of the group of a place
        return ()
    reverse = walked.reverse
    if first[2] is False and any(map(is_cut, _values_in(walked, first[0]))):
        place = place_of(walked.order)
        placed = [(place(key, record), key) for key, record in fetch([first[1], *map(_key, items)])]
        return [(at, key, None) for at, key in sorted(placed, reverse=reverse)]
    if not run.is_sorted:
        return sorted(run.items, key=_key, reverse=reverse)
    if isinstance(run.items, list):
        return run.items
    return _with_long_keys_sorted(chain((first,), items), reverse)


def _with_long_keys_sorted(items: Iterator[Item], reverse: bool) -> Iterator[Item]:
    """Sorted items. Those whose keys begin alike, and end with a hash in the entry, are not yet."""
    for _, alike in groupby(items, lambda item: item[1][:_KEY_START]):
        yield from sorted(alike, key=_key, reverse=reverse)


def _values_in(walked: Walk, head: bytes) -> list[bytes]:
    values = []
    at = len(walked.index.definition.prefix)
    while at < len(head):
        end = end_of(head, at)
        values.append(head[at:end])
        at = end
    return values[walked.access.fixed :]
