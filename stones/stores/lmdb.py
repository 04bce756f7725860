"""The store on disk: LMDB, one file a store, many readers and one writer, crash-proof.

`stones.engines.lmdb` is the engine below it.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from stones.engines.lmdb.directory import path_of
from stones.engines.lmdb.engine import LmdbEngine
from stones.formats.encryption_keys import Encrypt
from stones.formats.stones03_codec import check_table

from .options import Functions, check_durability
from .reader import K, V
from .schemes import scheme_of
from .store import Store
from .timeout import TIMEOUT, timeout_of

Durability = Literal["full", "lazy", "none"]
"""What a write has survived when it returns: see `LmdbStore`."""


class LmdbStore(Store[K, V]):
    """A store in a directory on disk, for any number of threads and processes on this machine.

    Beside the options of `Store` it takes these:

    - `path` is a directory, as str, bytes or a Path. It is made where it is not there yet.
    - `readonly=True` opens an existing store without ever writing to it.
    - `create=False` refuses a path where there is no store.
    - `durability` says what a write has survived when it returns. `'full'`: a power cut. `'lazy'`:
      a crash of the process, while a power cut may undo the last writes. `'none'`: a crash of the
      process, while a power cut may destroy the store.
    - `timeout` is how many seconds a write waits for another writer, as in `Store`. Opening waits
      only where the store has to be made. An import of an hour in one transaction makes others fail
      after a minute: let them ask for more.
    - `table` is for a database of stones 0.3 that kept its values in a named table.

    Raises StoreOpenError if the store cannot be opened, SerializerError for an unknown serializer.
    Raises FormatMismatchError if the store is written by another serializer than the one named.

    >>> from stones import LmdbStore
    >>> with LmdbStore('my-db', serialize='msgpack') as store:
    ...     store['greeting'] = 'hello'
    >>> with LmdbStore('my-db', readonly=True) as store:
    ...     store['greeting']
    'hello'
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        *,
        readonly: bool = False,
        create: bool = True,
        durability: Durability = "full",
        table: bytes | None = None,
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
        check_durability(durability, get_args(Durability))
        check_table(table)
        self.path = path_of(path)
        engine = LmdbEngine.open(
            self.path,
            readonly=readonly,
            create=create,
            table=table,
            durability=durability,
            timeout=timeout_of(timeout),
        )
        self._opened = engine.place
        super().__init__(
            engine,
            name=self.path,
            place=_place_of(self.path),
            readonly=readonly,
            timeout=timeout,
            serialize=serialize,
            dump_load=dump_load,
            value_type=value_type,
            key_type=key_type,
            trust_pickle=trust_pickle,
            checksums=checksums,
            compress=compress,
            encrypt=encrypt,
            iterable=iterable,
            kwargs=kwargs,
        )

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store and delete its files, and the directory where nothing else is in it.

        Does nothing without `yes_im_sure=True`. Other stores may be open on the same files, in this
        process or another one. They go on reading the entries that were there; a write to them is a
        StorageError. When the last of them is closed, the entries are gone.

        Files that are not those that were opened stay: if the path leads to another store now, that
        is a StorageError.
        """
        if yes_im_sure:
            self.close()
            self._opened.remove()


def _place_of(path: str) -> str:
    """The path as a command takes it: a command reads `a:b` as a URL, and `-x` as an option."""
    return f"lmdb:{path}" if scheme_of(path) or path.startswith("-") else path
