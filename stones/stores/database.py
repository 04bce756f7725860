"""Database: an engine, the formats of its values, and the transaction that is open.

The dict face (`stones.stores.store`), the collections (`stones.collections`) and the migrations
(`stones.migrations`) all work on one `Database`. It knows which transaction the thread is in, and
which codec reads and writes values in it. It knows nothing of str keys, of records, or of views.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from attrs import evolve

from stones.engine import Engine, Space, Transaction
from stones.engines.stones03 import Stones03Engine
from stones.errors import ReadOnlyError, StoreClosedError, TransactionError, UnexpectedError
from stones.formats.codec import Codec
from stones.formats.generation import GENERATION, read_generation
from stones.formats.metadata import (
    Metadata,
    read_metadata,
    write_formats,
)
from stones.formats.request import FormatRequest
from stones.formats.stones03_codec import Stones03Codec

from . import transactions
from .claims import check_all_unclaimed, check_unclaimed
from .database_reader import DATA, DatabaseReader, DatabaseSnapshot

T = TypeVar("T")


class Database(DatabaseReader):
    """An engine, the formats of its values, and the transaction that is open on it.

    Any number of threads may share one. `open` comes first, `close` last; a database that is
    collected without `close` lets go of its engine all the same.

    `timeout` is how many seconds a write waits for other writers before LockTimeoutError; None for
    no limit. An engine that does not support timeouts waits as long as it does. `place` is the path
    or URL that a command takes, or empty if no command can open the store.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        place: str = "",
        readonly: bool = False,
        timeout: float | None = None,
    ) -> None:
        self.engine = engine
        self.name = name
        self.place = place
        self.readonly = readonly
        self.timeout = timeout if engine.supports.timeouts else None
        self._close_engine = weakref.finalize(self, engine.close)
        self._clock = _clock_of(engine)
        # The write transaction in which the metadata was last looked at, and the clock then.
        self._checked: Transaction | None = None
        self._checked_at = 0

    def open(self, request: FormatRequest) -> None:
        """Read the metadata, or write the first. `request` says how values are to be written.

        Raises FormatMismatchError where the store is written in another way.
        """
        self.request = request
        # `codec` changes in write transactions only. `_other_codec` is one more: the codec before
        # the last change, or a later one that a reader has met.
        self.codec = self._other_codec = self._first_codec()

    def close(self) -> None:
        """Let go of the engine: each use of the database raises StoreClosedError from then on.

        A second call does nothing. Raises TransactionError inside a transaction of the database.
        """
        if self.in_transaction():
            raise TransactionError("close() inside a transaction of the store: end that first")
        self.abandon()

    def abandon(self) -> None:
        """Let go of the engine in a transaction too: what an opening that has failed needs."""
        self.engine = ClosedEngine(self.name)
        self._checked = None
        self._close_engine()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return isinstance(self.engine, ClosedEngine)

    # -- reading -------------------------------------------------------------------------------

    def get(self, key: bytes, space: Space = DATA) -> bytes | None:
        if transactions.ambient.get() is None:  # the usual case, decided at the least cost
            return self.engine.get(space, key)
        txn = transactions.joined(self.engine)
        return self.engine.get(space, key) if txn is None else txn.get(space, key)

    def count(self) -> int:
        txn = transactions.joined(self.engine)
        if txn is not None:
            return txn.count(DATA)
        txn = self.engine.begin()  # not by reading(), which takes a fifth of the time of len()
        try:
            return txn.count(DATA)
        finally:
            txn.abort()

    def sum(self, key: bytes) -> int:
        if transactions.ambient.get() is None:
            return self.engine.sum(key)
        txn = transactions.joined(self.engine)
        return self.engine.sum(key) if txn is None else txn.sum(key)

    def reading(self) -> AbstractContextManager[Transaction]:
        return _Reading(self.engine)

    def look(self, look: Callable[[Transaction], T]) -> T:
        txn = transactions.joined(self.engine)
        return self.engine.read(look) if txn is None else look(txn)

    def snapshot(self) -> DatabaseSnapshot:
        """The database as it is now, frozen."""
        return DatabaseSnapshot(self)

    def in_transaction(self) -> bool:
        """Whether this thread or task is in a transaction of the database."""
        return transactions.joined(self.engine) is not None

    def decode(self, key: bytes, raw: bytes) -> Any:
        codec = self.codec
        read = codec.readers.get(raw[0]) if raw else None
        if read is not None:
            return read(key, raw)
        if self.is_stones03:
            return codec.decode(key, raw)
        # A codec that knows the format may decode the value, whichever of the two is later. If it
        # wants a checksum or encryption that the value lacks, only the metadata of now can tell.
        for codec in (self.codec, self._other_codec):
            if codec.metadata.generation is not None and codec.knows(raw):
                if codec.misses(raw):
                    break
                if codec.has_dictionary(raw):
                    return codec.decode(key, raw)
        # The store has got another format since the metadata was read, or its first format. Maybe
        # that was after the value was read, too. So read both in one transaction.
        with self.reading() as txn:
            codec, now = self.codec_at(txn), txn.get(DATA, key)
            if now is None:  # deleted since it was read: maybe before the last migration
                metadata = codec.metadata
                any_format = evolve(metadata, migration="", left=frozenset(metadata.formats))
                codec = Codec(any_format, self.request)
            return codec.decode(key, raw if now is None else now)

    # -- writing -------------------------------------------------------------------------------

    def write(self, change: Callable[[Transaction], T]) -> T:
        """What `change` returns, once it is committed, or is part of the ambient transaction.

        Outside a transaction `change` may run in another thread, and more than once: see
        `Engine.write`. It asks `codec_for_writing` itself.
        """
        if self.readonly:
            self.check_writable()
        if transactions.ambient.get() is not None:
            txn = transactions.joined(self.engine, write=True)
            if txn is not None:
                return change(txn)
        return self._write_alone(change)

    def transact(self, change: Callable[[Transaction], T], *, joinable: bool = False) -> T:
        """What `change` returns, called with a write transaction, in this thread. It may run again.

        It is for one operation, as `writing`, and may run code of the caller. If it is `joinable`,
        all that runs in `change` joins the transaction. Inside an ambient transaction it is a
        savepoint.
        """
        self.check_writable()

        def run(txn: Transaction) -> T:
            self.codec_for_writing(txn)
            return change(txn)

        return transactions.transact(self.engine, run, joinable=joinable, timeout=self.timeout)

    @contextmanager
    def writing(self, *, joinable: bool = False) -> Iterator[Transaction]:
        """A write transaction for one operation; a savepoint where an ambient one is open.

        If it is `joinable`, all that runs in the block joins it.
        """
        self.check_writable()
        with transactions.writing(self.engine, joinable=joinable, timeout=self.timeout) as txn:
            self.codec_for_writing(txn)
            yield txn

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction, or a savepoint, which is the ambient one for the block."""
        self.check_writable()
        with transactions.transaction(self.engine, timeout=self.timeout) as txn:
            self.codec_for_writing(txn)
            yield txn

    def check_writable(self) -> None:
        """Raise ReadOnlyError where the database was opened read-only."""
        # The engine does not know: it is shared, and others may have opened it for writing.
        if self.readonly:
            raise ReadOnlyError(f"the store {self.name!r} was opened read-only")

    def check_unclaimed(self, txn: Transaction, key: bytes) -> None:
        """Raise ReservedKeyError for a key that only a collection may write."""
        if self.codec.metadata.has_collections:
            check_unclaimed(txn, key)

    def check_all_unclaimed(self, txn: Transaction, keys: Iterable[bytes]) -> None:
        """Raise ReservedKeyError if only a collection may write one of the keys."""
        if self.codec.metadata.has_collections:
            check_all_unclaimed(txn, keys)

    def sync(self) -> None:
        """Wait until everything that was committed has reached the disk."""
        self.check_writable()
        self.engine.sync()

    # -- formats -------------------------------------------------------------------------------

    def codec_for_writing(self, txn: Transaction) -> Codec:
        """The codec for this write transaction. It expects the generation once a transaction."""
        if txn is self._checked and self._checked_at == self._clock.changes:
            return self.codec
        try:
            txn.expect(Space.META, GENERATION, self.codec.metadata.generation)
        except UnexpectedError:
            self.reload(txn)
        self._checked, self._checked_at = txn, self._clock.changes
        return self.codec

    def codec_at(self, txn: Transaction) -> Codec:
        generation = read_generation(txn)
        for codec in (self.codec, self._other_codec):
            if codec.metadata.generation == generation:
                return codec
        self._other_codec = codec = self.read_codec(txn)
        return codec

    def read_codec(self, txn: Transaction) -> Codec:
        """The codec by the metadata that this transaction sees."""
        metadata = read_metadata(txn)
        if metadata is None:  # still as stones 0.3 left it
            return self.codec
        return Codec(metadata, self.request)

    def reload(self, txn: Transaction) -> None:
        """Take over what this write transaction has changed in the metadata."""
        self._other_codec, self.codec = self.codec, self.read_codec(txn)
        self._clock.changes += 1

    def write_as(self, codec: Codec, prefix: bytes = b"") -> None:
        """Compress and encrypt as another store does for its keys under a prefix.

        The keys here do not have the prefix. It is for a new store without entries.
        """
        if not (codec.metadata.is_packed or codec.metadata.rules):
            return
        theirs = codec.request
        self.request = evolve(
            self.request,
            keys=theirs.keys,
            custom=theirs.custom,
            trusts_pickle=theirs.trusts_pickle,
        )

        def change(txn: Transaction) -> None:
            write_formats(txn, codec.metadata.within(prefix))
            self.reload(txn)

        self.write(change)

    def adopt_stones03(self, prefix: bytes, finish: Callable[[Transaction], None]) -> None:
        """Turn a database of stones 0.3 into a store of this version: see `Stones03Engine.adopt`.

        Raises TransactionError where it is not one.
        """
        engine = self.engine
        if not isinstance(engine, Stones03Engine):
            raise TransactionError(f"{self.name!r} is not a database of stones 0.3")
        engine.adopt(prefix, finish, self.timeout)

    @contextmanager
    def requesting(self, request: FormatRequest) -> Iterator[None]:
        """Take `request` for the present one. If the block raises, the present one comes back."""
        before, self.request = self.request, request
        try:
            yield
        except BaseException:
            self.request = before
            raise

    def _write_alone(self, change: Callable[[Transaction], T]) -> T:
        timeout = self.timeout
        if timeout is None:  # an engine without timeouts may not know the argument
            return self.engine.write(change)
        return self.engine.write(change, timeout=timeout)

    def _first_codec(self) -> Codec:
        metadata = self.engine.read(read_metadata)
        if metadata is None and self.is_stones03:
            return Stones03Codec(self.request)
        if metadata is None:
            metadata = self._write_alone(self._create)
        self.request.check(metadata, self.name, self.place)
        return Codec(metadata, self.request)

    def _create(self, txn: Transaction) -> Metadata:
        metadata = read_metadata(txn)  # another process may have been quicker
        if metadata is None:
            write_formats(txn, self.request.new_metadata())
            metadata = read_metadata(txn)
            assert metadata is not None
        return metadata


class _Reading:
    """The ambient transaction, or a read transaction that lasts as long as the block.

    A class, since a generator with @contextmanager takes three times as long: 0.9 of 3 µs in len().
    """

    __slots__ = ("_engine", "_own")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._own: Transaction | None = None

    def __enter__(self) -> Transaction:
        txn = transactions.joined(self._engine)
        if txn is None:
            self._own = txn = self._engine.begin()
        return txn

    def __exit__(self, *exc_info: object) -> None:
        if self._own is not None:
            self._own.abort()


class ClosedEngine(Engine):
    """What a closed database has in place of its engine."""

    closed = True

    def __init__(self, name: str) -> None:
        self._name = name

    def begin(self, *, write: bool = False, timeout: float | None = None) -> Transaction:
        raise StoreClosedError(f"the store {self._name!r} is closed: open it again to use it")

    def close(self) -> None:
        pass


class _Clock:
    """Counts the changes of the metadata through one engine, for all databases on it.

    Two databases may share a transaction: the ambient one, or one of a group commit. If one of them
    changes the metadata in it, the other must read the metadata again before its next write.
    """

    def __init__(self) -> None:
        self.changes = 0


_clocks: "weakref.WeakKeyDictionary[Engine, _Clock]" = weakref.WeakKeyDictionary()


def _clock_of(engine: Engine) -> _Clock:
    return _clocks.setdefault(engine, _Clock())
