"""Which indexes of a collection a query may use, and why it may not use the others.

An index answers only if it sees what the query sees. It must be ready, and the fields of its paths
must have the same values for both (see `stones.collections.kept_view`). What is found out is
remembered until the metadata or the description changes.
"""

from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from attrs import evolve, field, frozen

from stones.collections.keys import KeyCodec
from stones.collections.language.jsonpath import parse_filter
from stones.collections.language.normal_form import Part
from stones.collections.readable_records import RecordReader
from stones.collections.stored_records import StoredRecords
from stones.collections.view_differences import view_differs
from stones.engine import Space, Transaction
from stones.errors import StoneError

from .key_ranges import PrimaryKey, primary_key
from .plan import QueryIndex, conjuncts


@frozen
class Point:
    """Where a value of one field leads to one record at most."""

    prefix: bytes = b""
    """The beginning of the entries of a unique index."""
    codec: KeyCodec[Any] | None = None
    """How keys are written, if the field is the key."""
    kind: type | None = None
    """The type of the keys."""


@frozen(eq=False)
class UsableIndexes:
    """The indexes of a collection, as one transaction sees them."""

    usable: tuple[QueryIndex, ...]
    """The oldest first."""
    unusable: Mapping[str, str]
    """Why each of the other indexes is not used, by its name."""
    key: PrimaryKey | None
    """The primary key, if the records have it in their fields."""
    reader: RecordReader
    """What reads the stored bytes of records."""
    points: dict[str, Point] = field(factory=dict)
    """The fields whose values lead to one record at most."""
    plans: MutableMapping[Any, Any] = field(factory=dict)
    """What queries of the same form remember."""

    @property
    def is_unwritten(self) -> bool:
        """Whether no record was ever written, and so no index either."""
        return self.reader.description.raw is None


_known: "WeakKeyDictionary[StoredRecords[Any, Any], UsableIndexes]"
_known = WeakKeyDictionary()


def usable_indexes(records: StoredRecords[Any, Any], txn: Transaction) -> UsableIndexes:
    """The indexes that a transaction sees. Two reads if nothing has changed."""
    codec = records.database.codec_at(txn)  # another one for each generation of the metadata
    raw = txn.get(Space.META, records.description_key)
    known = _known.get(records)
    if known is not None and known.reader.codec is codec and known.reader.description.raw == raw:
        if known.reader.upgrades is None:
            return known
        return evolve(known, reader=records.reader_at(txn))  # it belongs to a transaction
    _known[records] = found = _find(records, txn)
    return found


def share_known(records: StoredRecords[Any, Any], copied: StoredRecords[Any, Any]) -> None:
    """Let a copy of `records` know what they know. So it reads no more than they do."""
    if records in _known:
        _known[copied] = _known[records]


def _find(records: StoredRecords[Any, Any], txn: Transaction) -> UsableIndexes:
    indexes, of_type = records.indexes, records.type
    usable: list[QueryIndex] = []
    unusable: dict[str, str] = {}
    for definition in indexes.definitions(txn):
        reason = records.why_unusable(txn, definition)
        if reason is None:
            where = () if definition.where is None else _condition(definition.where)
            usable.append(QueryIndex(definition, where=where))
        else:
            unusable[definition.name] = reason
    key = primary_key(of_type.key_fields, of_type.key_codec)
    description = indexes.description(txn)
    reader = records.reader_at(txn)
    # An upgraded record has its key in its fields, which its reader checks.
    if (
        key is not None
        and reader.upgrades is None
        and any(
            view_differs(str(path[0]), description, of_type.schema) is not None
            for path in key.paths
        )
    ):
        key = None
    if key is not None and not _holds_its_fields(records, txn, reader):
        key = None
    return UsableIndexes(tuple(usable), unusable, key, reader, _points(usable, key))


def _points(usable: list[QueryIndex], key: PrimaryKey | None) -> dict[str, Point]:
    points = {
        index.definition.paths[0]: Point(prefix=index.definition.prefix)
        for index in usable
        if index.definition.unique
        and not (index.definition.each or index.where or "." in index.definition.paths[0])
        and len(index.paths) == 1
    }
    if key is not None and len(key.paths) == 1 and key.codec.encode_parts is None:
        points[str(key.paths[0][0])] = Point(codec=key.codec, kind=key.kinds[0])
    return {name: point for name, point in points.items() if point.kind is not datetime}


def _holds_its_fields(
    records: StoredRecords[Any, Any], txn: Transaction, reader: RecordReader
) -> bool:
    """Whether the keys are the key fields of the class, as far as the first and last record tell.

    The description does not name the key fields. Another class may have had other ones.
    """
    span = records.span
    for reverse in (False, True):
        found = next(txn.scan(Space.DATA, span.start, span.stop, reverse=reverse), None)
        if found is None:
            return True
        try:
            stored, raw = found
            if reader.upgrades is None:
                record = reader.decode(stored, raw)
            else:
                record = reader.upgrades.one(stored)
            if record is None:
                continue
            values = tuple(record[name] for name in records.type.key_fields)
            if records.encode_key(values if len(values) > 1 else values[0]) != found[0]:
                return False
        except (StoneError, KeyError, TypeError):  # it tells nothing: a query meets it elsewhere
            continue
    return True


def _condition(text: str) -> tuple[Part, ...]:
    return conjuncts(parse_filter(text).bound({}).expressions)
