"""How a selection is answered: the records that match, in order, from one snapshot.

`choosing` says whether indexes are used, `index_execution` uses them, and `scanning` reads all
records of the span.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from stones.collections.language.field_paths import FieldPath
from stones.collections.stored_records import StoredRecords
from stones.engine import Transaction

from . import covering
from .choosing import Way, choose, may_use_index
from .covered_values import covered_values
from .covering import Cover, find_cover
from .index_execution import IndexExecution, is_changing
from .point_lookup import is_point, point_matches
from .result_order import Match
from .scanning import scan_span, scanned_count, scanned_keys, scanned_matches, scanned_values
from .selection import Selection, count_of_part
from .usable_indexes import UsableIndexes, usable_indexes

T = TypeVar("T")

Point = Callable[
    [StoredRecords[Any, Any], Selection, Transaction, UsableIndexes], Sequence[T] | None
]
"""Answers a query without a plan, or gives None."""
Scanned = Callable[[StoredRecords[Any, Any], Selection, Transaction], Iterator[T]]
"""Answers a query by reading all records of its span."""


def matches(records: StoredRecords[Any, Any], selection: Selection) -> Iterator[Match]:
    """The matching records, in the order of the selection."""
    if may_use_index(selection):
        point = point_matches if is_point(selection) else None
        return _planned(records, selection, IndexExecution.matches, scanned_matches, point)
    return scanned_matches(records, selection)


def first_matches(
    records: StoredRecords[Any, Any], selection: Selection, limit: int
) -> Iterable[Match]:
    """At most `limit` of the matching records, one or more, in the order of the selection."""
    if is_point(selection):  # in line, for the shortest way to one record
        with records.database.reading() as txn:
            indexes = usable_indexes(records, txn)
            found = point_matches(records, selection, txn, indexes)
            if found is not None:
                return found
            wanted = selection.limited(limit)
            ask = IndexExecution.matches
            return list(_answered(records, wanted, txn, indexes, ask, scanned_matches))
    return matches(records, selection.limited(limit))


def keys(records: StoredRecords[Any, Any], selection: Selection) -> Iterator[bytes]:
    """The stored keys of the matching records, in the order of the selection."""
    if may_use_index(selection):
        return _planned(records, selection, IndexExecution.matching_keys, scanned_keys)
    return scanned_keys(records, selection)


def values(
    records: StoredRecords[Any, Any],
    selection: Selection,
    paths: Sequence[FieldPath],
    *,
    any_order: bool = False,
) -> Iterator[tuple[bytes, tuple[Sequence[Any], ...]]]:
    """The stored key of each matching record, and what each path finds in the record.

    In the order of the selection. Aggregates, `values()` and `distinct()` need no more than this.
    With `any_order` the order may be another one, but equal values keep the order of their keys.
    """
    with records.database.reading() as txn:
        cover = _cover(records, selection, paths, txn)
        if cover is not None:
            found = covered_values(records, selection, paths, cover, txn, any_order=any_order)
            if found is not None:
                yield from list(found) if is_changing(records) else found
                return
        choice = None
        if may_use_index(selection):
            choice = choose(records, selection, txn, usable_indexes(records, txn))
        if choice is None or choice.way is Way.SCAN:
            yield from scanned_values(records, selection, paths, txn)
            return
    finders = [path.find for path in paths]
    for stored, value in matches(records, selection):
        yield stored, tuple([find(value) for find in finders])


def extreme(
    records: StoredRecords[Any, Any], selection: Selection, path: FieldPath, *, highest: bool
) -> tuple[Any, ...] | None:
    """The lowest or the highest value of a path that is not None, of equal ones the first.

    Empty if there is no value. None if no index tells it: then all values have to be read.
    """
    if selection.is_part or selection.span != records.span:
        return None
    with records.database.reading() as txn:
        cover = _cover(records, selection, [path], txn)
        found = None if cover is None else covering.extreme(txn, cover, highest=highest)
    return None if found is None else found[1]


def _cover(
    records: StoredRecords[Any, Any],
    selection: Selection,
    paths: Sequence[FieldPath],
    txn: Transaction,
) -> Cover | None:
    steps = [path.steps for path in paths if path.steps is not None]
    if len(steps) < len(paths):
        return None
    return find_cover(selection, steps, usable_indexes(records, txn))


def count(records: StoredRecords[Any, Any], selection: Selection) -> int:
    """How many records match."""
    if selection.after is None and not isinstance(selection.using, str):
        if selection.order or selection.reverse:  # no order is needed
            selection = selection.changed(order=(), reverse=False)
        if selection.is_everything and selection.span == records.span:
            present = records.count_present()
            if present is not None:
                return count_of_part(present, selection)
    if may_use_index(selection):
        with records.database.reading() as txn:
            choice = choose(records, selection, txn, usable_indexes(records, txn), is_count=True)
            execution = IndexExecution(records, selection, choice, txn, scan_span)
            if choice.uses_entries:
                return count_of_part(execution.count(), selection)
            selection = choice.key_order or selection
            if choice.way is Way.RANGE:
                return sum(1 for _ in execution.matching_keys())
            return scanned_count(records, selection, txn)
    return scanned_count(records, selection)


def _planned(
    records: StoredRecords[Any, Any],
    selection: Selection,
    ask: Callable[[IndexExecution], Iterator[T]],
    otherwise: Scanned[T],
    point: Point[T] | None = None,
) -> Iterator[T]:
    """What an execution gives if an index is used, and what a scan gives if not.

    `point` answers before there is a plan, or gives None. All is one generator: one more around
    each record would take 2 % of the time of an indexed query.
    """
    with records.database.reading() as txn:
        indexes = usable_indexes(records, txn)
        found = None if point is None else point(records, selection, txn, indexes)
        if found is not None:
            yield from found
            return
        yield from _answered(records, selection, txn, indexes, ask, otherwise)


def _answered(
    records: StoredRecords[Any, Any],
    selection: Selection,
    txn: Transaction,
    indexes: UsableIndexes,
    ask: Callable[[IndexExecution], Iterator[T]],
    otherwise: Scanned[T],
) -> Iterator[T]:
    """The same, in a transaction and without `point`. It is no generator, but returns one."""
    choice = choose(records, selection, txn, indexes)
    if choice.way is Way.SCAN:
        return otherwise(records, choice.key_order or selection, txn)
    return ask(IndexExecution(records, selection, choice, txn, scan_span))
