"""The indexes that the metadata of a store defines, read with distrust."""

from collections.abc import Iterator, Mapping

from attrs import frozen

from stones.collections.description import Description
from stones.collections.indexes.definition import (
    DROPPED,
    ID_KEY,
    INDEXES,
    IndexDefinition,
    definition_key,
    is_dropped_key,
    parse_definition,
)
from stones.collections.indexes.maintenance import RecordAccess, RecordIndexes
from stones.collections.kept_view import kept_view
from stones.collections.language.ordering import equal
from stones.collections.stored_indexes import condition
from stones.errors import CorruptValueError
from stones.formats.layout import LAYOUT
from stones.formats.messages import show

from .findings import DamageFinding


@frozen
class IndexMetadata:
    """What the metadata of a store says of indexes, as far as it can be read."""

    definitions: Mapping[bytes, tuple[IndexDefinition, ...]]
    """The indexes of each collection, by its name, the oldest first."""
    kept: Mapping[bytes, RecordIndexes]
    """What gives the entries of a record. Without the indexes that failed."""
    dropped: frozenset[bytes]
    """The beginnings of entries that are to be removed."""
    damaged: frozenset[bytes]
    """The keys of the metadata that cannot be read."""
    findings: tuple[DamageFinding, ...]
    """The damage of this part of the metadata."""


def parse_indexes(
    stored: Mapping[bytes, bytes], descriptions: Mapping[bytes, Description]
) -> IndexMetadata:
    """The indexes in these entries of the metadata."""
    definitions: dict[bytes, list[IndexDefinition]] = {}
    dropped, damaged = set(), set()
    findings = []
    for key, raw in stored.items():
        if key.startswith(INDEXES):
            try:
                definition = _definition(key, raw, descriptions)
            except CorruptValueError as error:
                damaged.add(key)
                findings.append(DamageFinding(f"metadata: {error}", key))
                continue
            collection = key.removeprefix(INDEXES).partition(b"\0")[0]
            definitions.setdefault(collection, []).append(definition)
        elif key.startswith(DROPPED):
            if is_dropped_key(key):
                dropped.add(bytes.fromhex(key.removeprefix(DROPPED).decode()))
                continue
            damaged.add(key)
            what = "metadata: an index that is to be removed has no number"
            findings.append(DamageFinding(what, key, repairable=True))
    ids = [index.id for indexes in definitions.values() for index in indexes]
    findings += _wrong_numbers(stored, ids, dropped)
    in_use = {x.prefix for each in definitions.values() for x in each if x.has_entries}
    findings += [
        DamageFinding(
            "metadata: the entries of an index that is in use are to be removed",
            DROPPED + prefix.hex().encode(),
            repairable=True,
        )
        for prefix in sorted(in_use & dropped)
    ]
    kept = {}
    for collection, indexes in definitions.items():
        indexes.sort(key=lambda index: index.id)
        try:
            kept[collection] = _kept(collection, indexes, descriptions[collection])
        except CorruptValueError as error:
            key = definition_key(collection.decode(), indexes[0].name)
            findings.append(DamageFinding(f"metadata: {error}", key))
    return IndexMetadata(
        {name: tuple(indexes) for name, indexes in definitions.items()},
        kept,
        frozenset(dropped),
        frozenset(damaged),
        tuple(findings),
    )


NO_INDEXES = IndexMetadata({}, {}, frozenset(), frozenset(), ())
"""What a store without indexes has."""


def _definition(
    key: bytes, raw: bytes, descriptions: Mapping[bytes, Description]
) -> IndexDefinition:
    """The definition in an entry. Raises CorruptValueError also for one that cannot be kept."""
    collection, definition = parse_definition(key, raw)
    if collection.encode() not in descriptions:
        raise CorruptValueError(
            f"the index {definition.name!r} is of the collection {collection[:80]!r}, which has no "
            "description"
        )
    if definition.where is not None:
        condition(definition.where)
    return definition


def _kept(
    collection: bytes, indexes: list[IndexDefinition], description: Description
) -> RecordIndexes:
    access = RecordAccess(collection.decode(), lambda _, __: None, show, equal)
    return RecordIndexes.of(indexes, access, condition, kept_view(description))


def _wrong_numbers(
    stored: Mapping[bytes, bytes], ids: list[int], dropped: set[bytes]
) -> Iterator[DamageFinding]:
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        yield DamageFinding(f"metadata: two indexes have the number {id}")
    used = max([*ids, *(int.from_bytes(prefix) for prefix in dropped)], default=0)
    last = stored.get(ID_KEY, b"0")
    if not last.isdigit() or len(last) > 10 or not used <= int(last) < 2**32 - 1:
        what = f"metadata: the number of the last index is {last[:40]!r}, and {used} is in use"
        yield DamageFinding(what, ID_KEY, repairable=True)
    if ids and stored.get(b"version") == LAYOUT:
        what = "metadata: the layout is 1, though the store has indexes"
        yield DamageFinding(what, b"version", repairable=True)
