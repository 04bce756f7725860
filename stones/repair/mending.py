"""Mends what is derived from the records: the counts of collections, and the indexes.

Other processes may write meanwhile. So what was found is not undone as it was found. It is made
again from the records, in write transactions: a count by counting, an index by building it again
under another number. The old entries are removed in steps. Each transaction leaves a valid store.
A repair that was killed is finished by the next one, or by `Collection.build_indexes`.
"""

from collections.abc import Iterator
from contextlib import suppress

from attrs import frozen

from stones.collections.description import Description
from stones.collections.index_building import IndexBuilder, take_sweep_step
from stones.collections.indexes.definition import (
    DROPPED,
    ID_KEY,
    all_definitions,
    drop_prefix,
    dropped_prefixes,
    forget_dropped,
    is_dropped_key,
    last_id,
    read_definitions,
)
from stones.collections.stored_indexes import StoredIndexes, restart
from stones.engine import Space, Transaction
from stones.errors import CorruptValueError, FormatMismatchError
from stones.formats.layout import write_layout_with_indexes
from stones.formats.metadata import CLAIMS
from stones.stores.claims import COUNTS, claim_key, is_namespace, parse_collection
from stones.stores.database import Database
from stones.stores.spans import after_prefix, prefix_span
from stones.stores.step_keys import collection_of


@frozen
class Derived:
    """What `check` has found wrong, of what is derived from the records."""

    counts: frozenset[bytes]
    """The keys in the metadata of wrong counts."""
    metadata: frozenset[bytes]
    """The keys of the metadata with findings that can be mended."""
    indexes: frozenset[tuple[str, str]]
    """The collection and the name of each index that differs from the records."""
    orphans: frozenset[bytes]
    """The beginnings of entries that belong to no index."""


def mend(database: Database, derived: Derived) -> tuple[str, ...]:
    """Mend the store. Returns what was mended, in words.

    Raises LockTimeoutError if another process writes for too long, StorageError.
    """
    mended = database.transact(lambda txn: [*_mend_at_once(txn, database, derived)])
    return (*mended, *_finish(database))


def _mend_at_once(txn: Transaction, database: Database, derived: Derived) -> Iterator[str]:
    """What one short transaction can mend. It also has the wrong indexes built again."""
    for key in sorted(derived.counts):
        yield _count(txn, key)
    metadata = derived.metadata - derived.counts
    steps = {key for key in metadata if collection_of(key) is not None}
    metadata -= steps
    removed = [key for key in steps if _remove_step(txn, key)]
    if removed:
        yield "metadata: steps of records that are not migrated any more are removed"
    for key in sorted(metadata):
        if key.startswith(DROPPED) and not is_dropped_key(key):
            txn.delete(Space.META, key)
    if metadata:
        write_layout_with_indexes(txn)
        yield "metadata: what it tells of indexes"
        _raise_number(txn)
    last = last_id(txn)
    for prefix in sorted(derived.orphans - _prefixes_in_use(txn)):
        if len(prefix) == 4 and int.from_bytes(prefix) <= last:
            drop_prefix(txn, prefix)
        else:  # no index has had the number yet, and a new one may get it
            _remove(txn, prefix)
        yield f"the entries of an index that is not defined, {int.from_bytes(prefix)}, are removed"
    for name, wrong in sorted(derived.indexes):
        for index in read_definitions(txn, name):
            if index.name == wrong and index.has_entries:
                restart(txn, name, index)
    database.reload(txn)


def _count(txn: Transaction, key: bytes) -> str:
    name = key.removeprefix(COUNTS[0]).decode("utf-8", "replace")
    txn.delete(Space.META, key)  # an engine that keeps sums elsewhere may have an entry too
    txn.drop_sum(key)
    claim = txn.get(Space.META, claim_key(name))
    if claim is None:
        return f"the count of {name!r}, which is no collection, is removed"
    span = prefix_span(name.encode() + b"/")
    count = sum(1 for _ in txn.keys(Space.DATA, span.start, span.stop))
    txn.add(key, count)
    owner = f"namespace '{name}/'" if is_namespace(claim) else f"collection {name!r}"
    return f"the count of the {owner} is {count:,} now"


def _remove_step(txn: Transaction, key: bytes) -> bool:
    """Remove a cursor or a mark, unless a migration of its collection goes on. Was it removed?"""
    name = collection_of(key) or b""
    claim = txn.get(Space.META, CLAIMS[0] + name)
    if claim is not None and not is_namespace(claim):
        text = name.decode()
        description = Description.from_stored(text, parse_collection(text, claim))
        if description.steps.to is not None:
            return False
    return txn.delete(Space.META, key)


def _raise_number(txn: Transaction) -> None:
    """Let the number of the last index be one that is not below any that is in use.

    Entries that are to be removed and have a higher number are removed here. Those of an index that
    is in use stay.
    """
    used = [index.id for _, index in all_definitions(txn)]
    with suppress(CorruptValueError):
        used.append(last_id(txn))
    last = max(used, default=0)
    txn.put(Space.META, ID_KEY, b"%d" % last)
    in_use = _prefixes_in_use(txn)
    for prefix in dropped_prefixes(txn):
        if prefix in in_use:
            forget_dropped(txn, prefix)
        elif int.from_bytes(prefix) > last:
            _remove(txn, prefix)
            forget_dropped(txn, prefix)


def _prefixes_in_use(txn: Transaction) -> set[bytes]:
    """The beginnings of the entries that belong to an index."""
    return {index.prefix for _, index in all_definitions(txn) if index.has_entries}


def _remove(txn: Transaction, prefix: bytes) -> None:
    """Remove the entries with this number at once."""
    if len(prefix) == 4:
        txn.delete_range(Space.INDEX, prefix, after_prefix(prefix))
    else:
        txn.delete(Space.INDEX, prefix)


def _finish(database: Database) -> Iterator[str]:
    """Build every index that is not ready, and remove entries, step by step."""
    with database.reading() as read:
        building = [
            (name, index.name) for name, index in all_definitions(read) if index.state == "building"
        ]
        is_due = bool(dropped_prefixes(read))
    for name in dict(building):
        builder = IndexBuilder(database, StoredIndexes(database, name))
        with suppress(FormatMismatchError):  # its records are pickles, which are not trusted
            while builder.take_step() is not None:
                pass
    while is_due:
        is_due = take_sweep_step(database)
    with database.reading() as read:
        now = {(name, index.name): index for name, index in all_definitions(read)}
    for pair in building:
        index = now.get(pair)
        if index is None:
            continue
        result = f"has failed: {index.problem}"
        if index.state == "ready":
            result = "was built again"
        elif index.state == "building":
            result = "is left unfinished: its records are pickles, which are not trusted"
        yield f"the index {index.name!r} of the collection {pair[0]!r} {result}"
