"""Some figures of a store: what `store.stats()` gives."""

from typing import Any

from .claims import collection_names, count_key, namespace_names, read_count
from .database import Database
from .database_reader import DATA


def figures(database: Database) -> dict[str, Any]:
    """Entries, formats and collections of a store, and what its engine says. One transaction."""
    with database.reading() as txn:
        metadata = database.codec_at(txn).metadata
        counts = {name: read_count(txn, count_key(name)) for name in collection_names(txn)}
        spaces = {
            f"{name}/": read_count(txn, count_key(name), kind="namespace")
            for name in namespace_names(txn)
        }
        entries = txn.count(DATA)
    return {
        "entries": entries,
        "serializer": metadata.write.serializer,
        "checksums": metadata.checksums,
        "collections": counts,
        "namespaces": spaces,
        **database.engine.stats(),
    }
