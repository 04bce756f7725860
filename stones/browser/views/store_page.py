"""The first page: what is in a store, how large it is, and how it grows.

Counts are of now, and cost O(1) each. Sizes are those that were measured last.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from stones.browser.measurements import Measurements, Sizes
from stones.collections.description import Description
from stones.collections.indexes.definition import IndexInfo, info_of, read_definitions
from stones.engine import Transaction
from stones.errors import CorruptValueError, StoneError
from stones.repair.format_use import FormatUse
from stones.repair.info import CollectionUse, PrefixUse
from stones.stores.claims import (
    collection_names,
    count_key,
    namespace_names,
    read_collection,
    read_count,
)
from stones.stores.database_reader import DATA
from stones.stores.key_text import show_key
from stones.stores.store import Store

from .growth import GrowthPlot, growth_plots
from .prefixes import next_prefixes
from .texts import printable

MOST_ROWS = 200
"""The page has at most so many collections, and so many namespaces."""


@frozen
class IndexRow:
    """An index of a collection."""

    info: IndexInfo
    entries: int | None
    """How many entries it has. None if that was not measured."""


@frozen
class CollectionRow:
    """A collection of the store."""

    name: str
    records: int | None
    """How many records it has. None if the count is damaged."""
    key: str = ""
    """The type of its keys."""
    record: str = ""
    """The name of the class that wrote last."""
    indexes: tuple[IndexRow, ...] = ()
    size: int | None = None
    """The bytes of its records with their keys. None if that was not measured."""
    steps: str = ""
    """The steps of migrations that its records have had, in words."""
    problem: str = ""
    """What of it is damaged."""


@frozen
class NamespaceRow:
    """A namespace of the store."""

    name: str
    """The name, with the slash."""
    entries: int | None
    """How many entries it has. None if the count is damaged."""
    size: int | None = None
    """The bytes of its entries with their keys. None if that was not measured."""


@frozen
class PrefixRow:
    """Keys of no collection and no namespace that begin alike."""

    prefix: str
    """What they begin with, as `show_key` shows it; empty for keys without a slash or colon."""
    entries: int | None = None
    """How many there are. None if that was not measured."""
    size: int | None = None
    """The bytes of the entries with their keys. None if that was not measured."""


@frozen
class FileFigures:
    """What the engine tells of its file, or of its place on a server, without reading it."""

    size: int | None
    """The bytes of the file."""
    used: int | None
    """The bytes that are in use."""
    readers: int | None
    """How many read transactions have a place in the table of readers."""
    durability: str
    """How a commit is kept."""

    @property
    def fill(self) -> float | None:
        """The share of the file that is in use, from 0 to 1. None if the engine does not tell."""
        if not self.size or self.used is None:
            return None
        return min(self.used / self.size, 1.0)

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> "FileFigures":
        """The figures of `Engine.stats`."""
        return cls(
            figures.get("file_size", figures.get("size", figures.get("memory_size"))),
            figures.get("used_size"),
            figures.get("readers"),
            str(figures.get("durability", "")),
        )


@frozen
class StorePage:
    """What is in a store, how large it is, and how it grows."""

    kind: str
    """The class of the store: 'LmdbStore'."""
    entries: int | None
    """How many entries there are. None where counting would read them all."""
    format: str
    """The format of new values, in words."""
    is_migrating: bool
    """Whether values are being brought to another format."""
    file: FileFigures
    collections: tuple[CollectionRow, ...]
    collections_left: int
    """How many collections are not shown."""
    namespaces: tuple[NamespaceRow, ...]
    namespaces_left: int
    prefixes: tuple[PrefixRow, ...]
    """The other prefixes of keys."""
    has_more_prefixes: bool
    sizes: Sizes
    formats: tuple[FormatUse, ...]
    """The formats of the values. Empty if they were not measured."""
    growth: tuple[GrowthPlot, ...]
    largest: int
    """The bytes of the largest collection or namespace, at least 1: the length of a whole bar."""

    @classmethod
    def of(
        cls, store: Store[Any, Any], measurements: Measurements, *, measure: bool = False
    ) -> "StorePage":
        """The page of a store. O(collections), and no more than 200 of them.

        `measure` asks for the sizes, also of a large store.
        """
        database, engine = store.database, store.database.engine
        figures = FileFigures.of(engine.stats())
        sizes = measurements.sizes(is_asked_for=measure)
        found = sizes.found
        with database.reading() as txn:
            metadata = database.codec_at(txn).metadata
            names, spaces = [*collection_names(txn)], [*namespace_names(txn)]
            measured = {each.name: each for each in found.collections} if found else {}
            space_sizes = {each.name: each.size for each in found.namespaces} if found else {}
            collections = tuple(
                _collection(txn, name, measured.get(name)) for name in names[:MOST_ROWS]
            )
            namespaces = tuple(
                NamespaceRow(f"{name}/", _count(txn, name)[0], space_sizes.get(f"{name}/"))
                for name in spaces[:MOST_ROWS]
            )
            claimed = {f"{name}/".encode() for name in (*names, *spaces)}
            prefixes = next_prefixes(txn, b"", 50 + min(len(claimed), MOST_ROWS))
            entries = txn.count(DATA) if engine.supports.counts else None
        known = {each.prefix: each for each in found.prefixes} if found else {}
        texts = [show_key(each) for each in prefixes.found if each not in claimed]
        rows = [_prefix(text, known.get(text)) for text in texts]
        if "" in known:  # keys that have no prefix
            rows.append(_prefix("", known[""]))
        of_each = [each.size or 0 for each in collections]
        of_each += [each.size or 0 for each in namespaces]
        of_each += [each.size or 0 for each in rows]
        return cls(
            type(store).__name__,
            entries,
            metadata.write_name,
            metadata.migration is not None,
            figures,
            collections,
            max(len(names) - MOST_ROWS, 0),
            namespaces,
            max(len(spaces) - MOST_ROWS, 0),
            tuple(rows),
            prefixes.has_more,
            sizes,
            () if found is None else found.formats,
            growth_plots(measurements.samples()),
            max([1, *of_each]),
        )


def _prefix(text: str, known: PrefixUse | None) -> PrefixRow:
    return PrefixRow(text) if known is None else PrefixRow(text, known.entries, known.size)


def _collection(txn: Transaction, name: str, known: CollectionUse | None) -> CollectionRow:
    records, problem = _count(txn, name)
    size = None if known is None else known.size
    try:
        description = Description.from_stored(name, read_collection(txn, name) or {})
        definitions = read_definitions(txn, name)
    except StoneError as error:
        return CollectionRow(name, records, size=size, problem=printable(str(error), 500))
    entries = {} if known is None else {each.name: each.entries for each in known.indexes}
    steps = description.steps
    text = f"step {steps.done}" if steps.done else ""
    if steps.to is not None:
        text = f"on the way from step {steps.done} to step {steps.to}"
    return CollectionRow(
        name,
        records,
        description.key,
        description.record,
        tuple(IndexRow(info_of(each), entries.get(each.name)) for each in definitions),
        size,
        text,
        problem,
    )


def _count(txn: Transaction, name: str) -> tuple[int | None, str]:
    try:
        return read_count(txn, count_key(name)), ""
    except CorruptValueError as error:
        return None, printable(str(error), 500)
