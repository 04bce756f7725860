"""How a selection is answered: the records that match, in order, from one snapshot."""

from collections.abc import Iterator
from itertools import islice
from sys import maxsize
from typing import Any

from stones.collections.stored_records import StoredRecords

from .prefilter import required_text
from .selection import Selection

Match = tuple[bytes, Any]
"""The stored key of a record, and its dict as a query sees it."""


def matches(records: StoredRecords[Any, Any], selection: Selection) -> Iterator[Match]:
    """The matching records, in key order."""
    found = _scan(records, selection)
    return found if selection.limit is None else islice(found, min(selection.limit, maxsize))


def count(records: StoredRecords[Any, Any], selection: Selection) -> int:
    """How many records match."""
    if selection.is_everything and selection.span == records.span:
        found = records.count()
        return found if selection.limit is None else min(found, selection.limit)
    return sum(1 for _ in matches(records, selection))


def _scan(records: StoredRecords[Any, Any], selection: Selection) -> Iterator[Match]:
    filters = selection.filters
    selectors = [each.selector for each in filters if each.selector is not None]
    predicates = [each.predicate for each in filters if each.predicate is not None]
    texts = [required_text(each.expressions) for each in filters if each.predicate is not None]
    text = max((text for text in texts if text is not None), key=len, default=None)
    if selectors:
        listed = list(records.scan())
        values = [value for _, value in listed]
        places = {*range(len(listed))}.intersection(*(select(values) for select in selectors))
        start, stop = selection.span.start, selection.span.stop
        entries: Iterator[Match] = (
            listed[place]
            for place in sorted(places)
            if start <= listed[place][0] and (stop is None or listed[place][0] < stop)
        )
    else:
        entries = records.scan(text, selection.span)
    for predicate in predicates:
        entries = _filtered(entries, predicate)
    return entries


def _filtered(entries: Iterator[Match], predicate: Any) -> Iterator[Match]:
    return (entry for entry in entries if predicate(entry[1]))
