"""How a selection is answered through indexes: the way that `choosing` has chosen is gone.

Each record that is read is tested with the whole filter. So an entry that should not be there makes
a query slow, but not wrong. Where the entries tell all that is asked for, no record is read.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from sys import maxsize
from typing import Any, Final

from attrs import evolve

from stones.collections.language.predicates import all_of
from stones.collections.stored_records import StoredRecords
from stones.engine import Transaction
from stones.stores.database import Database
from stones.stores.spans import Span

from .choosing import Choice, Way
from .index_reading import key_bounds
from .ordered_walk import Walk, walk
from .record_fetching import fetch, fetch_batches
from .result_order import Match, sorted_matches
from .selection import Selection, part, span_in_key_order

Scan = Callable[[StoredRecords[Any, Any], Selection, Span, Transaction], Iterator[Match]]
"""Reads and tests the records in a span, in its order."""

BATCHES: Final = (16, 64, 256)
"""How many records are read at once: few at first, for who wants only a few. Then 500."""


def is_changing(records: StoredRecords[Any, Any]) -> bool:
    """Whether records may be written, in the transaction that is read, while a result is used."""
    database = records.database
    return isinstance(database, Database) and database.in_transaction()


class IndexExecution:
    """One query that is answered through indexes, in one transaction."""

    def __init__(
        self,
        records: StoredRecords[Any, Any],
        selection: Selection,
        choice: Choice,
        txn: Transaction,
        scan: Scan,
    ) -> None:
        self._records = records
        self._selection = choice.key_order or selection
        self._choice = choice
        self._txn = txn
        self._scan = scan
        self._prefix = records.prefix
        self._filters = selection.filters
        # What is written while a result is used must not show in the result.
        self._at_once = is_changing(records)

    def matches(self) -> Iterator[Match]:
        """The matching records, in the order of the selection."""
        choice, selection = self._choice, self._selection
        if choice.way is Way.WALK:
            found = self._walked()
        elif not selection.order:
            found = self._in_key_order()
            if selection.offset or selection.limit is not None:
                found = part(found, selection)
        else:
            entries = self._scanned() if choice.way is Way.RANGE else self._fetched(self._keys())
            found = sorted_matches(entries, selection, len(self._prefix))
        return iter(list(found)) if self._at_once else found

    def matching_keys(self) -> Iterator[bytes]:
        """The stored keys of the matching records, in the order of the selection."""
        choice, selection, prefix = self._choice, self._selection, self._prefix
        if choice.is_complete and choice.way is Way.KEYS and not selection.order:
            ordered = sorted(self._tested_keys(), reverse=selection.reverse)
            return part((prefix + key for key in ordered), selection)
        if choice.is_complete and choice.way is Way.WALK:
            walked = (prefix + key for key, _ in self._certain(self._walk()))
            found = part(walked, selection)
            return iter(list(found)) if self._at_once else found
        return (stored for stored, _ in self.matches())

    def count(self) -> int:
        """How many records match, of all that the selection has without `offset` and `limit`."""
        choice, selection = self._choice, self._selection
        if selection.after is not None:
            whole = evolve(selection, offset=0, limit=None)
            return sum(1 for _ in self._with(whole).matching_keys())
        if choice.is_complete and choice.way is Way.KEYS:
            reader = choice.reader
            assert reader is not None
            unclear = any(True for _ in reader.unclear_keys())
            if not reader.may_repeat and not unclear and selection.span == self._records.span:
                return reader.count
            return len(self._tested_keys())
        return sum(1 for _ in self._all())

    # -- records -------------------------------------------------------------------------------

    def _all(self) -> Iterator[Match]:
        """All matching records, in any order."""
        if self._choice.way is Way.RANGE:
            return self._scanned()
        if self._choice.way is Way.KEYS:
            return self._fetched(self._keys())
        return self._with(evolve(self._selection, offset=0, limit=None)).matches()

    def _with(self, selection: Selection) -> "IndexExecution":
        choice = evolve(self._choice, key_order=None, give_up=None)
        return IndexExecution(self._records, selection, choice, self._txn, self._scan)

    def _in_key_order(self) -> Iterator[Match]:
        selection = self._selection
        span = span_in_key_order(selection, self._prefix)
        if self._choice.way is Way.RANGE:
            return self._scanned(span)
        return self._fetched(self._keys(span))

    def _scanned(self, span: Span | None = None) -> Iterator[Match]:
        """The matching records of a RANGE, in key order or as the span says."""
        assert self._choice.access is not None
        span = span or self._selection.span
        spans = self._choice.access.spans
        for each in reversed(spans) if span.reverse else spans:
            start, stop = key_bounds(self._prefix, each)
            if span.stop is not None and (stop is None or span.stop < stop):
                stop = span.stop
            inside = Span(max(start, span.start), stop, span.reverse)
            if inside.stop is None or inside.start < inside.stop:
                yield from self._scan(self._records, self._selection, inside, self._txn)

    def _keys(self, span: Span | None = None) -> list[bytes]:
        """The keys that the reader has found, sorted, each once, of those in a span."""
        reader = self._choice.reader
        assert reader is not None
        found: Iterable[bytes] = chain(reader.clear_keys(), reader.unclear_keys())
        if reader.may_repeat:
            found = {*found}
        span = span or self._selection.span
        return sorted(self._inside(found, span), reverse=span.reverse)

    def _inside(self, keys: Iterable[bytes], span: Span) -> Iterable[bytes]:
        whole = self._records.span
        if span.start == whole.start and span.stop == whole.stop:
            return keys
        prefix = self._prefix
        return (key for key in keys if prefix + key in span)

    def _fetched(self, keys: Sequence[bytes]) -> Iterator[Match]:
        """The matching records of these keys, in their order."""
        return fetch_batches(self._records, self._txn, self._batches(keys), self._test)

    def _batches(self, keys: Sequence[bytes]) -> Iterator[list[bytes]]:
        """The stored keys of the records to read at once."""
        prefix, start = self._prefix, 0
        sizes = iter((len(keys),) if self._at_once else BATCHES)
        while batch := keys[start : start + (size := next(sizes, 500))]:
            yield [prefix + key for key in batch]
            start += size

    @cached_property
    def _test(self) -> Callable[[Any], Any]:
        """The whole filter. A count by entries alone does not ask for it."""
        tests = [each.predicate for each in self._filters if each.predicate is not None]
        return all_of(tests) if tests else _is_anything

    def _matching(self, stored: Sequence[bytes]) -> Iterator[Match]:
        """Those of the records with these stored keys that match."""
        return fetch(self._records, self._txn, stored, self._test)

    # -- keys that need no record --------------------------------------------------------------

    def _tested_keys(self) -> set[bytes]:
        """The keys of all matching records in the span. Only unclear ones are read."""
        reader, prefix = self._choice.reader, self._prefix
        assert reader is not None
        span = span_in_key_order(self._selection, prefix) if not self._selection.order else None
        clear = {*reader.clear_keys()}
        unclear = {*reader.unclear_keys()} - clear
        span = span or self._selection.span
        found = {*self._inside(clear, span)}
        if unclear:
            stored = sorted(prefix + key for key in self._inside(unclear, span))
            size = len(prefix)
            found.update(key[size:] for key, _ in self._matching(stored))
        return found

    # -- an index in its order -----------------------------------------------------------------

    def _walk(self) -> Iterator[tuple[bytes, bool]]:
        access, selection = self._choice.access, self._selection
        assert access is not None
        walked = Walk(access, selection.order, selection.reverse, selection.after)
        size, span = len(self._prefix), self._selection.span

        def records_of(keys: Sequence[bytes]) -> Iterator[tuple[bytes, Any]]:
            stored = sorted([self._prefix + key for key in keys])
            return ((key[size:], value) for key, value in fetch(self._records, self._txn, stored))

        found = walk(self._txn, walked, records_of)
        if span == self._records.span:
            return found
        return (each for each in found if self._prefix + each[0] in span)

    def _certain(self, walked: Iterator[tuple[bytes, bool]]) -> Iterator[tuple[bytes, bool]]:
        """The keys of records that match; an unclear one is read and tested."""
        for key, is_clear in walked:
            if is_clear or next(self._matching([self._prefix + key]), None) is not None:
                yield key, True

    def _walked(self) -> Iterator[Match]:
        """The matching records along an index. If that takes too long, in the other way."""
        give_up = self._choice.give_up
        return self._along_index(None) if give_up is None else self._walked_up_to(give_up)

    def _walked_up_to(self, give_up: int) -> Iterator[Match]:
        found = list(self._along_index(give_up))
        if found and found[-1] is _GAVE_UP:
            yield from self._otherwise()
        else:
            yield from found

    def _along_index(self, give_up: int | None) -> Iterator[Match]:
        """The wanted part of the records. The last one is `_GAVE_UP` if it takes too long."""
        selection, prefix = self._selection, self._prefix
        limit = selection.limit
        if limit == 0:
            return
        walked = self._walk()
        skip = selection.offset
        if skip and self._choice.is_complete:  # passed over without being read
            walked = islice(self._certain(walked), min(skip, maxsize), None)
            skip = 0
        sizes = iter(BATCHES)
        if limit is not None and self._choice.is_complete:
            sizes = iter((min(limit, 500), *BATCHES))
        read = found = 0
        while batch := [prefix + key for key, _ in islice(walked, next(sizes, 500))]:
            for match in self._matching(batch):
                if skip:
                    skip -= 1
                    continue
                yield match
                found += 1
                if found == limit:
                    return
            read += len(batch)
            if give_up is not None and read > give_up:
                yield _GAVE_UP
                return

    def _otherwise(self) -> Iterator[Match]:
        selection, reader = self._selection, self._choice.reader
        if reader is None:
            entries = self._scan(self._records, selection, selection.span, self._txn)
        else:
            entries = self._fetched(self._keys())
        return sorted_matches(entries, selection, len(self._prefix))


_GAVE_UP: Final[Match] = (b"", None)


def _is_anything(_: Any) -> bool:
    return True
