"""A page of all records in key order. Without a planner: to load one takes longer than the page."""

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from stones.collections.stored_records import StoredRecords

from .selection import Selection, most_of, part, span_in_key_order

_PAGE = 1000
"""A plain page has at most so many records. A scan reads more of them faster."""


def is_plain_page(selection: Selection) -> bool:
    """Whether a selection is a page of all records in its span, in key order."""
    return (
        selection.limit is not None
        and selection.limit + selection.offset <= _PAGE
        and not selection.filters
        and not selection.order
        and not isinstance(selection.using, str)
    )


def plain_page(
    records: StoredRecords[Any, Any], selection: Selection
) -> Iterator[tuple[bytes, Any]]:
    """The stored keys and the dicts of such a page. `StoredRecords.load` completes the dicts."""
    span = evolve(span_in_key_order(selection, records.prefix), limit=most_of(selection))
    return part(records.entries(span), selection)
