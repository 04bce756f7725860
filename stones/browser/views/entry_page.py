"""One entry of a store: its key and its value as bytes, and as a tree if it can be decoded."""

from typing import Any

from attrs import evolve, frozen

from stones.collections.keys import key_codec
from stones.collections.typed_keys import key_type, show_parts
from stones.errors import StoneError
from stones.formats.registered_types import unknown_types_kept
from stones.stores.claims import NAMESPACE, read_collection
from stones.stores.database_reader import DATA
from stones.stores.key_text import parse_key, show_key
from stones.stores.reader import Reader

from .stored_value import DumpLine, StoredValue, dump
from .texts import printable
from .value_tree import Node, tree

MOST_KEY = 2000


@frozen
class EntryPage:
    """One entry of a store."""

    key: str
    """The key as `show_key` shows it."""
    shown: str
    """The same, cut if it is long."""
    key_size: int
    """The bytes of the key."""
    key_dump: tuple[DumpLine, ...]
    stored: StoredValue
    dump: tuple[DumpLine, ...]
    """The first bytes of the value."""
    bytes_left: int
    """How many bytes of the value are not in `dump`."""
    root: Node | None = None
    """The value. None if it cannot be decoded."""
    problem: str = ""
    """Why it cannot be decoded."""
    collection: str = ""
    """The collection that the entry is a record of, if it is."""
    parts: tuple[str, ...] = ()
    """The parts of the key of this record."""

    @classmethod
    def of(cls, store: Reader[Any, Any], text: str) -> "EntryPage | None":
        """The entry whose key `show_key` shows as `text`. None if there is none.

        A pickle is decoded only if the store was opened so that it trusts pickles.
        """
        try:
            key = parse_key(text)
        except ValueError:
            return None
        database = store.database
        with database.reading() as txn:
            raw = txn.get(DATA, key) if key else None
            codec = database.codec_at(txn)
        if raw is None:
            return None
        lines = dump(raw)
        collection, parts = _record_of(store, key)
        page = cls(
            show_key(key),
            printable(show_key(key), MOST_KEY),
            len(key),
            dump(key),
            StoredValue.of(database, codec, key, raw),
            lines,
            len(raw) - sum(len(line.text) for line in lines),
            collection=collection,
            parts=parts,
        )
        if not page.stored.may_be_decoded:
            return evolve(page, problem="it is too large to be decoded here")
        try:
            with unknown_types_kept():
                return evolve(page, root=tree(codec.decode(key, raw)))
        except StoneError as error:
            return evolve(page, problem=printable(str(error), 1000))


def _record_of(store: Reader[Any, Any], key: bytes) -> tuple[str, tuple[str, ...]]:
    """The name of the collection of a key, and the parts of the key in it."""
    head, slash, rest = key.partition(b"/")
    name = head.decode("utf-8", "replace")
    if not slash or not name.isprintable() or name.encode() != head:
        return "", ()
    with store.database.reading() as txn:
        described = read_collection(txn, name)
    if described is None or described == NAMESPACE:
        return "", ()
    try:
        annotation = key_type(store, name)
        return name, tuple(show_parts(annotation, key_codec(annotation).decode(rest)))
    except StoneError:  # the description or the key is damaged
        return "", ()
