"""The store on LevelDB: one directory a store, many threads of one process, crash-proof.

`stones.engines.leveldb` is the engine below it. It is loaded when a store is opened, since it needs
plyvel.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from stones.engines.lmdb.directory import path_of
from stones.formats.encryption_keys import Encrypt

from .options import Functions, check_durability
from .reader import K, V
from .schemes import naming_the_client
from .store import Store
from .timeout import TIMEOUT

LevelDBDurability = Literal["full", "lazy"]
"""What a write has survived when it returns: see `LevelDBStore`."""


class LevelDBStore(Store[K, V]):
    """A store in a directory of LevelDB files, for any number of threads of one process.

    It needs the package plyvel: `pip install stones[leveldb]`. Beside the options of `Store` it
    takes these:

    - `path` is a directory, as str, bytes or a Path. It is made where it is not there yet.
    - `readonly=True` opens an existing store and refuses writes. LevelDB has no way to open files
      without writing to them: it begins a new log, and keeps other processes out all the same.
    - `create=False` refuses a path where there is no store.
    - `durability` says what a write has survived when it returns. `'full'`: a power cut. `'lazy'`:
      a crash of the process, while a power cut may undo the last writes. If two stores of a process
      are open on one directory, the stricter one counts for both.
    - `timeout` is how many seconds a write waits for another writer, as in `Store`.

    Raises StoreOpenError if the store cannot be opened, also if another process has it open
    or plyvel is not installed.
    Raises FormatMismatchError if the store is written by another serializer than the one named.

    >>> from stones import LevelDBStore
    >>> with LevelDBStore('my-leveldb', serialize='msgpack') as store:
    ...     store['greeting'] = 'hello'
    >>> with LevelDBStore('my-leveldb', readonly=True) as store:
    ...     store['greeting']
    'hello'
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        *,
        readonly: bool = False,
        create: bool = True,
        durability: LevelDBDurability = "full",
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
        check_durability(durability, get_args(LevelDBDurability))
        self.path = path_of(path)
        with naming_the_client("leveldb"):
            from stones.engines.leveldb.engine import LevelDBEngine
        engine = LevelDBEngine.open(
            self.path, create=create and not readonly, durability=durability
        )
        self._directory = engine.path
        super().__init__(
            engine,
            name=self.path,
            place=f"leveldb:{self.path}",
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

        Does nothing without `yes_im_sure=True`. Raises StoreOpenError if another store of this
        process has the directory open.
        """
        if yes_im_sure:
            from stones.engines.leveldb.engine import destroy

            self.close()
            destroy(self._directory)
