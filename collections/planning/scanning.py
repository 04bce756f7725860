"""How a selection is answered by reading all records of its span, without an index.

`stones.collections.scans` reads the records, `execution` asks. Each function reads in
`txn`, or in a transaction of its own.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import evolve

from stones.collections.language.comparisons import MISSING
from stones.collections.language.field_paths import FieldPath
from stones.collections.scans import scan
from stones.collections.stored_records import StoredRecords
from stones.engine import Transaction
from stones.stores.spans import Span

from .ordered_scan import ordered_matches, pays
from .result_order import Match, sorted_matches
from .selection import Selection, count_of_part, most_of, part, span_in_key_order
from .sort_fields import place_of_values


def scanned_matches(
    records: StoredRecords[Any, Any], selection: Selection, txn: Transaction | None = None
) -> Iterator[Match]:
    """The matching records, in the order of the selection."""
    if selection.order:
        if pays(records, selection, needs_dicts=not _places_need_no_dict(selection)):
            return ordered_matches(records, selection, _ordered_keys, txn)
        entries = scan_span(records, selection, selection.span, txn)
        return sorted_matches(entries, selection, len(records.prefix))
    span = span_in_key_order(selection, records.prefix)
    return part(scan_span(records, selection, span, txn), selection)


def scanned_keys(
    records: StoredRecords[Any, Any], selection: Selection, txn: Transaction | None = None
) -> Iterator[bytes]:
    """The stored keys of the matching records, in the order of the selection."""
    if selection.order:
        return _ordered_keys(records, selection, txn)
    if _can_scan(selection):
        span = span_in_key_order(selection, records.prefix)
        return part(scan.keys(records, span, selection.filters, txn=txn), selection)
    return (stored for stored, _ in scanned_matches(records, selection, txn))


def scanned_values(
    records: StoredRecords[Any, Any],
    selection: Selection,
    paths: Sequence[FieldPath],
    txn: Transaction | None = None,
) -> Iterator[tuple[bytes, tuple[Sequence[Any], ...]]]:
    """The stored key of each matching record, and what each path finds in the record.

    In the order of the selection. Aggregates, `values()` and `distinct()` need no more than this.
    """
    order = selection.order
    names = _names([*order, *paths])
    if names and _can_scan(selection):
        if order:
            entries = scan.field_values(records, selection.span, selection.filters, names, txn=txn)
            place = place_of_values(order)
            found = sorted_matches(entries, selection, len(records.prefix), place=place)
        else:
            span = span_in_key_order(selection, records.prefix)
            found = part(
                scan.field_values(records, span, selection.filters, names, txn=txn), selection
            )
        for stored, taken in found:
            given = taken[len(order) :]
            yield stored, tuple([() if value is MISSING else (value,) for value in given])
        return
    finders = [path.find for path in paths]
    for stored, value in scanned_matches(records, selection, txn):
        yield stored, tuple([find(value) for find in finders])


def scanned_count(
    records: StoredRecords[Any, Any], selection: Selection, txn: Transaction | None = None
) -> int:
    """How many records match."""
    if selection.after is None:  # the order makes no difference
        selection = evolve(selection, order=(), reverse=False)
    if selection.is_everything and selection.span == records.span and selection.after is None:
        present = records.count_present()
        if present is not None:
            return count_of_part(present, selection)
    if selection.after is not None or not _can_scan(selection):
        return sum(1 for _ in scanned_keys(records, selection, txn))
    most = most_of(selection)
    found = scan.count(records, selection.span, selection.filters, limit=most, txn=txn)
    return count_of_part(found, selection)


def _ordered_keys(
    records: StoredRecords[Any, Any], selection: Selection, txn: Transaction | None
) -> Iterator[bytes]:
    """The stored keys of the matching records, sorted."""
    if _places_need_no_dict(selection):
        names = _names(selection.order)
        entries = scan.field_values(records, selection.span, selection.filters, names, txn=txn)
        place = place_of_values(selection.order)
    else:
        entries, place = scan_span(records, selection, selection.span, txn), None
    ordered = sorted_matches(entries, selection, len(records.prefix), keep=False, place=place)
    return (stored for stored, _ in ordered)


def _places_need_no_dict(selection: Selection) -> bool:
    """Whether a scan gives all that the records are sorted by, without their dicts."""
    return _can_scan(selection) and bool(_names(selection.order))


def scan_span(
    records: StoredRecords[Any, Any],
    selection: Selection,
    span: Span,
    txn: Transaction | None = None,
) -> Iterator[Match]:
    """The records in a span that match the filters, in key order or the opposite order."""
    filters = selection.filters
    selectors = [each.selector for each in filters if each.selector is not None]
    if not selectors:
        return scan.matches(records, span, filters, txn=txn)
    listed = list(scan.matches(records, records.span, txn=txn))
    values = [value for _, value in listed]
    places = {*range(len(listed))}.intersection(*(select(values) for select in selectors))
    predicates = [each.predicate for each in filters if each.predicate is not None]
    return (
        listed[place]
        for place in sorted(places, reverse=span.reverse)
        if listed[place][0] in span and all(test(values[place]) for test in predicates)
    )


def _names(paths: Sequence[FieldPath]) -> list[list[str]]:
    """The names that the paths are made of. Empty if a path has other steps too."""
    found = []
    for path in paths:
        names = [step for step in path.steps or () if isinstance(step, str)]
        if not names or len(names) != len(path.steps or ()):
            return []
        found.append(names)
    return found


def _can_scan(selection: Selection) -> bool:
    """Whether the matches are found one record at a time."""
    return all(each.selector is None for each in selection.filters)
