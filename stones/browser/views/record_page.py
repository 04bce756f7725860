"""One record, as a tree with the types of its values, and how it is stored."""

from typing import Any

from attrs import evolve, frozen

from stones.collections.collection_reader import CollectionReader, queried_records
from stones.collections.keys import named_annotation
from stones.collections.typed_keys import show_parts
from stones.errors import StoneError
from stones.stores.database_reader import DATA
from stones.stores.key_text import show_key

from .stored_value import StoredValue
from .texts import printable
from .value_tree import Node, tree

MOST_KEY = 500


@frozen
class RecordPage:
    """One record of a collection."""

    collection: str
    """The name of the collection."""
    key: str
    """The key, for people."""
    parts: tuple[str, ...]
    """The parts of the key, as a URL has them."""
    key_type: str
    """The type of the key: `str`, `tuple[str, int]`."""
    stored_key: str
    """The key of the record in the store, as `show_key` shows it."""
    stored: StoredValue
    """Its bytes in the store."""
    root: Node | None = None
    """The fields of the record. None if it cannot be read."""
    problem: str = ""
    """Why it cannot be read."""

    @classmethod
    def of(cls, collection: CollectionReader[Any, Any], key: Any) -> "RecordPage | None":
        """The record with this key, or None if there is none. Two reads."""
        records = queried_records(collection).records
        database, stored = records.database, records.encode_key(key)
        with database.reading() as txn:
            raw = txn.get(DATA, stored)
            codec = database.codec_at(txn)
        if raw is None:
            return None
        annotation = named_annotation(records.type.key_codec.name)
        parts = tuple(show_parts(annotation, key))
        page = cls(
            collection.name,
            printable(", ".join(parts), MOST_KEY),
            parts,
            records.type.key_codec.name,
            show_key(stored),
            StoredValue.of(database, codec, stored, raw),
        )
        if not page.stored.may_be_decoded:
            return evolve(page, problem="it is too large to be shown here")
        try:
            record = collection[key]
            return evolve(page, root=tree(_fields(collection, record)))
        except StoneError as error:
            return evolve(page, problem=printable(str(error), 1000))
        except KeyError:  # deleted between the two reads, where a read is no snapshot
            return None


def _fields(collection: CollectionReader[Any, Any], record: Any) -> dict[str, Any]:
    return record if type(record) is dict else collection.to_dict(record)
