"""Takes the entries of a store into another one, with its collections: `update()` and `copy()`.

The two stores may have different serializers, so each value is decoded and encoded. The records of
a collection come with its description and its indexes. Their number is counted, and added to the
count that the collection has in the target. The entries of a namespace are counted in the same way.
`copied_indexes` says who keeps the indexes.
"""

from collections.abc import Mapping
from typing import Any

from stones.engine import Space, Transaction
from stones.errors import CollectionError, CorruptValueError, SerializerError, StoreClosedError
from stones.formats.layout import write_layout
from stones.formats.messages import show
from stones.formats.metadata import CLAIMS
from stones.formats.registered_types import unknown_types_kept
from stones.formats.serializers import SAFE
from stones.stores.namespaces.transaction import NamespaceClaim

from .claims import (
    MAX_NAME_SIZE,
    NAMESPACE,
    add_to_count,
    collection_names,
    count_key,
    namespace_names,
    read_collection,
    write_collection,
)
from .copied_indexes import CopiedIndexes, copied_indexes
from .database import Database
from .database_reader import DATA, DatabaseReader
from .dict_keys import encode_new_key
from .spans import prefix_span
from .step_keys import check_same_steps, step_entries


def copy_entries(source: DatabaseReader, target: Database, txn: Transaction) -> None:
    """Write the entries of `source` into `target`, in its write transaction `txn`.

    Reads one snapshot of `source`, in key order and in constant memory.

    Raises CollectionError if a collection or an index does not fit into `target`, ReservedKeyError
    if an entry is under the keys of a collection of `target`, SerializerError for a value that
    `target` cannot hold, DuplicateKeyError if two records would have the same values in a unique
    index. The caller undoes what was written then.
    """
    if source.engine is target.engine and isinstance(source, Database):
        return  # the same store: each entry would be replaced by itself
    with source.reading() as read:
        indexes = copied_indexes(read, target, txn)
        for name in collection_names(read):
            before = read_collection(txn, name)
            _take_collection(read, target, txn, name)
            if indexes is not None:
                indexes.take(name, before)
        for name in namespace_names(read):
            _take_namespace(target, txn, name)
        _Copy(source, read, target, txn, indexes).write()
        if indexes is not None:
            indexes.finish()


def joined_description(present: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a collection that gets the records of another one, `added`.

    The parts are explained in `stones.collections.description`. A record without a field reads its
    default from the description. The defaults that `present` keeps come first, since its records
    need them. The classes inside may have other fields in the two collections. So a query has to
    look at each of their dicts.
    """
    if all(present.get(part) == added.get(part) for part in _SHAPE_PARTS):
        return dict(present)
    fields = list(dict.fromkeys([*present.get("fields", ()), *added.get("fields", ())]))
    defaults = {**added.get("defaults", {}), **present.get("defaults", {})}
    in_both = {*present.get("fields", ())} & {*added.get("fields", ())}
    absent = {*fields} - in_both | {*present.get("absent", ()), *added.get("absent", ())}
    mixed = {*present.get("mixed", ()), *added.get("mixed", ()), *added.get("classes", ())}
    parts = {
        "defaults": defaults,
        "absent": [name for name in fields if name in absent and name not in defaults],
        "mixed": [name for name in fields if name in mixed],
    }
    return {**present, "fields": fields, **{name: part for name, part in parts.items() if part}}


_SHAPE_PARTS = ("fields", "defaults", "absent", "mixed", "classes", "nested")


def _take_namespace(target: Database, txn: Transaction, name: str) -> None:
    """Let `target` have the namespace `name` too. Raises CollectionError if that cannot be."""
    try:
        NamespaceClaim(name, target.reload).make(txn)
    except CollectionError as error:
        raise CollectionError(
            f"the namespace '{name}/' cannot be copied into {target.name!r}: {error}; nothing was "
            "written"
        ) from error


def _take_collection(read: Transaction, target: Database, txn: Transaction, name: str) -> None:
    """Let `target` have the collection `name` too. Raises CollectionError if that cannot be."""
    description = read_collection(read, name)
    if description is None:
        return
    present = read_collection(txn, name)
    if present == NAMESPACE:
        raise CollectionError(
            f"the collection {name!r} cannot be copied: {target.name!r} has a namespace of that "
            "name; nothing was written"
        )
    if present is not None:
        if present.get("key") != description.get("key"):
            raise CollectionError(
                f"the collection {name!r} has keys of type {present.get('key')!s:.80} in "
                f"{target.name!r}, and of type {description.get('key')!s:.80} in the store that is "
                "copied: nothing was written; give one of the two another name"
            )
        check_same_steps(name, target.name, present, description)
        try:
            _check_defaults(name, present, description)
            both = joined_description(present, description)
        except (TypeError, AttributeError) as error:  # a part is not of the type that it should be
            raise CorruptValueError(
                f"what the stores say of the collection {name!r} is damaged: {error}"
            ) from error
        if both != present:
            write_collection(txn, name, both)
        return
    if target.is_stones03:
        raise CollectionError(
            f"the collection {name!r} cannot be in {target.name!r}, a database of stones 0.3: "
            "re-encode it first, with migrate() or `stones migrate`"
        )
    span = prefix_span(name.encode() + b"/")
    stray = next(txn.keys(DATA, span.start, span.stop), None)
    if stray is not None:
        raise CollectionError(
            f"the collection {name!r} cannot be copied: {target.name!r} has keys that begin with "
            f"{span.start!r} but are no records, {stray!r} for one: nothing was written; move them"
        )
    write_collection(txn, name, description)
    if "steps" in description:
        write_layout(txn, 3)
        for key, raw in step_entries(read, name):
            txn.put(Space.META, key, raw)
    target.reload(txn)


def _check_defaults(name: str, present: Mapping[str, Any], added: Mapping[str, Any]) -> None:
    """Raise CollectionError for a field that would get another value in records that lack it."""
    kept, others = present.get("defaults", {}), added.get("defaults", {})
    for field in kept.keys() & others.keys():
        if kept[field] != others[field]:
            raise CollectionError(
                f"the records of the collection {name!r} that lack the field {show(field)} read "
                f"{show(kept[field])} in the one store, and {show(others[field])} in the store "
                "that is copied: nothing was written; write these records again in one of the two, "
                "so that each has the field"
            )


class _Copy:
    """The entries on their way, in key order: the records of a collection follow each other.

    Every other change of a record goes through `StoredRecords` of the collections. Whatever is kept
    about records has to be kept here too: the count, and the entries of indexes.
    """

    def __init__(
        self,
        source: DatabaseReader,
        read: Transaction,
        target: Database,
        txn: Transaction,
        indexes: CopiedIndexes | None,
    ) -> None:
        self._source = source
        self._read = read
        self._from = source.codec_at(read)
        self._target = target
        self._txn = txn
        self._indexes = indexes
        self._max_key_size = target.max_key_size
        self._prefix = b""  # of the records that are under way; empty between collections
        self._added = 0

    def write(self) -> None:
        decode, encode = self._from.decode, self._target.codec.encode
        claimed = self._target.codec.metadata.has_collections
        engine = self._source.engine
        is_safe = self._target.codec.metadata.write.serializer in SAFE
        for key, raw in self._read.scan(DATA):
            if engine.closed:
                raise StoreClosedError(f"{self._source.name!r} was closed while it was copied")
            if claimed and not (self._prefix and key.startswith(self._prefix)):
                self._enter(key)
            if len(key) > self._max_key_size:
                encode_new_key(key, self._max_key_size)  # raises
            # The packed form of a registered type is copied. So it need not be known here.
            with unknown_types_kept("all" if is_safe else None):
                value = decode(key, raw)
                try:
                    encoded = encode(key, value)
                except SerializerError as error:
                    raise SerializerError(f"the value of {key!r}: {error}") from error
            if self._prefix:
                before = self._txn.get(DATA, key)
                self._added += before is None
                if self._indexes is not None:
                    self._indexes.write(key, before, value, encoded)
            self._txn.put(DATA, key, encoded)
        self._leave()

    def _enter(self, key: bytes) -> None:
        """Begin with the records of the collection that has the key, or with a plain entry."""
        self._leave()
        name, slash, _ = key.partition(b"/")
        is_record = (
            slash
            and len(name) <= MAX_NAME_SIZE
            and self._read.get(Space.META, CLAIMS[0] + name) is not None
        )
        if is_record:
            self._prefix = name + slash
            if self._indexes is not None:
                self._indexes.enter(name.decode())
        else:
            self._target.check_unclaimed(self._txn, key)

    def _leave(self) -> None:
        """Add the records that were written to the count of their collection."""
        if self._added:
            add_to_count(self._txn, count_key(self._prefix[:-1].decode()), self._added)
        if self._indexes is not None:
            self._indexes.leave()
        self._prefix, self._added = b"", 0
