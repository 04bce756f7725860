"""Builds the indexes of a salvaged store from the records that were saved.

The entries in the damaged file are not read. The definitions are, and get new ids.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from attrs import evolve

from stones.collections.index_building import IndexBuilder
from stones.collections.indexes.definition import (
    IndexDefinition,
    all_definitions,
    next_id,
    write_definition,
)
from stones.collections.stored_indexes import StoredIndexes
from stones.engine import Engine, Space, Transaction
from stones.errors import FormatMismatchError
from stones.formats.request import FormatRequest
from stones.stores.database import Database
from stones.stores.spans import after_prefix

from .findings import DamageFinding
from .index_check import PICKLED, IndexReport


def build_indexes(
    engine: Engine,
    definitions: Mapping[bytes, tuple[IndexDefinition, ...]],
    request: FormatRequest,
) -> tuple[tuple[IndexReport, ...], list[DamageFinding]]:
    """Define the indexes of each collection, and build them. Reports them, and what is lost.

    An index whose records may not be decoded is left `building`. The engine is closed at the end.
    """
    engine.write(partial(_define, definitions))
    database = Database(engine, name="the salvaged store")  # it closes the engine when it goes
    unchecked = _build_all(database, [name.decode() for name in definitions], request)
    reports, lost = [], []
    for name, index, count in engine.read(lambda txn: [*_counted(txn)]):
        reports.append(
            IndexReport(name, index.name, index.state, count, index.problem, unchecked.get(name))
        )
        before = {each.name: each.state for each in definitions[name.encode()]}
        if index.state == "failed" and before[index.name] != "failed":
            what = f"the index {index.name!r} of the collection {name!r} has failed"
            lost.append(DamageFinding(f"{what}: {index.problem}"))
    return tuple(reports), lost


def _define(definitions: Mapping[bytes, tuple[IndexDefinition, ...]], txn: Transaction) -> None:
    for collection, indexes in definitions.items():
        for index in indexes:
            new = evolve(index, id=next_id(txn), state="building", at=b"", problem="")
            write_definition(txn, collection.decode(), new)


def _build_all(database: Database, names: list[str], request: FormatRequest) -> dict[str, str]:
    """Build the indexes of these collections. Gives those that cannot be built, and why."""
    try:
        database.open(evolve(request, name=None) if request.custom is None else request)
    except FormatMismatchError:  # the serializer of new values is not known here
        return dict.fromkeys(names, PICKLED)
    unbuilt = {}
    for name in names:
        try:
            _build(database, name)
        except FormatMismatchError:
            unbuilt[name] = PICKLED
    return unbuilt


def _build(database: Database, name: str) -> None:
    builder = IndexBuilder(database, StoredIndexes(database, name))
    step: int | None = 0
    while step is not None:
        with database.writing() as txn:
            step = builder.step(txn)
    builder.sweep()


def _counted(txn: Transaction) -> Iterator[tuple[str, IndexDefinition, int]]:
    """All indexes, with the names of their collections and the numbers of their entries."""
    for name, index in all_definitions(txn):
        entries = txn.keys(Space.INDEX, index.prefix, after_prefix(index.prefix))
        yield name, index, sum(1 for _ in entries)
