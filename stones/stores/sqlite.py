"""The store in a SQLite file: many readers and one writer, crash-proof, without any dependency.

`stones.engines.sqlite` is the engine below it.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from stones.engines.lmdb.directory import path_of
from stones.engines.sqlite.engine import SqliteEngine
from stones.formats.encryption_keys import Encrypt

from .options import Functions, check_durability
from .reader import K, V
from .store import Store
from .timeout import TIMEOUT, timeout_of

Durability = Literal["full", "lazy", "none"]
"""What a write has survived when it returns: see `SqliteStore`."""


class SqliteStore(Store[K, V]):
    """A store in one SQLite file, for any number of threads and processes on this machine.

    It needs nothing but Python's own sqlite3. Beside the options of `Store` it takes these:

    - `path` is a file, as str, bytes or a Path. It is made where it is not there yet. While the
      store is open, SQLite keeps two more files beside it, PATH-wal and PATH-shm.
    - `readonly=True` opens an existing store without changing an entry of it. SQLite may still make
      the two files beside it.
    - `create=False` refuses a path where there is no store.
    - `durability` says what a write has survived when it returns. `'full'`: a power cut. `'lazy'`:
      a crash of the process, while a power cut may undo the last writes. `'none'`: a crash of the
      process, while a power cut may destroy the store.
    - `timeout` is how many seconds a write waits for another writer, as in `Store`.

    Raises StoreOpenError if the store cannot be opened, or if the file is of another kind. Raises
    SerializerError for an unknown serializer, and FormatMismatchError if the store is written by
    another serializer than the one named.

    >>> from stones import SqliteStore
    >>> with SqliteStore('app.db', serialize='json') as store:
    ...     store['greeting'] = 'hello'
    >>> with SqliteStore('app.db', readonly=True) as store:
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
        self.path = path_of(path)
        engine = SqliteEngine.open(
            self.path,
            readonly=readonly,
            create=create,
            durability=durability,
            timeout=timeout_of(timeout),
        )
        self._opened = engine.place
        super().__init__(
            engine,
            name=self.path,
            place=f"sqlite:{self.path}",
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
        """Close the store and delete its file, and the two files beside it.

        Does nothing without `yes_im_sure=True`. Other stores may be open on the same file, in this
        process or another one. They go on reading the entries that were there; a write to them is a
        StorageError. When the last of them is closed, the entries are gone.

        A file that is not the one that was opened stays: if the path leads to another file now,
        that is a StorageError.
        """
        if yes_im_sure:
            self.close()
            self._opened.remove()
