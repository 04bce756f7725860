"""Compares every entry of the indexes of a collection with every record, both ways.

One pass goes through the records and looks up the entries that each must have. The other goes
through the entries and looks up the record that each belongs to. Memory is bounded by some hundred
records. `stones check` reports what is found here.
"""

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from stones.engine import Space, Transaction
from stones.errors import CorruptValueError
from stones.stores.spans import Span, after_prefix

from .definition import IndexDefinition
from .entries import parse
from .maintenance import INDEX, RecordIndexes


@frozen
class IndexProblem:
    """One difference between an index and the records."""

    index: str
    """The name of the index."""
    key: bytes
    """The key of the record, without the prefix of the collection."""
    entry: bytes
    """The key of the entry."""
    reason: str
    """What is wrong: `missing`, `stale`, `damaged`, or `wrong` for a wrong value of the entry."""


def verify(
    txn: Transaction,
    indexes: RecordIndexes,
    span: Span,
    decode: Callable[[bytes, bytes], Any],
) -> Iterator[IndexProblem]:
    """The differences, as one transaction sees them. O(records and entries).

    `span` has the records. `decode` makes the dict of a stored key and value, or None for a damaged
    record. An index that is being built has the records up to its place, and may have later ones.
    """
    yield from _missing_entries(txn, indexes, span, decode)
    for definition in indexes.definitions:
        yield from _stale_entries(txn, indexes, definition, span, decode)


def _missing_entries(
    txn: Transaction,
    indexes: RecordIndexes,
    span: Span,
    decode: Callable[[bytes, bytes], Any],
) -> Iterator[IndexProblem]:
    size = len(span.start)
    names = {index.prefix: index for index in indexes.definitions}
    for keys, values in txn.pages(Space.DATA, span.start, span.stop):
        expected: list[tuple[bytes, bytes, bytes]] = []
        for stored, raw in zip(keys, values, strict=True):
            record = indexes.seen(decode(stored, raw))
            if record is not None:
                key = stored[size:]
                expected += [(key, *entry) for entry in indexes.entries(record, key).items()]
        expected.sort(key=lambda each: each[1])
        found = txn.get_many(INDEX, [entry for _, entry, _ in expected])
        for (key, entry, value), present in zip(expected, found, strict=True):
            index = names[entry[:4]]
            if present != value and _is_taken_in(index, key):
                reason = "missing" if present is None else "wrong"
                yield IndexProblem(index.name, key, entry, reason)


def _stale_entries(
    txn: Transaction,
    indexes: RecordIndexes,
    index: IndexDefinition,
    span: Span,
    decode: Callable[[bytes, bytes], Any],
) -> Iterator[IndexProblem]:
    maker = indexes.maker_of(index)
    for entries, values in txn.pages(INDEX, index.prefix, after_prefix(index.prefix)):
        keys: list[bytes | None] = []
        for entry, value in zip(entries, values, strict=True):
            try:
                keys.append(parse(index, entry, value).key)
            except CorruptValueError:
                keys.append(None)
        stored = [span.start + (key or b"") for key in keys]
        for entry, key, place, raw in zip(
            entries, keys, stored, txn.get_many(Space.DATA, stored), strict=True
        ):
            if key is None:
                yield IndexProblem(index.name, b"", entry, "damaged")
                continue
            record = None if raw is None else indexes.seen(decode(place, raw))
            if record is None or entry not in maker(record, key):
                yield IndexProblem(index.name, key, entry, "stale")


def _is_taken_in(index: IndexDefinition, key: bytes) -> bool:
    """Whether the build has come to a record."""
    return index.state != "building" or (index.at != b"" and key <= index.at)
