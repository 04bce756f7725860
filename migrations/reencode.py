"""From one serializer to another, while other threads and processes go on reading and writing.

First every value is tried, so that one which the new serializer cannot hold stops the migration
before it starts. Then the metadata names the new format as the one to write: from their next
transaction on, all processes write in it, and read any mixture (see `stones.formats`). Then the
values that are left in old formats are re-encoded in small transactions, in key order. A kill at
any point leaves a valid store, and running again finds by the format byte what is left.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import Any

from attrs import frozen

from stones import transactions
from stones.engine import Transaction
from stones.errors import MigrationError, ReadOnlyError, SerializerError, StoneError
from stones.formats import (
    IDS,
    Codec,
    LegacyCodec,
    Metadata,
    legacy_metadata,
    read_metadata,
    write_formats,
)
from stones.reader import DATA
from stones.serializers import CUSTOM, Serializer, custom_serializer, serializer
from stones.store import Snapshot, Store

Functions = tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()]
Progress = Callable[[int, int], object]

BATCH_VALUES = 500
BATCH_BYTES = 4_000_000
BATCH_SCAN = 20_000
"""So many values or bytes does a transaction re-encode, or so many look at, before others may."""


@frozen
class Migrated:
    """What a migration did: how many values it re-encoded, of how many there were at its start."""

    values: int
    total: int


def migrate(
    store: Store[Any, Any],
    to: str | None = None,
    *,
    dump_load: Functions = (),
    progress: Progress | None = None,
) -> Migrated:
    """Re-encode every value of `store` by the serializer `to`, or functions `dump_load`, online.

    Values are equal before and after. Other threads and processes that have the store open go on
    reading and writing, whatever serializer they named. May be interrupted or killed at any time;
    running it again goes on where it was. Takes constant memory, and two passes over the values.
    `progress` is called with the steps done and all the steps, about a hundred times.

    A database of stones 0.3 becomes one of ours on the way: close it in programs that use 0.3.

    Raises MigrationError, before anything is changed, for a value that `to` cannot hold or that
    cannot be read, and inside of a transaction; SerializerError for a serializer that is not known.
    """
    target = _target(to, dump_load)
    _check_possible(store, target)
    total = len(store)
    steps = _Steps(progress, max(2 * total, 1))
    values = 0
    if not _is_done(store, target):
        _check_values(store, target, steps)
        values = _reencode(store, target, _begin(store, target), steps)
    steps.finish()
    return Migrated(values, total)


def _target(to: str | None, dump_load: Functions) -> Serializer:
    if to is not None and not dump_load:
        return serializer(to)
    if to is None and dump_load:
        return custom_serializer(dump_load)
    raise SerializerError("migrate() takes the name of a serializer, or else dump_load=")


def _check_possible(store: Store[Any, Any], target: Serializer) -> None:
    if transactions.joined(store._engine) is not None:
        raise MigrationError("migrate() works in transactions of its own: call it outside of any")
    with store.snapshot() as view:
        metadata = view._codec.metadata
    if store._readonly:
        raise ReadOnlyError("a store that was opened read-only cannot be migrated")
    in_use = metadata.formats.values() if metadata.migration else [metadata.write]
    own = store._asked.custom
    if target.name != CUSTOM or CUSTOM not in {format.serializer for format in in_use}:
        return
    if own is None or own.decode != target.decode:
        raise MigrationError(
            "the store has values that were written by other functions of your own, which could "
            "not be told from those of dump_load=: migrate to a named serializer first, or give "
            "the functions a name with register_serializer()"
        )


def _is_done(store: Store[Any, Any], target: Serializer) -> bool:
    with store.snapshot() as view:
        metadata = view._codec.metadata
        return not isinstance(view._codec, LegacyCodec) and _is_finished(metadata, target)


def _is_finished(metadata: Metadata, target: Serializer) -> bool:
    return metadata.write.serializer == target.name and metadata.migration is None


def _check_values(store: Store[Any, Any], target: Serializer, steps: "_Steps") -> None:
    """Try to re-encode every value, and write nothing."""
    start: bytes | None = b""
    while start is not None:
        # A snapshot for some of them only: space is not reused as long as one is open.
        with store.snapshot() as view:
            start = _check_some(view, target, start, steps)


def _check_some(
    view: Snapshot[Any, Any], target: Serializer, start: bytes, steps: "_Steps"
) -> bytes | None:
    """Try values from the key `start` on; where to go on, or None at the end."""
    formats = view._codec.metadata.formats.values()
    done = {bytes([format.id]) for format in formats if format.serializer == target.name}
    for scanned, (key, raw) in enumerate(view._txn.scan(DATA, start)):
        if scanned == BATCH_SCAN:
            return key
        steps.step()
        if raw[:1] in done:
            continue
        try:
            _reencoded(view._codec, target, key, raw)
        except StoneError as error:
            raise MigrationError(
                f"cannot migrate to {target.name}: {_at(key, error)}; no value was changed"
            ) from error
    return None


def _begin(store: Store[Any, Any], target: Serializer) -> str | None:
    """Make the target what everybody writes from now on. The id of the migration."""
    asked = store._asked
    store._asked = asked.also(target.name, target if target.name == CUSTOM else None)

    def change(txn: Transaction) -> str | None:
        metadata = store._codec_for(txn).metadata
        if metadata.write.serializer != target.name:
            write_formats(txn, metadata.migrating_to(target.name))
        store._reload(txn)
        return store._codec.metadata.migration

    try:
        _adopt(store, target)
        return store._write(change)
    except BaseException:
        store._asked = asked
        raise


def _adopt(store: Store[Any, Any], target: Serializer) -> None:
    """Turn a database of stones 0.3 into one of ours, which has to be migrated."""
    codec = store._codec
    if not isinstance(codec, LegacyCodec):
        return
    metadata = legacy_metadata(codec)

    def finish(txn: Transaction) -> None:
        if read_metadata(txn) is None:  # else another process was quicker
            write_formats(txn, metadata.migrating_to(target.name))

    store._engine.adopt(bytes([metadata.write.id]), finish)


def _reencode(
    store: Store[Any, Any], target: Serializer, migration: str | None, steps: "_Steps"
) -> int:
    """Re-encode what is left in old formats, and end the migration. How many values that were."""
    changed = left = 0
    first_left = ""
    start: bytes | None = b""
    while start is not None:
        batch = store._write(partial(_reencode_some, store, target, migration, start))
        changed += batch.changed
        left += len(batch.left)
        first_left = first_left or "".join(batch.left[:1])
        start = batch.next
        steps.step(batch.scanned)
    if left:
        raise MigrationError(
            f"{left} of the values that were written meanwhile cannot be re-encoded by "
            f"{target.name} and are left as they were, readable; change them and migrate again: "
            f"{first_left}"
        )
    store._write(partial(_end, store, migration))
    return changed


@frozen
class _Batch:
    changed: int
    scanned: int
    left: list[str]
    """What is wrong with the values that could not be re-encoded."""
    next: bytes | None


def _reencode_some(
    store: Store[Any, Any],
    target: Serializer,
    migration: str | None,
    start: bytes,
    txn: Transaction,
) -> _Batch:
    """Re-encode the next few values from the key `start` on, in this transaction."""
    codec = store._codec_for(txn)
    if codec.metadata.migration != migration:
        if _is_finished(codec.metadata, target):
            return _Batch(0, 0, [], None)  # another process did the rest
        raise MigrationError(
            f"another migration, to {codec.metadata.write.serializer}, has begun meanwhile: this "
            f"one, to {target.name}, stops here; no value is lost, and any mixture can be read"
        )
    prefix = bytes([codec.metadata.write.id])
    changes: list[tuple[bytes, bytes]] = []
    left: list[str] = []
    scanned = size = 0
    next_start = None
    # Closed before the first put: an open scan would read on to the end, to stay as it is.
    with closing(_closable(txn.scan(DATA, start))) as entries:
        for key, raw in entries:
            if len(changes) >= BATCH_VALUES or size >= BATCH_BYTES or scanned >= BATCH_SCAN:
                next_start = key
                break
            scanned += 1
            if raw[:1] == prefix:
                continue
            size += len(raw)
            try:
                changes.append((key, prefix + _reencoded(codec, target, key, raw)))
            except StoneError as error:
                left.append(_at(key, error))
    for key, raw in changes:
        txn.put(DATA, key, raw)
    return _Batch(len(changes), scanned, left, next_start)


def _end(store: Store[Any, Any], migration: str | None, txn: Transaction) -> None:
    """Note that every value is in the format that is written now."""
    metadata = store._codec_for(txn).metadata
    # Another migration may have begun since, and then its values are not ours to tell of.
    if migration is not None and metadata.migration == migration:
        write_formats(txn, metadata.migrated())
    store._reload(txn)


def _reencoded(codec: Codec, target: Serializer, key: bytes, raw: bytes) -> bytes:
    """What follows the format byte of a value in the target's format. Raises StoneError."""
    value = codec.decode(key, raw)
    encoded = target.encode(value)
    if target.name not in IDS:
        _check_same(value, encoded, target)
    return encoded


def _check_same(value: Any, encoded: bytes, target: Serializer) -> None:
    """Raise SerializerError for what comes back as another value.

    The serializers that we ship give back what they are given, or refuse it. Those of users are
    tried, as far as it can be told: not for objects of classes of their own.
    """
    try:
        back = target.decode(encoded)
    except Exception as error:  # a decoder may raise anything
        raise SerializerError(
            f"{target.name} cannot read back what it writes: {error!r}"
        ) from error
    plain = serializer("msgpack").encode
    differs = False
    with suppress(Exception):  # an __eq__ may raise anything, and objects have no plain form
        differs = back != value and plain(back) != plain(value)  # the latter for nan
    if differs:
        raise SerializerError(f"{target.name} would give it back as {back!r:.80}")


def _at(key: bytes, error: StoneError) -> str:
    """The error, with the key that it is about."""
    message = str(error)
    return message if repr(key) in message else f"the value of {key!r}: {message}"


def _closable(entries: Any) -> Any:
    """A generator over `entries`, since not every iterator can be closed."""
    yield from entries


class _Steps:
    """Counts, and tells the progress at most once a hundredth."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._told = 0

    def step(self, count: int = 1) -> None:
        self._done += count
        if self._progress is not None and (self._done - self._told) * 100 >= self._total:
            self._told = self._done
            self._progress(min(self._done, self._total), self._total)

    def finish(self) -> None:
        if self._progress is not None:
            self._progress(self._total, self._total)
