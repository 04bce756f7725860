"""What can be told of a store on disk without decoding a value: its formats, collections, sizes.

`stones info` prints it. It works while others write, on a database of stones 0.3 too, and on a
store whose values must not be read, or cannot be.
"""

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from stones.engine import Space, Transaction
from stones.engines.lmdb.engine import LmdbEngine
from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.metadata import Format, Metadata, read_metadata
from stones.stores.claims import collection_names, read_collection


@frozen
class FormatUse:
    """How many values are in a format."""

    id: int | None
    """The first byte of the values, without the bit for a checksum; None where they have none."""
    checksums: bool
    """Whether they have that bit."""
    serializer: str | None
    """None where it is not known: not listed by the store, or in a database of stones 0.3."""
    values: int
    size: int
    """Of the values, in bytes."""


@frozen
class CollectionUse:
    """How many records there are in a collection."""

    name: str
    record: str | None
    """The name of the class."""
    key: str | None
    """The type of the keys."""
    records: int
    size: int
    """Of the records with their keys, in bytes."""


@frozen
class StoreInfo:
    """What a store was at one instant."""

    path: str
    version: str
    """The stones that wrote it: "0.3", or "1"."""
    serializer: str | None
    """What new values are written by; None where stones 0.3 did not note it."""
    checksums: bool
    """Whether new values get a checksum."""
    migrating: bool
    """A migration to what new values are written in has begun, and not ended."""
    entries: int
    size: int
    """Of keys and values, in bytes."""
    index_entries: int
    file_size: int
    used_size: int
    """What is in use of the file, in bytes."""
    formats: tuple[FormatUse, ...]
    """Those that values are in, and the one that new values are written in."""
    collections: tuple[CollectionUse, ...]


def inspect(path: str | os.PathLike[str], *, table: bytes | None = None) -> StoreInfo:
    """What there is in the store at `path`. Reads through it once, in constant memory.

    `table` is the named table that a database of stones 0.3 has its values in.
    Raises StoreOpenError where there is no store, FormatMismatchError for one of a later version.
    """
    engine = LmdbEngine.open(os.fspath(path), readonly=True, create=False, table=table)
    try:
        sizes = engine.stats()
        txn = engine.begin()
        try:
            return _inspect(txn, read_metadata(txn), os.fspath(path), sizes)
        finally:
            txn.abort()
    finally:
        engine.close()


def _inspect(
    txn: Transaction, metadata: Metadata | None, path: str, sizes: dict[str, Any]
) -> StoreInfo:
    listed = metadata.formats if metadata is not None else dict[int, Format]()
    collections = {name: read_collection(txn, name) or {} for name in collection_names(txn)}
    values, value_size = Counter[int | None](), Counter[int | None]()
    records, record_size = Counter[str](), Counter[str]()
    size = 0
    for key, raw in txn.scan(Space.DATA):
        first = raw[0] if raw and metadata is not None else None
        values[first] += 1
        value_size[first] += len(raw)
        size += len(key) + len(raw)
        head, slash, _ = key.partition(b"/")
        name = head.decode("utf-8", "replace")
        if slash and name in collections:
            records[name] += 1
            record_size[name] += len(key) + len(raw)
    if metadata is not None:
        values[metadata.first] += 0
    return StoreInfo(
        path=path,
        version="0.3" if metadata is None else "1",
        serializer=None if metadata is None else metadata.write.serializer,
        checksums=metadata is not None and metadata.checksums,
        migrating=metadata is not None and metadata.migration is not None,
        entries=txn.count(Space.DATA),
        size=size,
        index_entries=txn.count(Space.INDEX),
        file_size=sizes["file_size"],
        used_size=sizes["used_size"],
        formats=tuple(
            _format_use(first, listed, count, value_size[first])
            for first, count in values.most_common()
        ),
        collections=tuple(
            CollectionUse(
                name, _text(about, "record"), _text(about, "key"), records[name], record_size[name]
            )
            for name, about in collections.items()
        ),
    )


def _format_use(
    first: int | None, listed: Mapping[int, Format], count: int, size: int
) -> FormatUse:
    if first is None:
        return FormatUse(None, False, None, count, size)
    id = first & ~CHECKSUM_BIT
    serializer = listed[id].serializer if id in listed else None
    return FormatUse(id, first >= CHECKSUM_BIT, serializer, count, size)


def _text(about: Mapping[str, Any], what: str) -> str | None:
    found = about.get(what)
    return found if isinstance(found, str) else None
