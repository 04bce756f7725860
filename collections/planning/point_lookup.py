"""The shortest way to one record: `find(nick='ada')`, where the field is the key or has an index.

A query that wants one value of the key, or of a unique index, needs no plan. So none is made. The
answer is the one that a plan would give.
"""

from collections.abc import Sequence
from typing import Any

from jsonpath_ng.jsonpath import Fields, This

from stones.collections.indexes.encoding import OTHER, encode
from stones.collections.indexes.entries import VALUES_SIZE
from stones.collections.language.bound_filter import BoundFilter
from stones.collections.language.nodes import Child, Expression
from stones.collections.language.syntax_tree import BoundComparison, BoundValue
from stones.collections.stored_records import StoredRecords
from stones.engine import Space, Transaction
from stones.errors import InvalidKeyError

from .result_order import Match
from .selection import AUTO, Selection
from .usable_indexes import Point, UsableIndexes


def is_point(selection: Selection) -> bool:
    """Whether a query may want one value of one field. `point_matches` knows."""
    filters = selection.filters
    if len(filters) != 1 or selection.order or selection.using is not AUTO:
        return False
    if selection.after is not None or selection.offset or selection.limit == 0:
        return False
    values = filters[0].values
    return len(filters[0].expressions if values is None else values) == 1


def point_matches(
    records: StoredRecords[Any, Any],
    selection: Selection,
    txn: Transaction,
    indexes: UsableIndexes,
) -> list[Match] | None:
    """The record that matches, if a query for which `is_point` wants one value of one field.

    None for other queries.
    """
    wanted = selection.filters[0]
    found = _field_and_value(wanted)
    point = None if found is None else indexes.points.get(found[0])
    if found is None or point is None:
        return None
    name, value = found
    if point.codec is None:
        keys = _by_index(txn, point, value)
    else:
        keys = _by_key(point, value, records.database.max_key_size - len(records.prefix))
    if keys is None:
        return None
    if not keys:
        return []
    stored = records.prefix + keys[0]
    if selection.span is not records.span and stored not in selection.span:
        return []
    if indexes.reader.upgrades is None:
        raw = txn.get(Space.DATA, stored)
        if raw is None:
            return []
        record = indexes.reader.decode(stored, raw)
    else:
        record = indexes.reader.upgrades.one(stored)
        if record is None:
            return []
    if type(record) is dict:  # the test of the usual value in line: no function is made for it
        held = record.get(name)
        if type(held) is type(value) and held == value:
            return [(stored, record)]
    test = wanted.predicate
    return [(stored, record)] if test is None or test(record) else []


def _field_and_value(wanted: BoundFilter) -> tuple[str, Any] | None:
    """The field and the value of `find(field=value)`, or of `@.field == {value}`."""
    if wanted.values is not None:
        ((name, value),) = wanted.values.items()
        return name, value
    node: Any = wanted.expressions[0]
    if type(node) not in (Expression, BoundComparison) or node.op not in ("==", "="):
        return None
    target, value = node.target, node.value
    if type(target) is Child and type(target.left) is This:
        target = target.right
    if type(target) is not Fields or len(target.fields) != 1:
        return None
    return target.fields[0], value.value if type(value) is BoundValue else value


def _by_key(point: Point, value: Any, room: int) -> Sequence[bytes] | None:
    """The key of the record, if there may be one. None if that is not known."""
    if type(value) is not point.kind or point.codec is None:
        return None
    try:
        key = point.codec.encode(value)
    except InvalidKeyError:
        return ()
    return (key,) if len(key) <= room else ()


def _by_index(txn: Transaction, point: Point, value: Any) -> Sequence[bytes] | None:
    if type(value) not in (str, int):
        return None
    encoded = encode(value)
    if len(encoded) > VALUES_SIZE:
        return None
    prefix = point.prefix
    stored = txn.get(Space.INDEX, prefix + encoded)
    # A value without an order may equal this one, if its type says so.
    other = txn.keys(Space.INDEX, prefix + OTHER, prefix + _BEHIND_OTHER)
    if next(other, None) is not None:
        return None
    return () if stored is None else (stored.partition(b"\0")[2],)


_BEHIND_OTHER = bytes([OTHER[0] + 1])
