"""`migrate`: from one format to another, while other threads and processes read and write.

A format is a serializer, with checksums or without. A migration has three steps:

1. It tries every value, and writes nothing. A damaged value stops it here, and so does a value that
   the new serializer cannot hold.
2. It names the new format in the metadata. From their next transaction on, all processes write in
   it, and read any mixture (see `stones.formats.metadata`).
3. It re-encodes the values that are left in old formats, in small transactions, in key order.

If the process is killed at any point, the store is valid. Running the migration again finds by the
first byte of each value which values are left.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import Any

from attrs import frozen

from stones.engine import Transaction
from stones.errors import (
    MigrationError,
    ReadOnlyError,
    SerializerError,
    StoneError,
    ValueTypeError,
)
from stones.formats.codec import Codec
from stones.formats.messages import show, show_count, show_error, show_value
from stones.formats.metadata import IDS, Metadata, format_name, read_metadata, write_formats
from stones.formats.registered_types import unknown_types_kept
from stones.formats.request import check_checksums
from stones.formats.serializers import CUSTOM, SAFE, Serializer, custom_serializer, serializer
from stones.formats.stones03_codec import Stones03Codec, metadata_from_stones03
from stones.stores.database import Database
from stones.stores.database_reader import DATA
from stones.stores.reader import Reader
from stones.stores.store import Store

from .batches import ENTRIES, Turn, run_batches
from .old_values import pages_from, still_there
from .progress import Progress, ProgressCounter

Functions = tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()]


@frozen
class MigrationReport:
    """The result of `migrate`.

    >>> from stones import MemoryStore, migrate
    >>> store = MemoryStore({'one': 1, 'two': 2}, serialize='pickle')
    >>> report = migrate(store, 'json')
    >>> report.values, report.total
    (2, 2)
    >>> migrate(store, 'json')
    MigrationReport(values=0, total=2)
    """

    values: int
    """The values that it re-encoded."""
    total: int
    """The values that the store had when it started."""


def migrate(
    store: Store[Any, Any],
    to: str | None = None,
    *,
    dump_load: Functions = (),
    checksums: bool | None = None,
    progress: Progress | None = None,
) -> MigrationReport:
    """Re-encode every value of `store` by the serializer `to`, or by functions, online.

    `dump_load=(encode, decode)` are the functions. `checksums` says whether every value is to have
    a checksum. What you do not name stays as it is. Values are equal before and after. Other
    threads and processes that have the store open go on reading and writing, whatever serializer
    they named. The migration may be interrupted or killed at any time: run it again to go on. It
    takes constant memory, and two passes over the values. `progress` is called with the steps done
    and the number of all steps, about a hundred times.

    A database of stones 0.3 becomes a store of this version: close it in programs that use 0.3.

    Raises MigrationError, before anything is changed, for a value that `to` cannot hold or that
    cannot be read, and inside a transaction; SerializerError for an unknown serializer.

    >>> from stones import MemoryStore, migrate
    >>> store = MemoryStore({'point': (1, 2)}, serialize='pickle')
    >>> migrate(store, 'cbor')
    MigrationReport(values=1, total=1)
    >>> store['point']
    (1, 2)
    """
    if not isinstance(store, Reader) or not store.is_whole:
        raise ValueTypeError(f"migrate() takes an open store, not {show_value(store)}")
    database = store.database
    target = _target(database, to, dump_load, checksums)
    _check_possible(database, target)
    total = database.count()
    counter = ProgressCounter(progress, 2 * total)
    values = 0
    if not _is_done(database, target):
        _check_values(database, target, counter)
        values = _reencode(database, target, _begin(database, target), counter)
    counter.finish()
    return MigrationReport(values, total)


@frozen
class _Target:
    """What a migration makes of every value."""

    serializer: Serializer
    checksums: bool
    names_serializer: bool
    names_checksums: bool
    """Whether the user has named checksums. What the user has not named stays as it is."""

    @property
    def name(self) -> str:
        return self.serializer.name

    def __str__(self) -> str:
        return format_name(self.name, self.checksums)

    def is_written_in(self, metadata: Metadata) -> bool:
        """Whether new values are written so."""
        return (metadata.write.serializer, metadata.checksums) == (self.name, self.checksums)

    def is_reached(self, metadata: Metadata) -> bool:
        """Whether all values are written so."""
        return self.is_written_in(metadata) and metadata.migration is None

    def is_still_meant(self, metadata: Metadata) -> bool:
        """Whether the part that the user has not named is as it was when the target was made."""
        return (self.names_serializer or metadata.write.serializer == self.name) and (
            self.names_checksums or metadata.checksums == self.checksums
        )


def _target(
    database: Database, to: str | None, dump_load: Functions, checksums: bool | None
) -> _Target:
    if (to is not None and dump_load) or (to is None and not dump_load and checksums is None):
        raise SerializerError(
            "migrate() takes the name of a serializer, or else dump_load=, or checksums="
        )
    check_checksums(checksums)
    metadata = database.metadata()
    if to is not None:
        target = serializer(to)
    elif dump_load:
        target = custom_serializer(dump_load)
    else:
        target = database.request.writer(metadata.write, "the store")
    named = to is not None or bool(dump_load)
    chosen = metadata.checksums if checksums is None else checksums
    return _Target(target, chosen, named, checksums is not None)


def _check_possible(database: Database, target: _Target) -> None:
    if database.in_transaction():
        raise MigrationError("migrate() works in transactions of its own: call it outside of any")
    metadata = database.metadata()
    if database.readonly:
        raise ReadOnlyError("a store that was opened read-only cannot be migrated")
    in_use = metadata.formats.values() if metadata.migration else [metadata.write]
    own = database.request.custom
    if target.name != CUSTOM or CUSTOM not in {format.serializer for format in in_use}:
        return
    if own is None or own.decode != target.serializer.decode:
        raise MigrationError(
            "the store has values that were written by other functions of your own, which could "
            "not be told from those of dump_load=: migrate to a named serializer first, or give "
            "the functions a name with register_serializer()"
        )


def _is_done(database: Database, target: _Target) -> bool:
    with database.reading() as txn:
        codec = database.codec_at(txn)
    return not isinstance(codec, Stones03Codec) and target.is_reached(codec.metadata)


def _check_values(database: Database, target: _Target, counter: ProgressCounter) -> None:
    """Try to re-encode every value, and write nothing."""
    start: bytes | None = b""
    while start is not None:
        # Each transaction reads some of the values: while one is open, no space is reused.
        with database.reading() as txn:
            start = _check_some(database.codec_at(txn), txn, target, start, counter)


def _check_some(
    codec: Codec, txn: Transaction, target: _Target, start: bytes, counter: ProgressCounter
) -> bytes | None:
    """Try values from the key `start` on; where to go on, or None at the end."""
    done = codec.prefix if target.is_written_in(codec.metadata) else b""
    looked_at = 0
    for keys, values in txn.pages(DATA, start):
        if looked_at >= ENTRIES:
            return keys[0]
        for key, raw in zip(keys, values, strict=True):
            if done and raw[:1] == done:
                continue
            try:
                _reencoded(codec, target, key, raw)
            except StoneError as error:
                raise MigrationError(
                    f"cannot migrate to {target}: {_at(key, error)}; no value was changed"
                ) from error
        looked_at += len(values)
        counter.add(len(values))
    return None


def _begin(database: Database, target: _Target) -> str | None:
    """Make the target what everybody writes from now on. The id of the migration."""
    request = database.request
    if target.names_serializer:
        custom = target.serializer if target.name == CUSTOM else None
        request = request.widened(target.name, custom)

    def change(txn: Transaction) -> str | None:
        metadata = database.read_codec(txn).metadata
        if not target.is_still_meant(metadata):
            raise MigrationError(
                f"another migration, to {metadata.write_name}, has begun: this one does not start; "
                "migrate again"
            )
        if not target.is_written_in(metadata):
            write_formats(txn, metadata.migrating_to(target.name, target.checksums))
        database.reload(txn)
        return database.codec.metadata.migration

    with database.requesting(request):
        _adopt(database, target)
        return database.write(change)


def _adopt(database: Database, target: _Target) -> None:
    """Turn a database of stones 0.3 into a store of this version, still to be migrated."""
    codec = database.codec
    if not isinstance(codec, Stones03Codec):
        return
    metadata = metadata_from_stones03(codec)

    def finish(txn: Transaction) -> None:
        if read_metadata(txn) is None:  # else another process was quicker
            write_formats(txn, metadata.migrating_to(target.name, target.checksums))

    database.adopt_stones03(bytes([metadata.write.id]), finish)


def _reencode(
    database: Database, target: _Target, migration: str | None, counter: ProgressCounter
) -> int:
    """Re-encode what is left in old formats, and end the migration. How many values that were."""
    reencoding = _Reencoding(database, target, migration)
    run_batches(database, reencoding.step, counter=counter)
    left = reencoding.left
    if left:
        raise MigrationError(
            f"{show_count(len(left), 'value that was', 'values that were')} written during the "
            f"migration cannot be re-encoded by {target}; each stays as it is, readable; change "
            f"it and migrate again: {next(iter(left.values()))}"
        )
    database.write(partial(_end, database, migration))
    return sum(reencoding.changed.values())


class _Reencoding:
    """The second pass. Its `step` may run again, so the results are kept by the start of a step."""

    def __init__(self, database: Database, target: _Target, migration: str | None) -> None:
        self._database = database
        self._target = target
        self._migration = migration
        self.changed: dict[bytes, int] = {}
        self.left: dict[bytes, str] = {}
        """For each value that could not be re-encoded, the reason."""

    def step(self, txn: Transaction, start: bytes, turn: Turn) -> tuple[bytes | None, int]:
        """Re-encode the next few values from the key `start` on, in this transaction."""
        codec = self._database.read_codec(txn)
        target = self._target
        if codec.metadata.migration != self._migration:
            if target.is_reached(codec.metadata):
                return None, 0  # another process did the rest
            raise MigrationError(
                f"another migration, to {codec.metadata.write_name}, has begun: this one, to "
                f"{target}, stops here; no value is lost, and any mixture can be read"
            )
        changes: list[tuple[bytes, bytes, bytes]] = []
        looked_at = size = 0
        next_start = None
        engine = self._database.engine
        with closing(pages_from(engine, txn, start)) as pages:
            for keys, values in pages:
                for key, raw in zip(keys, values, strict=True):
                    if turn.is_over(looked_at, size):
                        next_start = key
                        break
                    looked_at += 1
                    if raw[:1] == codec.prefix:
                        continue
                    size += len(raw)
                    try:
                        new = codec.wrap(key, _reencoded(codec, target, key, raw))
                        changes.append((key, raw, new))
                    except StoneError as error:
                        self.left[key] = _at(key, error)
                if next_start is not None:
                    break
        puts = still_there(engine, txn, changes)
        txn.put_many(DATA, puts)
        self.changed[start] = len(puts)
        return next_start, looked_at


def _end(database: Database, migration: str | None, txn: Transaction) -> None:
    """Note that every value is in the format that is written now."""
    metadata = database.read_codec(txn).metadata
    # If another migration has begun since, this one does not know whether its values are done.
    if migration is not None and metadata.migration == migration:
        write_formats(txn, metadata.migrated())
    database.reload(txn)


def _reencoded(codec: Codec, target: _Target, key: bytes, raw: bytes) -> bytes:
    """A value as the target's serializer writes it. Raises StoneError."""
    if codec.is_written_by(target.name, raw):
        return codec.unwrap(key, raw)  # only its checksum changes
    # The packed form of a registered type is kept if possible. So it need not be known here.
    with unknown_types_kept("all" if target.name in SAFE else None):
        value = codec.decode(key, raw)
        encoded = target.serializer.encode(value)
    if target.name not in IDS:
        _check_same(value, encoded, target.serializer)
    return encoded


def _check_same(value: Any, encoded: bytes, target: Serializer) -> None:
    """Raise SerializerError for what comes back as another value.

    The serializers that we ship give back what they are given, or refuse it. A user's serializer is
    tried on each value. For objects of the user's classes only `==` can tell.
    """
    try:
        back = target.decode(encoded)
    except Exception as error:  # a decoder may raise anything
        raise SerializerError(
            f"{target.name} cannot read back what it writes: {show_error(error)}"
        ) from error
    plain = serializer("msgpack").encode
    differs = False
    with suppress(Exception):  # an __eq__ may raise anything, and objects have no plain form
        differs = back != value and plain(back) != plain(value)  # the latter for nan
    if differs:
        raise SerializerError(f"{target.name} would give it back as {show(back)}")


def _at(key: bytes, error: StoneError) -> str:
    """The error, with the key that it is about."""
    message = str(error)
    return message if repr(key) in message else f"the value of {key!r}: {message}"
