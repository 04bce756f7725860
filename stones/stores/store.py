"""The dict face of a store as a whole: `Store`, `Snapshot`, and the store in memory.

`reader` has the half of the dict that reads, `writer` the half that writes, `transacting` its
transactions. Here is what concerns a store as a whole: opening, snapshots, copies, backups,
closing. A store has a `Database`, which it shares with collections and migrations.
"""

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Self

from stones.engine import Engine
from stones.engines.memory import MemoryEngine
from stones.errors import ReadOnlyError
from stones.formats.encryption_keys import Encrypt
from stones.stores.namespaces.namespace import SnapshotWithNamespaces, StoreWithNamespaces

from .backup import write_backup
from .database import Database
from .database_reader import DatabaseSnapshot
from .figures import figures
from .options import Functions, checked_request
from .reader import K, Reader, V
from .schemes import check_class, path_in, scheme_of
from .shown_counts import shown_count
from .spelling import check_spelling
from .timeout import TIMEOUT, timeout_of


class Copyable(Reader[K, V]):
    """What a store and a snapshot can be copied by: `copy()`, and `|` as with dict."""

    def copy(self) -> "MemoryStore[K, V]":
        """The same entries and collections in a new MemoryStore with the same serializer."""
        twin = self._empty_twin()
        twin.update(self)
        return twin

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> "MemoryStore[K, V]":
        return self.copy()  # values are copies at any rate

    def __or__(self, other: Mapping[Any, Any]) -> "MemoryStore[K, V]":
        if not isinstance(other, Mapping):
            return NotImplemented
        twin = self.copy()
        twin.update(other)
        return twin

    def __ror__(self, other: Mapping[Any, Any]) -> "MemoryStore[K, V]":
        if not isinstance(other, Mapping):
            return NotImplemented
        twin = self._empty_twin()
        twin.update(other)
        twin.update(self)
        return twin

    def _empty_twin(self, prefix: bytes = b"", **options: Any) -> "MemoryStore[Any, Any]":
        types = {"key_type": self._key_type, "value_type": self._value_type}
        codec = self.database.codec
        twin = MemoryStore[Any, Any](**{**types, **codec.options(), **options})
        twin.database.write_as(codec, prefix)
        return twin


class Snapshot(Copyable[K, V], SnapshotWithNamespaces[K, V]):
    """A store as it was at one moment, read-only: what `with store.snapshot() as view` gives.

    It costs nothing to open, and no writer waits for it. As long as it is open, an engine on disk
    cannot reuse the space of entries that are deleted. It belongs to one thread at a time.

    >>> from stones import MemoryStore
    >>> store = MemoryStore({'a': 1})
    >>> with store.snapshot() as view:
    ...     store['a'] = 2
    ...     view['a'], store['a']
    (1, 2)
    """

    def __init__(self, store: "Store[K, V]") -> None:
        self._snapshot = store.database.snapshot()
        super().__init__(self._snapshot, store._key_type, store._value_type)

    @property
    def database(self) -> DatabaseSnapshot:
        """The layer below the dict, which collections work on too."""
        return self._snapshot

    def _read_only(self, *args: Any, **options: Any) -> Any:
        """In place of all that writes. Raises ReadOnlyError."""
        raise ReadOnlyError(
            f"this is a snapshot of {self.database.name!r}: write to the store itself"
        )

    if not TYPE_CHECKING:  # to type checkers a snapshot has no method that writes
        __setitem__ = __delitem__ = __ior__ = put = delete = update = pop = popitem = _read_only
        setdefault = clear = deep_add = deep_remove = transaction = transact = _read_only

    def close(self) -> None:
        """Let go of the snapshot. Reading after that raises; a second call does nothing."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Snapshot of {self.database.name!r}>"


class Store(Copyable[K, V], StoreWithNamespaces[K, V]):
    """A dict over an engine: what `stone()` opens. `MemoryStore`, `LmdbStore` say where it lives.

    Threads may share it. Each operation is atomic and, once it returns, as durable as the engine
    is. Several operations become one inside `with store.transaction():`.

    Every class of stores takes these options:

    - `serialize` names the serializer: pickle, json, cbor, msgpack, noop, or one that was given to
      `register_serializer`. None takes the store's own; a new store gets `default_serializer` of
      its class, which is pickle unless the class says otherwise.
    - `dump_load=(encode, decode)` gives two functions in its place.
    - `value_type` is the class of the containers that `deep_add` makes.
    - `key_type=str` gives keys back as str.
    - `trust_pickle` says whether pickled values may be read, which can run code. None: only if
      pickle is named, or is the default and no other serializer is named.
    - `checksums=True` gives every value a checksum, so that damage is noticed. None takes what the
      store has; a new store has no checksums.
    - `iterable` and `kwargs` are entries to begin with.
    - `timeout` is how many seconds a write waits while another thread or process writes. After that
      it raises LockTimeoutError, which names the process. None waits without a limit. A program
      that waits for ever tells nobody why, so the default is 60. Reading never waits. An engine of
      your own has it if it supports timeouts.

    >>> from stones import LmdbStore
    >>> with LmdbStore('notes', serialize='json', checksums=True) as store:
    ...     store['first'] = {'text': 'hello', 'tags': ('a', 'b')}
    ...     store['first']['tags'], 'second' in store, len(store)
    (('a', 'b'), False, 1)
    """

    default_serializer: ClassVar[str] = "pickle"
    """The serializer of a new store where `serialize` is None.

    A class whose entries other programs may write, over a network for instance, names a safe one.
    """
    _place = ""
    """What the repr says of where the entries are, if it is not on disk."""

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        place: str = "",
        readonly: bool = False,
        timeout: float | None = TIMEOUT,
        serialize: str | None = None,
        dump_load: Functions = (),
        value_type: type = bytes,
        key_type: type[K] = bytes,  # type: ignore[assignment]  # K is bytes where it is not given
        trust_pickle: bool | None = None,
        checksums: bool | None = None,
        compress: str | bool | None = None,
        encrypt: Encrypt = None,
        iterable: Mapping[Any, V] | Iterable[tuple[Any, V]] = (),
        kwargs: Mapping[str, V] | None = None,
    ) -> None:
        database = Database(engine, name=name, place=place, readonly=readonly)
        try:
            if engine.supports.timeouts:
                database.timeout = timeout_of(timeout)
            request = checked_request(
                key_type,
                value_type,
                serialize,
                dump_load,
                trust_pickle,
                checksums,
                compress,
                encrypt,
                self.default_serializer,
            )
            self._open(database, request)
            super().__init__(database, key_type, value_type)
            if iterable or kwargs:
                self.update(iterable, **(kwargs or {}))
        except BaseException:
            database.abandon()
            raise

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """The store at `scheme:PATH` or `scheme:///PATH`, opened by `cls(PATH, **options)`.

        A class that takes other URLs overrides this. `stone(url)` finds the class by the scheme.
        Raises StoreOpenError for a URL of another form.

        >>> from stones import LmdbStore
        >>> LmdbStore.from_url('lmdb:my-db', serialize='json')
        <LmdbStore 'my-db': 0 entries, json>
        """
        check_class(cls, scheme_of(url))
        opener: Any = cls  # a subclass takes a path, and no engine
        return opener(path_in(url), **options)  # type: ignore[no-any-return]  # as `cls` says

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, *args: Any, **options: Any) -> Self:
        """A store opened by `cls(*args, **options)`, with `value` at each of `keys`."""
        store = cls(*args, **options)
        # What `__new__` of a subclass returns may be another object, as with dict.fromkeys().
        with store.transaction() if isinstance(store, Store) else nullcontext():
            for key in keys:
                store[key] = value
        return store

    def snapshot(self) -> Snapshot[K, V]:
        """The store as it is now, read-only and frozen; use it as a context manager.

        >>> from stones import MemoryStore
        >>> store = MemoryStore({'a': 1})
        >>> with store.snapshot() as view:
        ...     del store['a']
        ...     len(view), len(store)
        (1, 0)
        """
        return Snapshot(self)

    def sync(self) -> None:
        """Wait until everything that was written before has reached the disk.

        For stores with `durability='lazy'` or `'none'`: otherwise each write has waited for that
        already. What is written in a transaction that is still open is not part of it.
        """
        self.database.sync()

    # -- the store as a whole ------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Some figures: `entries`, the `serializer` that writes, whether with `checksums`,
        `collections` and `namespaces` with their counts, and what the engine says of itself (sizes
        are in bytes)."""
        return figures(self.database)

    def backup(
        self, path: str | bytes | os.PathLike[str] | os.PathLike[bytes], *, compact: bool = True
    ) -> None:
        """Write a copy of one moment to `path`, a directory that is not there yet or is empty.

        Others go on reading and writing. What is written in a transaction is in the copy once the
        transaction has ended. The copy opens with LmdbStore. It is as small as a new store with the
        same entries. `compact=False` copies the file of a store on disk as it is, gaps and all,
        which takes less of the processor.

        When this returns, the copy is on the disk. It is there whole or not at all: if the process
        is killed, it leaves PATH.partial, which the next attempt replaces. Raises StoreOpenError
        where there is a file or a full directory at `path`, StorageError where `path` cannot be
        written.

        >>> from stones import LmdbStore, MemoryStore
        >>> MemoryStore({'a': 1}, serialize='json').backup('saved')
        >>> LmdbStore('saved')
        <LmdbStore 'saved': 1 entry, json>
        """
        write_backup(self.database.engine, path, compact=compact)

    def close(self) -> None:
        """Close the store: using it raises StoreClosedError from then on. Again is harmless."""
        self.database.close()

    @abstractmethod
    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store and delete its data. Does nothing without `yes_im_sure=True`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        database = self.database
        named = f"{type(self).__name__} {database.name!r}{self._place}"
        if database.closed:
            return f"<{named}: closed>"
        # Not the entries, as a dict would: there may be millions of them.
        serializer = database.codec.metadata.write.serializer
        count = shown_count(self, database, "entry", "entries")
        return f"<{named}: {count}, {serializer}>" if count else f"<{named}: {serializer}>"


class MemoryStore(Store[K, V]):
    """A store that lives and dies with the process, or with `close()`.

    All that a store on disk does, it does in the same way: keys in order, values as copies,
    transactions and snapshots. It is filled as a dict is: by a mapping or by pairs, and by keyword
    arguments that are not options. `Store` describes the options. `name` is for messages only; a
    str in the place of the entries is a name too.

    >>> from stones import MemoryStore
    >>> store = MemoryStore({'a': 1}, b=2, serialize='json')
    >>> dict(store)
    {b'a': 1, b'b': 2}
    """

    _place = " (in memory only)"

    def __init__(
        self,
        entries: Mapping[Any, V] | Iterable[tuple[Any, V]] | str | os.PathLike[str] | None = None,
        /,
        *,
        name: str | os.PathLike[str] | None = None,
        timeout: float | None = TIMEOUT,
        serialize: str | None = None,
        dump_load: Functions = (),
        value_type: type = bytes,
        key_type: type[K] = bytes,  # type: ignore[assignment]  # K is bytes where it is not given
        trust_pickle: bool | None = None,
        checksums: bool | None = None,
        compress: str | bool | None = None,
        encrypt: Encrypt = None,
        iterable: Mapping[Any, V] | Iterable[tuple[Any, V]] = (),
        kwargs: Mapping[str, V] | None = None,
        **more: V,
    ) -> None:
        check_spelling("MemoryStore", more, MemoryStore.__init__.__kwdefaults__ or {})
        if isinstance(entries, str | os.PathLike):
            name, entries = entries, None
        super().__init__(
            MemoryEngine(),
            name="memory" if name is None else os.fsdecode(name),
            timeout=timeout,
            serialize=serialize,
            dump_load=dump_load,
            value_type=value_type,
            key_type=key_type,
            trust_pickle=trust_pickle,
            checksums=checksums,
            compress=compress,
            encrypt=encrypt,
        )
        given = [] if entries is None else [entries]
        given += [filling for filling in (iterable, kwargs, more) if filling]
        if given:
            with self.transaction():
                for filling in given:
                    self.update(filling)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """A new store in memory for `memory:NAME`, which shows NAME."""
        check_class(cls, scheme_of(url))
        return cls(url.partition(":")[2] or "memory", **options)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store: nothing of it is left. Does nothing without `yes_im_sure=True`."""
        if yes_im_sure:
            self.close()
