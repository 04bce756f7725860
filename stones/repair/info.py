"""The formats, collections and sizes of a store, found without decoding a value.

`stones info` prints them. So it also works on values that are not trusted or cannot be decoded, on
a database of stones 0.3, and while other processes write.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from stones.collections.indexes.definition import State, read_definitions
from stones.collections.record_steps import StepState
from stones.engine import Engine, Space, Transaction
from stones.formats.layout import read_layout
from stones.formats.metadata import Metadata, read_metadata
from stones.formats.stones03_codec import check_table
from stones.stores.claims import collection_names, namespace_names, read_collection
from stones.stores.existing import check_lmdb_options, lmdb_path, open_database, shown_url
from stones.stores.key_text import show_key
from stones.stores.store import Store

from .format_use import FormatUse, Frames, format_use

MOST_PREFIXES = 1000
"""So many prefixes of keys are told apart."""
_PREFIX = re.compile(rb"[^/:]*[/:]")


@frozen
class RuleUse:
    """A part of a store whose new values have another format than the rest."""

    prefix: str
    """What the keys of this part begin with."""
    format: str
    """The format, in words: "json, compressed by zstd"."""


@frozen
class IndexUse:
    """An index of a collection, and its entries."""

    name: str
    """The name of the index: 'age', 'country,age'."""
    state: State
    """`ready`, `building` until each record is in it, or `failed`."""
    unique: bool
    """Whether no two records may have the same values."""
    entries: int
    """How many entries there are."""


@frozen
class CollectionUse:
    """A collection of a store, and the space that its records take."""

    name: str
    """The name of the collection."""
    record: str | None
    """The name of the class of the records. None if the description is damaged."""
    key: str | None
    """The type of the keys. None if the description is damaged."""
    records: int
    """How many records there are."""
    size: int
    """The bytes of the records with their keys."""
    indexes: tuple[IndexUse, ...] = ()
    """The indexes, the oldest first."""
    step: int = 0
    """The step of its migrations that all records have had."""
    to_step: int | None = None
    """The step that they are brought to. None if no migration of them is under way."""


@frozen
class NamespaceUse:
    """A namespace of a store, and the space that its entries take."""

    name: str
    """The name, with the slash."""
    entries: int
    """How many entries there are."""
    size: int
    """The bytes of the entries with their keys."""


@frozen
class PrefixUse:
    """The entries of no collection and no namespace whose keys begin alike."""

    prefix: str
    """What the keys begin with, up to the first slash or colon. Empty for keys without one."""
    entries: int
    """How many entries there are."""
    size: int
    """The bytes of the entries with their keys."""


@frozen
class StoreInfo:
    """The formats, collections and sizes of a store at one moment.

    >>> from attrs import define
    >>> from stones import Collection, LmdbStore, inspect, key, stone
    >>> @define
    ... class City:
    ...     name: str = key()
    ...     people: int
    >>> with stone('cities-db', LmdbStore, serialize='json') as store:
    ...     Collection(store, City).add(City('Bonn', 330_000))
    'Bonn'
    >>> info = inspect('cities-db')
    >>> info.serializer, info.entries, info.migrating
    ('json', 1, False)
    >>> [(found.name, found.key, found.records) for found in info.collections]
    [('City', 'str', 1)]
    """

    path: str
    """The path or URL as it was given, without a password; for an open store, its name."""
    version: str
    """The layout: "1", "2" if the store has had an index, "3" if records have had steps.

    It is "0.3" for a database of stones 0.3, and for dbm files of another program.
    """
    serializer: str | None
    """The serializer of new values. None for the layout "0.3", where it is not noted."""
    checksums: bool
    """Whether new values get a checksum."""
    migrating: bool
    """Whether a migration to the format of new values has begun and not ended."""
    entries: int
    """How many entries there are, records included."""
    size: int
    """The bytes of all keys and values."""
    index_entries: int
    """How many entries the indexes of the collections have."""
    file_size: int | None
    """The bytes of the file. None if the engine does not tell."""
    used_size: int | None
    """The bytes of the file that are in use. None if the engine does not tell."""
    formats: tuple[FormatUse, ...]
    """The formats of the values, and the format of new values, the most frequent first."""
    collections: tuple[CollectionUse, ...]
    """The collections, in the order of their names."""
    namespaces: tuple[NamespaceUse, ...] = ()
    """The namespaces, in the order of their names."""
    compression: str | None = None
    """How new values are compressed: 'zstd', or None."""
    encrypted: bool = False
    """Whether new values are encrypted."""
    prefixes: tuple[PrefixUse, ...] = ()
    """The other entries by what their keys begin with, in order. From the 1,001st prefix on they
    count as keys without one."""
    rules: tuple[RuleUse, ...] = ()
    """The parts of the store that have another format, in the order of their prefixes."""


def inspect(
    place: str | bytes | os.PathLike[str] | os.PathLike[bytes] | Store[Any, Any],
    *,
    table: bytes | None = None,
) -> StoreInfo:
    """The formats, collections and sizes of a store, from one snapshot if its engine has them.

    `place` is the path of an LMDB store, the URL of any store, or an open store.

    It reads all entries once, in constant memory, and decodes no value. Other processes may write
    to the store at the same time. `table` is the table with the values of a stones 0.3 database.

    Raises StoreOpenError if there is no store, FormatMismatchError for a store of a later version.

    >>> from stones import LmdbStore, inspect, stone
    >>> with stone('some-db', LmdbStore, serialize='json') as store:
    ...     store.update(one=1, two=2)
    >>> found = inspect('some-db')
    >>> found.entries, found.serializer, found.checksums
    (2, 'json', False)
    >>> found.formats
    (FormatUse(id=2, checksums=False, serializer='json', values=2, size=4, compression=None, \
encrypted=False, plain_size=4, dictionary_size=0),)
    """
    check_table(table)
    if isinstance(place, Store):
        return _inspected(place.database.engine, place.database.name)
    path = lmdb_path(place)
    if path is not None:
        return _inspect_lmdb(path, table)
    check_lmdb_options(place, table)
    assert isinstance(place, str)
    with open_database(place, readonly=True) as database:
        return _inspected(database.engine, shown_url(place))


def _inspect_lmdb(path: str, table: bytes | None) -> StoreInfo:
    from stones.engines.lmdb.engine import LmdbEngine  # it loads the client of LMDB

    engine = LmdbEngine.open(path, readonly=True, create=False, table=table)
    try:
        return _inspected(engine, path)
    finally:
        engine.close()


def _inspected(engine: Engine, name: str) -> StoreInfo:
    sizes = engine.stats()
    return engine.read(lambda txn: _read_info(txn, read_metadata(txn), name, sizes))


def _read_info(
    txn: Transaction, metadata: Metadata | None, path: str, sizes: Mapping[str, Any]
) -> StoreInfo:
    collections = {name: read_collection(txn, name) or {} for name in collection_names(txn)}
    namespaces = list(namespace_names(txn))
    claimed = {*collections, *namespaces}
    indexes = {name: read_definitions(txn, name) for name in collections}
    entries = Counter(key[:4] for keys, _ in txn.pages(Space.INDEX, values=False) for key in keys)
    values, value_size = Counter[int | None](), Counter[int | None]()
    frames = Frames(metadata)
    records, record_size = Counter[str](), Counter[str]()
    others, other_size = Counter[bytes](), Counter[bytes]()
    size = 0
    for keys, raws in txn.pages(Space.DATA):
        for key, raw in zip(keys, raws, strict=True):
            first = raw[0] if raw and metadata is not None else None
            values[first] += 1
            value_size[first] += len(raw)
            if first in frames.compressed:
                frames.add(first, raw)
            size += len(key) + len(raw)
            name_bytes, slash, _ = key.partition(b"/")
            name = name_bytes.decode("utf-8", "replace")
            if slash and name in claimed:
                records[name] += 1
                record_size[name] += len(key) + len(raw)
                continue
            head = _PREFIX.match(key)
            prefix = head[0] if head is not None else b""
            if len(others) >= MOST_PREFIXES and prefix not in others:
                prefix = b""
            others[prefix] += 1
            other_size[prefix] += len(key) + len(raw)
    count = values.total()
    if metadata is not None:
        values[metadata.first] += 0  # the format of new values is listed though no value has it
    return StoreInfo(
        path=path,
        version="0.3" if metadata is None else read_layout(txn),
        serializer=None if metadata is None else metadata.write.serializer,
        checksums=metadata is not None and metadata.checksums,
        migrating=metadata is not None and metadata.migration is not None,
        entries=count,
        size=size,
        index_entries=entries.total(),
        file_size=sizes.get("file_size"),
        used_size=sizes.get("used_size"),
        formats=tuple(
            format_use(first, metadata, count, value_size[first], frames)
            for first, count in values.most_common()
        ),
        collections=tuple(
            CollectionUse(
                name,
                _text(description, "record"),
                _text(description, "key"),
                records[name],
                record_size[name],
                tuple(
                    IndexUse(index.name, index.state, index.unique, entries[index.prefix])
                    for index in indexes[name]
                ),
                *_steps(description),
            )
            for name, description in collections.items()
        ),
        namespaces=tuple(
            NamespaceUse(f"{name}/", records[name], record_size[name]) for name in namespaces
        ),
        compression=None if metadata is None else metadata.write.compression,
        encrypted=metadata is not None and metadata.write.encryption is not None,
        prefixes=tuple(
            PrefixUse(show_key(prefix), others[prefix], other_size[prefix])
            for prefix in sorted(others)
        ),
        rules=() if metadata is None else _rules(metadata),
    )


def _rules(metadata: Metadata) -> tuple[RuleUse, ...]:
    return tuple(
        RuleUse(
            prefix.decode("utf-8", "replace"),
            evolve(metadata, write=metadata.formats[id]).write_name,
        )
        for prefix, id in sorted(metadata.rules.items())
    )


def _steps(description: Mapping[str, Any]) -> tuple[int, int | None]:
    try:
        steps = StepState.from_numbers(description.get("steps", {}))
    except ValueError:
        return 0, None
    return steps.done, steps.to


def _text(description: Mapping[str, Any], name: str) -> str | None:
    found = description.get(name)
    return found if isinstance(found, str) else None
