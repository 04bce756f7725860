"""`migrate`: from one format to another, while other threads and processes read and write.

A format is a serializer, maybe with compression, encryption and checksums. A migration has three
steps:

1. It tries every value, and writes nothing. A damaged value stops it here, and so does a value that
   the new serializer cannot hold. Where a dictionary is wanted, it also takes samples for it.
2. It names the new format in the metadata. From their next transaction on, all processes write in
   it, and read any mixture (see `stones.formats.metadata`).
3. It re-encodes the values that are left in old formats, in small transactions, in key order.

If the process is killed at any point, the store is valid. Running the migration again finds by the
first byte of each value which values are left.
"""

from contextlib import closing
from functools import partial
from typing import Any

from attrs import evolve, frozen

from stones.collections.collection import Collection
from stones.collections.collection_reader import records_of
from stones.engine import Transaction
from stones.errors import (
    MigrationError,
    ReadOnlyError,
    StoneError,
    UnsupportedError,
    ValueTypeError,
)
from stones.formats.codec import Codec
from stones.formats.encryption_keys import Encrypt
from stones.formats.messages import show_count, show_value
from stones.formats.metadata import write_formats
from stones.formats.serializers import CUSTOM
from stones.formats.stones03_codec import Stones03Codec
from stones.migrations import batches
from stones.migrations.batches import ChunkSize, Turn, run_batches
from stones.migrations.old_values import pages_from, still_there
from stones.migrations.progress import Progress, ProgressCounter
from stones.stores.database import Database
from stones.stores.database_reader import DATA, DatabaseReader
from stones.stores.dict_keys import encode_bound
from stones.stores.reader import Reader
from stones.stores.spans import EVERYTHING, Span
from stones.stores.store import Store

from .listed_formats import adopt, end, metadata_of, remove_needless
from .recoding import Recoding
from .samples import SamplesByKey
from .target import Functions, Target


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
    store: Store[Any, Any] | Collection[Any, Any],
    to: str | None = None,
    *,
    dump_load: Functions = (),
    checksums: bool | None = None,
    compress: str | bool | None = None,
    encrypt: Encrypt = None,
    prefix: bytes | str | None = None,
    progress: Progress | None = None,
) -> MigrationReport:
    """Re-encode every value of `store`, a store or a collection, online.

    `to` names the new serializer, or `dump_load=(encode, decode)` are its functions. `checksums`
    says whether every value is to have a checksum. `compress` is 'zstd' or False. For 'zstd' a
    dictionary is trained on the values, if they are so small that it helps. `encrypt` is a key,
    `[new, *old]` to change the key, or False: see the option of the store. What you do not name
    stays as it is. `prefix` leaves values alone whose keys do not begin with it.

    Values are equal before and after. Other threads and processes that have the store open go on
    reading and writing, whatever format they named. The migration may be interrupted or killed at
    any time: run it again to go on. It takes constant memory, and two passes over the values.
    `progress` is called with the steps done and the number of all steps, about a hundred times.

    A database of stones 0.3 becomes a store of this version: close it in programs that use 0.3.

    Raises MigrationError, before anything is changed, for a value that `to` cannot hold or that
    cannot be read, and inside a transaction; SerializerError for an unknown serializer;
    UnsupportedError for a file that cannot hold the format.

    >>> from stones import MemoryStore, migrate
    >>> store = MemoryStore({'point': (1, 2)}, serialize='pickle')
    >>> migrate(store, 'cbor')
    MigrationReport(values=1, total=1)
    >>> migrate(store, compress='zstd', encrypt=b'32 bytes that nobody else knows!')
    MigrationReport(values=1, total=1)
    >>> store['point']
    (1, 2)
    """
    database, prefix = _place(store, prefix)
    target = Target.of(to, dump_load, checksums, compress, encrypt, prefix)
    _check_possible(database, target)
    if not database.engine.packs_values:
        _check_unpacked(target)
    target = evolve(target, ring=target.request(database.request).keys)
    with database.reading() as txn:
        span = target.span(metadata_of(database.codec_at(txn)))
    total = database.count() if span == EVERYTHING else _count(database, span)
    counter = ProgressCounter(progress, 2 * total)
    values = _Run(database, target, counter).run()
    counter.finish()
    return MigrationReport(values, total)


def _place(
    store: Store[Any, Any] | Collection[Any, Any], prefix: bytes | str | None
) -> tuple[Database, bytes]:
    """The database, and the prefix of the keys whose values are re-encoded."""
    database: DatabaseReader
    if isinstance(store, Collection):
        if prefix is not None:
            raise ValueTypeError("prefix= is for a store: the keys of a collection have one prefix")
        records = records_of(store)
        database, place = records.database, records.span.start
    elif isinstance(store, Reader) and store.is_whole:
        database, place = store.database, encode_bound(prefix) if prefix else b""
    else:
        raise ValueTypeError(
            f"migrate() takes an open store or collection, not {show_value(store)}"
        )
    if not isinstance(database, Database):
        raise ReadOnlyError("a snapshot cannot be migrated: migrate the store itself")
    return database, place


def _count(database: Database, span: Span) -> int:
    with database.reading() as txn:
        pages = txn.pages(DATA, span.start, span.stop, values=False)
        return sum(len(keys) for keys, _ in pages)


def _check_possible(database: Database, target: Target) -> None:
    if database.in_transaction():
        raise MigrationError("migrate() works in transactions of its own: call it outside of any")
    metadata = database.metadata()
    if database.readonly:
        raise ReadOnlyError("a store that was opened read-only cannot be migrated")
    if database.is_stones03 and target.prefix:
        raise MigrationError(
            "a database of stones 0.3 has one format: migrate all of it first, without prefix="
        )
    named = target.serializer
    in_use = metadata.formats.values() if metadata.migration else [metadata.write]
    in_use = [*in_use, *(metadata.formats[id] for id in metadata.rules.values())]
    if named is None or named.name != CUSTOM or CUSTOM not in {each.serializer for each in in_use}:
        return
    own = database.request.custom
    if own is None or own.decode != named.decode:
        raise MigrationError(
            "the store has values that were written by other functions of your own, which could "
            "not be told from those of dump_load=: migrate to a named serializer first, or give "
            "the functions a name with register_serializer()"
        )


def _check_unpacked(target: Target) -> None:
    if target.compress or target.encrypts or target.prefix:
        raise UnsupportedError(
            "the values of this store are in a file for people or for other programs: they all "
            "have one format, and cannot be compressed or encrypted; copy them to a store of "
            "another kind"
        )


class _Run:
    """One migration."""

    def __init__(self, database: Database, target: Target, counter: ProgressCounter) -> None:
        self._database = database
        self._target = target
        self._counter = counter
        self._request = target.request(database.request)
        self._span = EVERYTHING
        self._chunk = ChunkSize()
        self._recoding: tuple[Codec, Recoding] | None = None
        self._name = ""
        self._outcome: object = None
        # By the first key of a step, since a step may run again.
        self._changed: dict[bytes, int] = {}
        self._left: dict[bytes, str] = {}

    def run(self) -> int:
        """Re-encode the values. How many that were."""
        database = self._database
        with database.reading() as txn:
            codec = database.codec_at(txn)
        metadata = metadata_of(codec)
        if isinstance(codec, Stones03Codec) and self._target.serializer is None:
            # The serializer stays, but its encoding of 0.3 does not.
            kept = self._request.writer(codec.metadata.write, "the store")
            self._target = evolve(self._target, serializer=kept)
        self._name = self._target.name(metadata)
        self._span = self._target.span(metadata)
        self._outcome = self._target.outcome(metadata)
        is_reached = not isinstance(codec, Stones03Codec) and self._target.is_reached(metadata)
        wants_dictionary = self._target.wants_dictionary(metadata)
        renews = self._target.renews(metadata)
        if is_reached and not wants_dictionary:
            if metadata.migrated() != metadata:
                database.write(partial(remove_needless, database))
            return 0
        samples = SamplesByKey() if wants_dictionary else None
        self._check_values(samples)
        if samples is not None:
            self._target = evolve(self._target, dictionaries=samples.dictionaries())
            if is_reached and not renews and not self._target.brings_dictionary(metadata):
                return 0
        migration, span = self._begin()
        self._recoding = None
        run_batches(
            database,
            partial(self._step, migration, span),
            start=span.start,
            counter=self._counter,
        )
        if self._left:
            raise MigrationError(
                f"{show_count(len(self._left), 'value that was', 'values that were')} written "
                f"during the migration cannot be re-encoded by {self._name}; each stays as it is, "
                f"readable; change it and migrate again: {next(iter(self._left.values()))}"
            )
        database.write(partial(end, database, migration))
        return sum(self._changed.values())

    def _check_values(self, samples: SamplesByKey | None) -> None:
        """Try to re-encode every value, and write nothing."""
        database = self._database
        start: bytes | None = self._span.start
        while start is not None:
            # Each transaction reads some of the values: while one is open, no space is reused.
            with database.reading() as txn:
                start = self._check_some(database.codec_at(txn), txn, start, samples)

    def _check_some(
        self, codec: Codec, txn: Transaction, start: bytes, samples: SamplesByKey | None
    ) -> bytes | None:
        """Try values from the key `start` on; where to go on, or None at the end."""
        recoding = self._recoding_of(codec, is_planned=True)
        looked_at = 0
        for keys, values in txn.pages(DATA, start, self._span.stop):
            if looked_at >= batches.ENTRIES:
                return keys[0]
            failure = recoding.check(keys, values)
            if failure is not None:
                key, error = failure
                raise MigrationError(
                    f"cannot migrate to {self._name}: {_at(key, error)}; no value was changed"
                ) from error
            if samples is not None:
                samples.offer(recoding.by_key(keys, values), recoding.samples)
            looked_at += len(keys)
            self._counter.add(len(keys))
        return None

    def _begin(self) -> tuple[str | None, Span]:
        """Make the target what everybody writes from now on.

        Returns the id of the migration, and the keys that it is for. Where another migration has
        not ended, these are all keys, since its values are re-encoded as well.
        """
        database, target = self._database, self._target

        def change(txn: Transaction) -> tuple[str | None, Span]:
            metadata = database.read_codec(txn).metadata
            if target.outcome(metadata) != self._outcome:
                raise MigrationError(
                    f"another migration, to {metadata.write_name}, has begun: this one does not "
                    "start; migrate again"
                )
            span = target.span(metadata) if metadata.migration is None else EVERYTHING
            brings = target.brings_dictionary(metadata) or target.renews(metadata)
            if brings or not target.is_written_in(metadata):
                write_formats(txn, target.planned(metadata))
            database.reload(txn)
            return database.codec.metadata.migration, span

        with database.requesting(self._request):
            adopt(database, target)
            return database.write(change)

    def _step(
        self, migration: str | None, span: Span, txn: Transaction, start: bytes, turn: Turn
    ) -> tuple[bytes | None, int]:
        """Re-encode the next few values from the key `start` on, in this transaction."""
        database = self._database
        codec = database.codec_at(txn)
        if codec.metadata.migration != migration:
            target, metadata = self._target, codec.metadata
            if target.is_reached(metadata) and target.outcome(metadata) == self._outcome:
                return None, 0  # another process did the rest
            now = metadata.write_name
            raise MigrationError(
                f"another migration, to {now}, has begun: this one, to {self._name}, stops here; "
                "no value is lost, and any mixture can be read"
            )
        recoding = self._recoding_of(codec)
        changes: list[tuple[bytes, bytes, bytes]] = []
        looked_at = size = 0
        next_start = None
        with closing(pages_from(database.engine, txn, start, span.stop)) as pages:
            for keys, values in pages:
                at = 0
                while at < len(keys) and not turn.is_over(looked_at, size):
                    end = at + self._chunk.entries
                    some = values[at:end]
                    recoded = recoding.recode(keys[at:end], some)
                    changes += recoded.changes
                    size += sum(map(len, some)) if recoded.changes else 0
                    for key, error in recoded.failures:
                        self._left[key] = _at(key, error)
                    looked_at += len(some)
                    at = end
                    self._chunk.adapt(turn)
                if at < len(keys):
                    next_start = keys[at]
                    break
        puts = still_there(database.engine, txn, changes)
        txn.put_many(DATA, puts)
        self._changed[start] = len(puts)
        return next_start, looked_at

    def _recoding_of(self, codec: Codec, *, is_planned: bool = False) -> Recoding:
        """From the formats of `codec` to its own, or to those that are planned."""
        if self._recoding is None or self._recoding[0] is not codec:
            writing = codec
            if is_planned:
                writing = Codec(self._target.planned(metadata_of(codec)), self._request)
            self._recoding = codec, Recoding(codec, writing, self._request)
        return self._recoding[1]


def _at(key: bytes, error: StoneError) -> str:
    """The error, with the key that it is about."""
    message = str(error)
    return message if repr(key) in message else f"the value of {key!r}: {message}"
