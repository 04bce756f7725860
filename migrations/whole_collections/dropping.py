"""Removes a collection with all that the store keeps of it, in one transaction."""

from stones.engine import Transaction
from stones.errors import CollectionError
from stones.formats.generation import next_generation
from stones.stores.database import Database

from .stored_collection import StoredCollection


def drop_collection(database: Database, txn: Transaction, name: str) -> None:
    """Drop the collection. See `Collection.drop`. Without effect if it was never written."""
    found = StoredCollection(database, txn, name)
    try:
        found.description()
    except CollectionError:
        return
    found.remove()
    next_generation(txn)
    database.reload(txn)
