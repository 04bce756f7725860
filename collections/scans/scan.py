"""The records of a span of keys that match some filters, in the order of the span.

Each function reads one snapshot, a page at a time: that of `txn`, or a new one. `PageFilter` finds
out which records of the page match, as far as bytes and single fields can tell. Only the rest is
decoded and tested here. So a record is decoded if its dict is asked for, or if nothing less can
decide.

The filters have a predicate: a filter that refers to all records with `$` is no matter of a scan.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from stones.collections.language.bound_filter import BoundFilter
from stones.collections.language.comparisons import MISSING
from stones.collections.stored_records import StoredRecords
from stones.collections.unsettled_records import UnsettledReader
from stones.engine import Space, Transaction
from stones.errors import StoneError
from stones.stores.spans import Span

from .conditions import predicate
from .field_source import Path
from .page_filter import Lane, PageFilter

Records = StoredRecords[Any, Any]
Filters = Sequence[BoundFilter]


def matches(
    records: Records,
    span: Span,
    filters: Filters = (),
    *,
    lane: Lane | None = None,
    txn: Transaction | None = None,
) -> Iterator[tuple[bytes, Any]]:
    """The stored keys and the dicts of the matches, as a query sees them.

    Opens its snapshot when the first match is asked for. Raises CorruptValueError for a damaged
    value that it decodes.
    """
    engine, check_open = records.database.engine, records.database.check_open
    with records.database.reading_in(txn) as txn:
        reader = records.reader_at(txn)
        if reader.upgrades is not None:
            yield from _upgraded(records, reader.upgrades, span, filters)
            return
        pages = _Pages(records, txn, span)
        filter = PageFilter(filters, reader, lane=lane, how_many=pages.how_many)
        decode, test = filter.decode, filter.test
        for keys, raws in pages.read():
            found, unsure = _found(filter, keys, raws)
            tested = test if unsure else None  # each match is unsure, or none is, on most pages
            for place in found:
                if engine.closed:
                    check_open()
                value = decode(key := keys[place], raws[place])
                if tested is None or place not in unsure or tested(value):
                    yield key, value


def keys(
    records: Records,
    span: Span,
    filters: Filters = (),
    *,
    lane: Lane | None = None,
    txn: Transaction | None = None,
) -> Iterator[bytes]:
    """The stored keys of the matches. Opens its snapshot when the first one is asked for."""
    engine, check_open = records.database.engine, records.database.check_open
    with records.database.reading_in(txn) as txn:
        reader = records.reader_at(txn)
        if reader.upgrades is not None:
            for key, _ in _upgraded(records, reader.upgrades, span, filters):
                yield key
            return
        pages = _Pages(records, txn, span)
        filter = PageFilter(filters, reader, lane=lane, how_many=pages.how_many)
        decode, test = filter.decode, filter.test
        for keys, raws in pages.read(values=test is not None):
            found, unsure = _found(filter, keys, raws)
            for place in found:
                if engine.closed:
                    check_open()
                key = keys[place]
                if place not in unsure or test is None or test(decode(key, raws[place])):
                    yield key


def count(
    records: Records,
    span: Span,
    filters: Filters = (),
    *,
    limit: int | None = None,
    lane: Lane | None = None,
    txn: Transaction | None = None,
) -> int:
    """How many records match. With a `limit` it stops there."""
    with records.database.reading_in(txn) as txn:
        reader = records.reader_at(txn)
        if reader.upgrades is not None:
            upgraded = _upgraded(records, reader.upgrades, span, filters)
            return sum(1 for _ in islice(upgraded, limit))
        pages = _Pages(records, txn, span)

        def counted(*, with_keys: bool) -> int:
            filter = PageFilter(filters, reader, lane=lane, how_many=pages.how_many)
            with_keys = with_keys or filter.needs_keys or filter.test is None
            found = 0
            for keys, raws in pages.read(keys=with_keys, values=filter.test is not None):
                found += _count(filter, keys, raws)
                if limit is not None and found >= limit:
                    return limit
            return found

        try:
            return counted(with_keys=False)
        except StoneError:  # the error of a damaged value names its key
            return counted(with_keys=True)


def field_values(
    records: Records,
    span: Span,
    filters: Filters,
    paths: Sequence[Path],
    *,
    lane: Lane | None = None,
    txn: Transaction | None = None,
) -> Iterator[tuple[bytes, tuple[Any, ...]]]:
    """The stored keys of the matches, and what some paths of names lead to in each of them.

    A path that leads nowhere gives MISSING. It costs a sixth of what the dicts of `matches` cost.

    Opens its snapshot when the first match is asked for.
    """
    take = _taking(paths)
    engine, check_open = records.database.engine, records.database.check_open
    with records.database.reading_in(txn) as txn:
        reader = records.reader_at(txn)
        if reader.upgrades is not None:
            for key, value in _upgraded(records, reader.upgrades, span, filters):
                yield key, take(value)
            return
        pages = _Pages(records, txn, span)
        filter = PageFilter(filters, reader, wanted=paths, lane=lane, how_many=pages.how_many)
        decode, test = filter.decode, filter.test
        for keys, raws in pages.read():
            page = filter.page(keys, raws)
            found, unsure = _found_in(filter, page, raws)
            sure = [place for place in found if place not in unsure] if unsure else found
            values = None if page is None or not sure else filter.values(page, sure)
            rows, odd = ([], ()) if values is None else values
            known = dict(zip(sure, rows, strict=False))
            for number in {*odd}:
                del known[sure[number]]
            for place in found:
                if engine.closed:
                    check_open()
                key = keys[place]
                if place in known:
                    yield key, known[place]
                    continue
                value = decode(key, raws[place])
                if place not in unsure or test is None or test(value):
                    yield key, take(value)


def _upgraded(
    records: Records, upgrades: UnsettledReader, span: Span, filters: Filters
) -> Iterator[tuple[bytes, Any]]:
    """What `matches` gives while records lack steps: each of them is decoded and upgraded."""
    test, check_open = predicate(filters), records.database.check_open
    for key, value in upgrades.entries(span):
        check_open()
        if test is None or test(value):
            yield key, value


class _Pages:
    """The pages of one scan."""

    def __init__(self, records: Records, txn: Transaction, span: Span) -> None:
        self._records = records
        self._txn = txn
        self._span = span

    def read(
        self, *, keys: bool = True, values: bool = True
    ) -> Iterator[tuple[Sequence[bytes], Sequence[bytes]]]:
        """Read them. A closed store raises StoreClosedError."""
        span = self._span
        return self._txn.pages(
            Space.DATA, span.start, span.stop, reverse=span.reverse, keys=keys, values=values
        )

    def how_many(self) -> int:
        """How many records the span has, or 0 if that would have to be counted."""
        whole = self._records.span
        is_whole = self._span.start == whole.start and self._span.stop == whole.stop
        return self._records.count_at(self._txn) if is_whole else 0


def _found(
    filter: PageFilter, keys: Sequence[bytes], raws: Sequence[bytes]
) -> tuple[Sequence[int], Collection[int]]:
    """The places of what may match, and which of them have to be tested."""
    if filter.test is None:
        return range(len(keys)), ()
    return _found_in(filter, filter.page(keys, raws), raws)


def _found_in(
    filter: PageFilter, page: Any, raws: Sequence[bytes]
) -> tuple[Sequence[int], Collection[int]]:
    if page is None:
        every = range(len(raws))
        return every, () if filter.test is None else every
    found, unsure = filter.matches(page)
    return found, unsure if unsure is found or not unsure else frozenset(unsure)


def _count(filter: PageFilter, keys: Sequence[bytes], raws: Sequence[bytes]) -> int:
    found, unsure = _found(filter, keys, raws)
    test, decode = filter.test, filter.decode
    if test is None or not unsure:
        return len(found)
    tested = sum(1 for n in unsure if test(decode(keys[n] if keys else b"", raws[n])))
    return len(found) - len(unsure) + tested


def _taking(paths: Sequence[Path]) -> Callable[[Any], tuple[Any, ...]]:
    """The function that takes what some paths lead to out of a dict."""

    def at(value: Any, path: Path) -> Any:
        for name in path:
            try:
                value = value.get(name, MISSING)
            except (AttributeError, TypeError):  # as a filter does
                return MISSING
        return value

    return lambda value: tuple(at(value, path) for path in paths)
