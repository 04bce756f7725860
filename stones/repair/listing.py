"""The collections and the indexes of a store, as the metadata tells. No entry is read.

`info` measures their sizes too, for which it reads all entries.
"""

from collections.abc import Iterator

from attrs import frozen

from stones.collections.description import Description
from stones.collections.indexes.definition import IndexInfo, info_of, read_definitions
from stones.engine import Transaction
from stones.stores.claims import collection_names, count_key, read_collection, read_count
from stones.stores.database_reader import DatabaseReader


@frozen
class ListedCollection:
    """A collection of a store."""

    name: str
    """The name of the collection."""
    records: int
    """How many records it has."""
    key: str
    """The type of its keys: 'int', 'tuple[str, int]'."""
    record: str
    """The name of the class that wrote last."""
    fields: tuple[str, ...]
    """The names of the fields that records have, or have had."""
    indexes: tuple[IndexInfo, ...]
    """Its indexes, the oldest first."""
    step: int
    """The step of migrations that all records have had."""
    to_step: int | None
    """The step that they are brought to. None if no migration of them is under way."""


def list_collections(database: DatabaseReader) -> Iterator[ListedCollection]:
    """The collections of a store, in the order of their names. O(1) each.

    Raises CorruptValueError for damaged metadata.
    """
    with database.reading() as txn:
        for name in [*collection_names(txn)]:
            yield _listed(txn, name)


def _listed(txn: Transaction, name: str) -> ListedCollection:
    description = Description.from_stored(name, read_collection(txn, name) or {})
    return ListedCollection(
        name,
        read_count(txn, count_key(name)),
        description.key,
        description.record,
        description.fields,
        tuple(map(info_of, read_definitions(txn, name))),
        description.steps.done,
        description.steps.to,
    )
