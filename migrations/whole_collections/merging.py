"""Moves all records of one collection into another one, in one transaction."""

from collections.abc import Mapping
from typing import Any

from stones.collections.declared_indexes import flags_text
from stones.collections.description import Description
from stones.collections.indexes.maintenance import EntryBatch
from stones.collections.keys import named_codec
from stones.collections.presence import FORMER_NAMES
from stones.collections.stored_indexes import StoredIndexes, reset_changed
from stones.engine import Transaction
from stones.errors import CollectionError, CorruptValueError, DuplicateKeyError, MigrationError
from stones.formats.generation import next_generation
from stones.formats.messages import show, show_count, show_key
from stones.stores.claims import add_to_count, count_key, write_collection
from stones.stores.copying import joined_description
from stones.stores.database import Database
from stones.stores.database_reader import DATA

from .copying import build_indexes, copy_indexes
from .stored_collection import StoredCollection
from .stored_values import entry_batches, mover

NAMED = 10
"""An error names at most so many duplicates, and tells how many there are."""


def merge_collection(database: Database, txn: Transaction, name: str, other: str) -> int:
    """Move all records of the collection `other` to `name`. See `Collection.merge`."""
    if name == other:
        raise CollectionError(f"{name}.merge() takes another collection: nothing was changed")
    target, source = StoredCollection(database, txn, name), StoredCollection(database, txn, other)
    added, present = source.settled_description(), target.settled_description()
    _check_fits(target, present, source, added)
    _check_indexes(target, source)
    _check_duplicates(target, source, str(present["key"]))
    joined = dict(_joined(name, present, added))
    former = [*present.get(FORMER_NAMES, ()), *added.get(FORMER_NAMES, ()), other]
    joined[FORMER_NAMES] = [known for known in dict.fromkeys(former) if known != name]
    ready = {index.name for index in target.indexes() if index.state != "failed"}
    write_collection(txn, name, joined)
    reset_changed(
        txn, name, Description.from_stored(name, present), Description.from_stored(name, joined)
    )
    next_generation(txn)
    database.reload(txn)
    count = _move(source, target)
    copy_indexes(source, target)
    build_indexes(database, txn, name, ready)
    source.remove()
    if count:
        add_to_count(txn, count_key(name), count)
    next_generation(txn)
    database.reload(txn)
    return count


def _move(source: StoredCollection, target: StoredCollection) -> int:
    """Write the records of the source to the target, with their entries in its indexes."""
    database, txn = source.database, source.txn
    indexes = StoredIndexes(database, target.name)
    kept = indexes.kept(txn)
    batch = None if kept is None else EntryBatch(kept, txn)
    moved, start, count = mover(database.codec), len(source.prefix), 0
    for entries in entry_batches(txn, source.span):
        new_entries = []
        for old, raw in entries:
            new = target.prefix + old[start:]
            target.check_key(new, source)
            written = moved(old, new, raw)
            new_entries.append((new, written))
            if batch is not None and (value := indexes.decode(new, written)) is not None:
                try:
                    batch.add(old[start:], value)
                except DuplicateKeyError as error:
                    raise _unchanged(error) from error
        txn.put_many(DATA, new_entries)
        count += len(new_entries)
    if batch is not None:
        try:
            batch.flush()
        except DuplicateKeyError as error:
            raise _unchanged(error) from error
    return count


def _unchanged(error: DuplicateKeyError) -> DuplicateKeyError:
    return DuplicateKeyError(f"{error.args[0]}; nothing was changed")


def _check_fits(
    target: StoredCollection,
    present: Mapping[str, Any],
    source: StoredCollection,
    added: Mapping[str, Any],
) -> None:
    """Raise an error if records of the source cannot be records of the target."""
    if present.get("key") != added.get("key"):
        raise CollectionError(
            f"the collection {target.name!r} has keys of type {present.get('key')!s:.80}, and "
            f"{source.name!r} has keys of type {added.get('key')!s:.80}: nothing was changed"
        )
    if present.get("steps") != added.get("steps"):
        raise MigrationError(
            f"the collections {target.name!r} and {source.name!r} have had other steps: migrate() "
            "both to the same step first; nothing was changed"
        )
    kept, others = present.get("defaults", {}), added.get("defaults", {})
    for field in kept.keys() & others.keys():
        if kept[field] != others[field]:
            raise CollectionError(
                f"records that lack the field {show(field)} read {show(kept[field])} in the "
                f"collection {target.name!r}, and {show(others[field])} in {source.name!r}: "
                "nothing was changed; write these records again in one of the two, so that each "
                "has the field"
            )


def _check_indexes(target: StoredCollection, source: StoredCollection) -> None:
    present = {index.name: index for index in target.indexes()}
    for index in source.indexes():
        known = present.get(index.name)
        if known is not None and not known.same_as(index):
            raise CollectionError(
                f"the index {index.name!r} has {flags_text(known)} in the collection "
                f"{target.name!r}, and {flags_text(index)} in {source.name!r}: nothing was "
                "changed; drop one of the two"
            )


def _check_duplicates(target: StoredCollection, source: StoredCollection, key_type: str) -> None:
    """Raise DuplicateKeyError if both have a record with the same key."""
    txn, start = source.txn, len(source.prefix)
    decode = named_codec(key_type).decode
    named: list[str] = []
    count = 0
    for batch in entry_batches(txn, source.span):
        keys = [key[start:] for key, _ in batch]
        found = txn.get_many(DATA, [target.prefix + key for key in keys])
        for key, raw in zip(keys, found, strict=True):
            if raw is None:
                continue
            count += 1
            if count <= NAMED:
                named.append(show_key(decode(key)))
    if count:
        more = f" and {count - NAMED:,} more" if count > NAMED else ""
        raise DuplicateKeyError(
            f"{show_count(count, 'key')} of {source.name!r} {'is' if count == 1 else 'are'} in "
            f"{target.name!r} too: {', '.join(named)}{more}; nothing was changed: delete these "
            "records in one of the two, or give them other keys"
        )


def _joined(name: str, present: Mapping[str, Any], added: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return joined_description(present, added)
    except (TypeError, AttributeError) as error:  # a part is not of the type that it should be
        raise CorruptValueError(
            f"what the store says of the collection {name!r} is damaged: {error}"
        ) from error
