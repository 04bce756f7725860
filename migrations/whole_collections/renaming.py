"""Gives a collection another name, in one transaction."""

from stones.collections.indexes.definition import note_progress
from stones.collections.presence import FORMER_NAMES
from stones.engine import Transaction
from stones.errors import CollectionError
from stones.formats.generation import next_generation
from stones.stores.claims import add_to_count, count_key, write_collection
from stones.stores.database import Database
from stones.stores.database_reader import DATA

from .stored_collection import StoredCollection
from .stored_values import entry_batches, mover


def rename_collection(database: Database, txn: Transaction, old: str, new: str) -> None:
    """Rename the collection `old`. See `Collection.rename`.

    Entries of indexes stay as they are: they have the id of their definition and the keys of
    records, and no name.
    """
    source, target = StoredCollection(database, txn, old), StoredCollection(database, txn, new)
    if old == new:
        raise CollectionError(f"the collection has the name {new!r} already: nothing was changed")
    description = source.settled_description()
    target.check_free()
    definitions, count = source.indexes(), source.count()
    source.copy_ledger(target)
    source.copy_rules(target)
    move_records(source, target)
    txn.delete_range(DATA, source.span.start, source.span.stop)
    source.remove_metadata()
    former = [name for name in description.get(FORMER_NAMES, ()) if name != new]
    write_collection(txn, new, {**description, FORMER_NAMES: [*former, old]})
    for index in definitions:
        note_progress(txn, new, index)
    if count:
        add_to_count(txn, count_key(new), count)
    next_generation(txn)
    database.reload(txn)


def move_records(source: StoredCollection, target: StoredCollection) -> None:
    """Write the records of a collection under another name too."""
    txn = source.txn
    moved, start = mover(source.database.codec), len(source.prefix)
    for batch in entry_batches(txn, source.span):
        entries = []
        for old, raw in batch:
            new = target.prefix + old[start:]
            target.check_key(new, source)
            entries.append((new, moved(old, new, raw)))
        txn.put_many(DATA, entries)
