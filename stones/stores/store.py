"""The dict face of a store, written once for all engines.

`stones.stores.reader` has the half that reads; `Store` adds the half that writes, and `Snapshot` is
the reading half on one frozen instant. A store has an engine, which holds bytes, and a codec, which
turns values into bytes.
"""

import os
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, nullcontext
from typing import Any, Self, TypeVar, overload

from attrs import evolve

from stones.engine import MAX_KEY_SIZE, ClosedEngine, Engine, Space, Transaction
from stones.engines.memory import MemoryEngine
from stones.errors import (
    KeyTooLongError,
    KeyTypeError,
    ReadOnlyError,
    SerializerError,
    StoreClosedError,
    TransactionError,
    ValueTypeError,
)
from stones.formats.codec import Codec, FormatRequest, LegacyCodec, check_checksums
from stones.formats.metadata import (
    Metadata,
    new_metadata,
    read_generation,
    read_metadata,
    write_formats,
)

from . import transactions
from .claims import COUNTS, check_unclaimed, collection_names, count_key, read_count
from .containers import added, removed
from .reader import DATA, K, Reader, V

T = TypeVar("T")

MISSING: Any = object()

STORE_OPTIONS = frozenset(
    {
        "serialize",
        "dump_load",
        "value_type",
        "key_type",
        "trust_pickle",
        "checksums",
        "iterable",
        "kwargs",
    }
)
"""What every store takes by name."""


class Snapshot(Reader[K, V]):
    """A store as it was at one instant, read-only: what `with store.snapshot() as view` gives.

    It costs nothing to open and stands in nobody's way; while it is open, an engine on disk cannot
    reuse the space of what is deleted meanwhile. Belongs to one thread at a time.
    """

    def __init__(self, store: "Store[K, V]") -> None:
        self._store = store  # dropped, it would close the engine
        self._engine = store._engine
        self._txn = store._engine.begin()
        try:
            self._codec = store._codec_at(self._txn)
        except BaseException:
            self._txn.abort()
            raise
        self._key_type = store._key_type
        self._value_type = store._value_type
        self._name = store._name
        self._closed = False

    def _reading(self) -> tuple[Transaction, bool]:
        if self._closed:
            raise StoreClosedError(f"the snapshot of {self._name!r} is closed: take another one")
        return self._txn, False

    def _raw(self, key: bytes) -> bytes | None:
        return self._reading()[0].get(DATA, key)

    def _codec_at(self, txn: Transaction) -> Codec:
        return self._codec

    def _read_only(self, *args: Any, **options: Any) -> Any:
        """In place of all that writes. Raises ReadOnlyError."""
        raise ReadOnlyError(f"this is a snapshot of {self._name!r}: write to the store itself")

    __setitem__ = __delitem__ = __ior__ = put = delete = update = pop = popitem = _read_only
    setdefault = clear = deep_add = deep_remove = transaction = _read_only

    def close(self) -> None:
        """Let go of the instant. Reading after that raises; closing again does nothing."""
        self._closed = True
        self._txn.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Snapshot of {self._name!r}>"


class Store(Reader[K, V], MutableMapping[K, V]):
    """A dict over an engine: what `stone()` opens. `MemoryStore`, `LmdbStore` say where it lives.

    Threads may share it. Each operation is atomic and, once it returns, as durable as the engine
    is; several become one inside `with store.transaction():`.

    `trust_pickle` says whether pickled values may be read, which can run code; None: unless a
    safe serializer is named. With `checksums=True` every value gets one, so that damage to it is
    noticed; None takes what the store has, and a new one has none. `iterable` and `kwargs` are
    entries to begin with. For the rest see `stone`.
    """

    _readonly = False

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        serialize: str | None = None,
        dump_load: tuple[Callable[[Any], bytes], Callable[[bytes], Any]] | tuple[()] = (),
        value_type: type = bytes,
        key_type: type[K] = bytes,  # type: ignore[assignment]  # K is bytes where it is not given
        trust_pickle: bool | None = None,
        checksums: bool | None = None,
        iterable: Mapping[Any, V] | Iterable[tuple[Any, V]] = (),
        kwargs: Mapping[str, V] | None = None,
    ) -> None:
        self._engine = engine
        self._name = name
        self._key_type = key_type
        self._value_type = value_type
        # A store that is dropped without close() lets go of its file all the same.
        self._close = weakref.finalize(self, engine.close)
        # The write transaction in which the metadata was last looked at.
        self._checked: Transaction | None = None
        self._changes = 0
        try:
            if key_type not in (bytes, str):
                raise KeyTypeError(f"key_type is bytes or str, not {key_type!r}")
            if not (serialize is None or isinstance(serialize, str)):
                raise SerializerError(f"serialize is the name of a serializer, not {serialize!r}")
            if not isinstance(value_type, type):
                raise ValueTypeError(
                    f"value_type is a class, list for instance, not {value_type!r}"
                )
            check_checksums(checksums)
            self._asked = FormatRequest.from_arguments(
                serialize, dump_load, trust_pickle, checksums
            )
            # How to write, which only changes in a write transaction; and another one, by metadata
            # of before that or that a reader has met since.
            self._codec = self._other_codec = self._open_codec()
            if iterable or kwargs:
                self.update(iterable, **(kwargs or {}))
        except BaseException:
            self._close()
            raise

    # -- writing -------------------------------------------------------------------------------

    def __setitem__(self, key: K | bytes | str, value: V) -> None:
        """Set the value of `key`. Raises SerializerError for a value that cannot be held."""
        self.put(key, value)

    def put(self, key: K | bytes | str, value: V, overwrite: bool = True) -> bool:
        """Set the value of `key`, unless it has one and `overwrite` is False. Was it written?"""
        stored = self._writable(key)
        codec = self._codec
        raw = codec.encode(stored, value)  # before the lock is taken, and in this thread

        def change(txn: Transaction) -> bool:
            if txn is not self._checked or self._changes != self._engine.changes:
                self._refresh(txn)
            if self._codec.metadata.has_collections:
                check_unclaimed(txn, stored)
            if not overwrite and txn.get(DATA, stored) is not None:
                return False
            # Another process may have changed the format since the value was encoded.
            now = self._codec
            txn.put(DATA, stored, raw if now is codec else now.encode(stored, value))
            return True

        return self._write(change)

    def __delitem__(self, key: K | bytes | str) -> None:
        """Remove `key`. Raises KeyError with the key where it is not there."""
        if not self.delete(key):
            raise KeyError(key)

    def delete(self, key: K | bytes | str) -> bool:
        """Remove `key`; was it there?"""
        stored = self._encoded(key)

        def change(txn: Transaction) -> bool:
            self._refresh(txn)
            self._check_unclaimed(txn, stored)
            return txn.delete(DATA, stored)

        return self._write(change)

    @overload
    def pop(self, key: K | bytes | str) -> V: ...
    @overload
    def pop(self, key: K | bytes | str, default: T) -> V | T: ...
    def pop(self, key: Any, default: Any = MISSING) -> Any:
        """Remove `key` and return its value; where it is not there, `default` or KeyError."""
        stored = self._encoded(key)
        with self._writing() as txn:
            raw = txn.get(DATA, stored)
            if raw is not None:
                self._check_unclaimed(txn, stored)
                value = self._decode(stored, raw)
                txn.delete(DATA, stored)
                return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, V]:
        """Remove and return the last entry in key order. Raises KeyError where there is none."""
        with self._writing() as txn:
            last = next(txn.scan(DATA, reverse=True), None)
            if last is None:
                raise KeyError("popitem(): the store is empty")
            self._check_unclaimed(txn, last[0])
            value = self._decode(*last)
            txn.delete(DATA, last[0])
            return self._key_out(last[0]), value

    def setdefault(self, key: K | bytes | str, default: V = None) -> V:  # type: ignore[assignment]
        """The value of `key`; where it has none, that becomes `default`."""
        stored = self._writable(key)
        with self._writing() as txn:
            raw = txn.get(DATA, stored)
            if raw is None:
                self._check_unclaimed(txn, stored)
                raw = self._codec.encode(stored, default)
                txn.put(DATA, stored, raw)
            return self._decode(stored, raw)  # type: ignore[no-any-return]

    def update(  # type: ignore[override]
        self, other: Mapping[Any, V] | Iterable[tuple[Any, V]] = (), /, **kwargs: V
    ) -> None:
        """Set many values, in one transaction: all of them or, on an error, none.

        `other` is a mapping, something with `keys()`, or any iterable of pairs; it is read as it is
        written, in constant memory, and what it reads from this store is as it was before.
        """
        with self._writing() as txn:
            put, encode = txn.put, self._codec.encode
            for entries in (pairs(other), kwargs.items()):
                for key, value in entries:
                    stored = (
                        key
                        if type(key) is bytes and 0 < len(key) <= MAX_KEY_SIZE
                        else self._writable(key)
                    )
                    # `other` may have made the first collection, in the transaction around this.
                    if self._codec.metadata.has_collections:
                        check_unclaimed(txn, stored)
                    try:
                        raw = encode(stored, value)
                    except SerializerError as error:
                        raise SerializerError(f"the value of {key!r}: {error}") from error
                    put(DATA, stored, raw)

    def __ior__(  # type: ignore[misc]  # dict itself takes pairs here but not in __or__
        self, other: Mapping[Any, V] | Iterable[tuple[Any, V]]
    ) -> Self:
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove every entry, the records of collections included."""
        with self._writing() as txn:
            txn.clear(DATA)
            txn.clear(Space.INDEX)
            for key in txn.keys(Space.META, *COUNTS):
                txn.delete(Space.META, key)

    def deep_add(self, key: K | bytes | str, value: Any) -> None:
        """Add `value` to the container at `key`, which is made where there is none.

        The store's `value_type` says what that is: list, tuple (both add at the end), set or
        frozenset. Raises TypeError for another type, or for a value there that is no container.
        """
        stored = self._writable(key)
        with self._writing() as txn:
            self._check_unclaimed(txn, stored)
            raw = txn.get(DATA, stored)
            container = () if raw is None else self._decode(stored, raw)
            grown = added(self._value_type, container, value)
            txn.put(DATA, stored, self._codec.encode(stored, grown))

    def deep_remove(self, key: K | bytes | str, value: Any) -> bool:
        """Take `value` out of the container at `key`, the first one in a list; was it in there?"""
        stored = self._encoded(key)
        with self._writing() as txn:
            self._check_unclaimed(txn, stored)
            raw = txn.get(DATA, stored)
            container = () if raw is None else self._decode(stored, raw)
            rest = removed(self._value_type, container, value)
            if rest is None:
                return False
            txn.put(DATA, stored, self._codec.encode(stored, rest))
            return True

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, *args: Any, **options: Any) -> Self:
        """A store opened by `cls(*args, **options)`, with `value` at each of `keys`."""
        store = cls(*args, **options)
        # What `__new__` of a subclass returns may be something else, as with dict.fromkeys().
        with store.transaction() if isinstance(store, Store) else nullcontext():
            for key in keys:
                store[key] = value
        return store

    # -- transactions --------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """All or nothing: what this thread or asyncio task does in the block is one transaction.

        An exception that leaves the block undoes all of it. A block inside a block is a savepoint,
        which can be undone alone. Others see all of it or none, and wait with their own writes
        until it ends; so keep it short, and do not await in it.
        """
        with self._ambient():
            yield self

    def snapshot(self) -> Snapshot[K, V]:
        """The store as it is now, read-only and frozen; use it as a context manager."""
        return Snapshot(self)

    def sync(self) -> None:
        """Wait until everything that was written before has reached the disk.

        For stores with `durability='lazy'` or `'none'`: otherwise each write has waited for that
        already. What is written in a transaction that is still open is not part of it.
        """
        self._check_writing()
        self._engine.sync()

    # -- the store as a whole ------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Some figures: `entries`, the `serializer` that writes, whether with `checksums`,
        `collections` with their counts, and what the engine says of itself (sizes are in bytes)."""
        txn, own = self._reading()
        try:
            metadata = self._codec_at(txn).metadata
            counts = {name: read_count(txn, count_key(name)) for name in collection_names(txn)}
            entries = txn.count(DATA)
        finally:
            if own:
                txn.abort()
        return {
            "entries": entries,
            "serializer": metadata.write.serializer,
            "checksums": metadata.checksums,
            "collections": counts,
            **self._engine.stats(),
        }

    def backup(self, path: str | os.PathLike[str], *, compact: bool = True) -> None:
        """Write a copy of one instant to `path`, a directory that is not there yet or is empty.

        Others go on reading and writing meanwhile; what is written in a transaction is in the copy
        once that has ended. The copy opens with LmdbStore. `compact=False` copies the file of a
        store on disk as it is, gaps and all, which takes less of the processor.

        When this returns, the copy is on the disk. It is there whole or not at all: if the process
        is killed, it leaves PATH.partial, which the next attempt replaces. Raises StoreOpenError
        where there is something at `path`, StorageError where it cannot be written.
        """
        self._engine.backup(os.fspath(path), compact=compact)

    def close(self) -> None:
        """Close the store: using it raises StoreClosedError from then on. Again is harmless."""
        if transactions.joined(self._engine) is not None:
            raise TransactionError("close() inside a transaction of the store: end that first")
        self._engine = ClosedEngine(self._name)
        self._checked = None
        self._close()

    @abstractmethod
    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store and delete its data. Does nothing without `yes_im_sure=True`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if isinstance(self._engine, ClosedEngine):
            return f"<{type(self).__name__} {self._name!r}: closed>"
        # Not the entries, as a dict would: there may be millions of them.
        serializer = self._codec.metadata.write.serializer
        return f"<{type(self).__name__} {self._name!r}: {len(self):,} entries, {serializer}>"

    # -- below -----------------------------------------------------------------------------------

    def _reading(self) -> tuple[Transaction, bool]:
        txn = transactions.joined(self._engine)
        return (self._engine.begin(), True) if txn is None else (txn, False)

    def _raw(self, key: bytes) -> bytes | None:
        if transactions.ambient.get() is None:  # the usual case, decided at the least cost
            return self._engine.get(DATA, key)
        txn = transactions.joined(self._engine)
        return self._engine.get(DATA, key) if txn is None else txn.get(DATA, key)

    def _decode(self, key: bytes, raw: bytes) -> Any:
        codec = self._codec
        if raw and raw[0] == codec.first:
            return codec.read(key, raw)
        if self._engine.legacy:
            return codec.decode(key, raw)
        # A codec that knows more formats is a later one. That another one takes values without a
        # checksum says nothing: it may be an earlier one.
        for codec in (self._codec, self._other_codec):
            if codec.metadata.generation is not None and codec.knows(raw):
                if codec.misses_checksum(raw):
                    break
                return codec.decode(key, raw)
        # The store has been given another format, or its first, since the metadata was read and
        # maybe since the value was: look at both as of one instant.
        txn, own = self._reading()
        try:
            codec, now = self._codec_at(txn), txn.get(DATA, key)
            if now is None:  # deleted since it was read, maybe before all were to have checksums
                codec = Codec(evolve(codec.metadata, checksums=False), self._asked)
            return codec.decode(key, raw if now is None else now)
        finally:
            if own:
                txn.abort()

    def _writable(self, key: object) -> bytes:
        """The stored form of a key that is to be written."""
        stored = key if type(key) is bytes and key else self._encoded(key)
        if len(stored) > MAX_KEY_SIZE:
            raise KeyTooLongError(
                f"a key has at most {MAX_KEY_SIZE} bytes, {stored[:40]!r}... has {len(stored)}: "
                "shorten it, or store under a hash of it"
            )
        return stored

    def _check_writing(self) -> None:
        # Not by the engine alone: it is shared, and others may have opened the store for writing.
        if self._readonly:
            raise ReadOnlyError(f"the store {self._name!r} was opened read-only")

    def _check_unclaimed(self, txn: Transaction, stored: bytes) -> None:
        if self._codec.metadata.has_collections:
            check_unclaimed(txn, stored)

    def _write(self, change: Callable[[Transaction], T]) -> T:
        if self._readonly:
            self._check_writing()
        txn = transactions.joined(self._engine, write=True)
        return self._engine.write(change) if txn is None else change(txn)

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        """A write transaction for one operation: a savepoint inside an ambient one."""
        self._check_writing()
        with transactions.writing(self._engine) as txn:
            self._refresh(txn)
            yield txn

    @contextmanager
    def _ambient(self) -> Iterator[Transaction]:
        self._check_writing()
        with transactions.transaction(self._engine) as txn:
            self._refresh(txn)
            yield txn

    def _reload(self, txn: Transaction) -> None:
        """Take over what this transaction has changed in the metadata."""
        self._other_codec, self._codec = self._codec, self._codec_for(txn)
        self._engine.changes += 1  # for other stores on the same engine, in the same transaction

    def _refresh(self, txn: Transaction) -> None:
        """Make sure, once a write transaction, that the metadata is that of now."""
        if txn is self._checked and self._changes == self._engine.changes:
            return
        if read_generation(txn) != self._codec.metadata.generation:
            self._reload(txn)
        self._checked, self._changes = txn, self._engine.changes

    def _codec_at(self, txn: Transaction) -> Codec:
        generation = read_generation(txn)
        for codec in (self._codec, self._other_codec):
            if codec.metadata.generation == generation:
                return codec
        self._other_codec = codec = self._codec_for(txn)
        return codec

    def _codec_for(self, txn: Transaction) -> Codec:
        metadata = read_metadata(txn)
        if metadata is None:  # still as stones 0.3 left it
            return self._codec
        return Codec(metadata, self._asked)

    def _open_codec(self) -> Codec:
        metadata = self._engine.read(read_metadata)
        if metadata is None and self._engine.legacy:
            return LegacyCodec(self._asked)
        if metadata is None:
            metadata = self._engine.write(self._create)
        self._asked.check(metadata, self._name)
        return Codec(metadata, self._asked)

    def _create(self, txn: Transaction) -> Metadata:
        metadata = read_metadata(txn)  # another process may have been quicker
        if metadata is None:
            asked = self._asked
            write_formats(txn, new_metadata(asked.name or "pickle", bool(asked.checksums)))
            metadata = read_metadata(txn)
            assert metadata is not None
        return metadata


class MemoryStore(Store[K, V]):
    """A store that lives and dies with the process, or with `close()`.

    All that a store on disk does, it does in the same way: keys in order, values as copies,
    transactions and snapshots. `name` says nothing, it is there as with the other stores.
    """

    @overload
    def __init__(
        self: "MemoryStore[str, Any]", name: object = ..., *, key_type: type[str], **options: Any
    ) -> None: ...
    @overload
    def __init__(self: "MemoryStore[bytes, Any]", name: object = ..., **options: Any) -> None: ...
    def __init__(self, name: object = None, **options: Any) -> None:
        unknown = sorted(options.keys() - STORE_OPTIONS)
        if unknown:
            raise ValueTypeError(
                f"MemoryStore has no option {unknown[0]!r}: it has "
                + ", ".join(sorted(STORE_OPTIONS))
            )
        super().__init__(MemoryEngine(), name="memory" if name is None else str(name), **options)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store: nothing of it is left. Does nothing without `yes_im_sure=True`."""
        if yes_im_sure:
            self.close()


def pairs(other: Any) -> Iterable[tuple[Any, Any]]:
    """The (key, value) pairs of what dict.update() takes: a mapping, or an iterable of pairs."""
    if isinstance(other, Mapping):
        return other.items()
    if hasattr(other, "keys"):
        return ((key, other[key]) for key in other.keys())  # noqa: SIM118  # all it need have
    return other  # type: ignore[no-any-return]
