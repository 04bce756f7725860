"""The shortest way to one record: `find(nick='ada')`, where the field is the key or has an index.

A query that wants one value of the key, or of a unique index, needs no plan. So none is made. The
answer is the one that a plan would give.
"""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from jsonpath_ng.jsonpath import Fields, This

from stones.collections.indexes.encoding import OTHER, encode
from stones.collections.indexes.entries import VALUES_SIZE
from stones.collections.keys import KeyCodec
from stones.collections.language.nodes import Child, Expression
from stones.collections.language.syntax_tree import BoundComparison, BoundValue
from stones.collections.stored_records import StoredRecords
from stones.engine import Space, Transaction
from stones.errors import InvalidKeyError

from .record_fetching import fetch
from .result_order import Match
from .selection import AUTO, Selection


@frozen
class Point:
    """Where a value of one field leads to one record at most."""

    prefix: bytes = b""
    """The beginning of the entries of a unique index."""
    codec: KeyCodec[Any] | None = None
    """How keys are written, if the field is the key."""
    kind: type | None = None
    """The type of the keys."""


def is_point(selection: Selection) -> bool:
    """Whether a query may want one value of one field. `point_matches` knows."""
    filters = selection.filters
    return (
        len(filters) == 1
        and len(filters[0].expressions) == 1
        and not selection.order
        and selection.using is AUTO
        and selection.after is None
        and not selection.offset
        and selection.limit != 0
    )


def point_matches(
    records: StoredRecords[Any, Any],
    selection: Selection,
    txn: Transaction,
    points: dict[str, Point],
) -> list[Match] | None:
    """The record that matches, if a query for which `is_point` wants one value of one field.

    None for other queries. `points` are the fields with a value for one record at most.
    """
    found = _field_and_value(selection)
    point = None if found is None else points.get(found[0])
    if found is None or point is None:
        return None
    value = found[1]
    keys = _by_key(point, value) if point.codec is not None else _by_index(txn, point, value)
    if keys is None:
        return None
    stored = [records.prefix + key for key in keys]
    if not stored or stored[0] not in selection.span:
        return []
    if len(stored[0]) > records.database.max_key_size:
        return []
    test = selection.filters[0].predicate
    return [*fetch(records, txn, stored, test)] if test is not None else None


def _field_and_value(selection: Selection) -> tuple[str, Any] | None:
    """The field and the value of `find(field=value)`, or of `@.field == {value}`."""
    node: Any = selection.filters[0].expressions[0]
    if type(node) not in (Expression, BoundComparison) or node.op not in ("==", "="):
        return None
    target, value = node.target, node.value
    if type(target) is Child and type(target.left) is This:
        target = target.right
    if type(target) is not Fields or len(target.fields) != 1:
        return None
    return target.fields[0], value.value if type(value) is BoundValue else value


def _by_key(point: Point, value: Any) -> Sequence[bytes] | None:
    """The key of the record, if there may be one. None if that is not known."""
    if type(value) is not point.kind or point.codec is None:
        return None
    try:
        return (point.codec.encode(value),)
    except InvalidKeyError:
        return ()


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
