"""The values of the records of a selection, from the entries of an index that covers them."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from stones.collections.indexes.encoding import MISSING
from stones.collections.language.field_paths import FieldPath
from stones.collections.language.predicates import all_of
from stones.collections.stored_records import StoredRecords
from stones.engine import Transaction

from .covering import Cover, Row, rows
from .probing import most_keys
from .record_fetching import fetch
from .selection import Selection, part, span_in_key_order

Found = tuple[bytes, tuple[Sequence[Any], ...]]
"""A stored key, and what each path finds in the record."""


def covered_values(
    records: StoredRecords[Any, Any],
    selection: Selection,
    paths: Sequence[FieldPath],
    cover: Cover,
    txn: Transaction,
    *,
    any_order: bool,
) -> Iterator[Found] | None:
    """What `execution.values` gives. None if there are too many to sort them by their keys.

    With `any_order` they need not be sorted, but equal values keep the order of their keys.
    """
    prefix = records.prefix
    is_whole = selection.span == records.span
    if any_order and cover.is_single and is_whole and not selection.is_part:
        return _values(records, selection, paths, rows(txn, cover), txn)
    count = records.count()
    most = most_keys(count)
    if not selection.filters and count > most:
        return None
    found = list(islice(rows(txn, cover), most + 1))
    if len(found) > most:
        return None
    span = span_in_key_order(selection, prefix)
    found.sort(key=lambda row: row[0], reverse=span.reverse)
    inside = (row for row in found if prefix + row[0] in span)
    return part(_values(records, selection, paths, inside, txn), selection)


def _values(
    records: StoredRecords[Any, Any],
    selection: Selection,
    paths: Sequence[FieldPath],
    found: Iterator[Row],
    txn: Transaction,
) -> Iterator[Found]:
    """The values of rows, in their order. The records that must be asked are read."""
    prefix, finders = records.prefix, [path.find for path in paths]
    tests = [each.predicate for each in selection.filters if each.predicate is not None]
    test = all_of(tests) if tests else _is_anything
    while batch := list(islice(found, 500)):
        asked = [prefix + key for key, values in batch if values is None]
        known = dict(fetch(records, txn, asked, test)) if asked else {}
        for key, values in batch:
            stored = prefix + key
            if values is not None:
                yield stored, tuple([() if value is MISSING else (value,) for value in values])
            elif stored in known:
                record = known[stored]
                yield stored, tuple([find(record) for find in finders])


def _is_anything(_: Any) -> bool:
    return True
