"""Makes counts and indexes again where records were edited by hand: see `stones.stores`.

An editor of a file knows nothing of counts, of indexes, or of the fields that each record has. So
all that the store derives from the records is made from them again.
"""

from attrs import evolve

from stones.collections.indexes.definition import read_definitions
from stones.engine import Transaction
from stones.formats.generation import next_generation
from stones.stores.claims import (
    collection_names,
    count_key,
    namespace_names,
    write_collection,
)
from stones.stores.database import Database
from stones.stores.database_reader import DATA
from stones.stores.spans import prefix_span

from .description import Description, Shape
from .index_building import IndexBuilder, sweep_step
from .stored_indexes import StoredIndexes, restart


def renew_collections(database: Database) -> None:
    """Count the records of all collections, and build all their indexes, from the records.

    The entries of namespaces are counted too. If two records have the same values in a unique
    index, its state is that its build has failed.
    """
    with database.writing() as txn:
        collections = [StoredIndexes(database, name) for name in collection_names(txn)]
        for stored in collections:
            _renew(txn, stored)
        for name in namespace_names(txn):
            span = prefix_span(name.encode() + b"/")
            _set_count(txn, name, sum(1 for _ in txn.keys(DATA, span.start, span.stop)))
        next_generation(txn)
        database.reload(txn)
        for stored in collections:
            builder = IndexBuilder(database, stored)
            while builder.step(txn) is not None:
                pass
        while sweep_step(txn):
            pass


def _renew(txn: Transaction, stored: StoredIndexes) -> None:
    span = prefix_span(stored.prefix)
    count = 0
    names: set[str] | None = None
    for key, raw in txn.scan(DATA, span.start, span.stop):
        count += 1
        record = stored.decode(key, raw) or {}
        names = {*record} if names is None else names & record.keys()
    _set_count(txn, stored.name, count)
    description = stored.description(txn)
    if description is not None:
        edited = _edited(description, names or set())
        if edited != description:
            write_collection(txn, stored.name, edited.stored())
    for definition in read_definitions(txn, stored.name):
        restart(txn, stored.name, definition)


def _set_count(txn: Transaction, name: str, count: int) -> None:
    counted = count_key(name)
    txn.drop_sum(counted)
    txn.add(counted, count)


def _edited(description: Description, in_all: set[str]) -> Description:
    """The description, where every record has the fields `in_all`, and maybe no others."""
    records, *nested = description.shapes
    missing = {*records.fields} - in_all
    shapes = [_with_absent(records, missing), *(_with_absent(x, {*x.fields}) for x in nested)]
    # Records that have had other steps have other fields. So any record may lack a field.
    is_mixed = bool(description.later)
    later = {
        step: tuple(_with_absent(x, {*x.fields}) for x in each)
        for step, each in description.later.items()
    }
    if is_mixed:
        shapes = [_with_absent(x, {*x.fields}) for x in description.shapes]
    return evolve(description, shapes=tuple(shapes), later=later)


def _with_absent(shape: Shape, missing: set[str]) -> Shape:
    missing = missing - shape.defaults.keys() | {*shape.absent}
    return evolve(shape, absent=tuple(name for name in shape.fields if name in missing))
