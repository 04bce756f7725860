"""The store on disk: LMDB, one file a store, many readers and one writer, crash-proof.

`stones.engines.lmdb.engine` is the engine below it.
"""

import os
from typing import Any, overload

from stones.engines.lmdb.engine import LmdbEngine
from stones.engines.lmdb.environment import DURABILITY, remove_files
from stones.errors import StoreOpenError, ValueTypeError

from .reader import K, V
from .store import STORE_OPTIONS, Store


class LmdbStore(Store[K, V]):
    """A store in a directory on disk, for any number of threads and processes on this machine.

    `path` is made where it is not there yet. `readonly=True` opens an existing store without ever
    writing to it; `create=False` refuses a path where there is none. `durability` says what a
    write has survived when it returns: `'full'`, a power cut; `'lazy'`, a crash of the process,
    while a power cut may undo the last writes; `'none'`, a crash of the process, while a power cut
    may destroy the store. `table` is only for a database of stones 0.3 that kept its values in a
    named table.
    """

    @overload
    def __init__(
        self: "LmdbStore[str, Any]",
        path: str | os.PathLike[str],
        *,
        key_type: type[str],
        **options: Any,
    ) -> None: ...
    @overload
    def __init__(
        self: "LmdbStore[bytes, Any]", path: str | os.PathLike[str], **options: Any
    ) -> None: ...
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        readonly: bool = False,
        create: bool = True,
        durability: str = "full",
        table: bytes | None = None,
        **options: Any,
    ) -> None:
        unknown = sorted(options.keys() - STORE_OPTIONS)
        if unknown:
            raise ValueTypeError(
                f"LmdbStore has no option {unknown[0]!r}: it has readonly, create, durability, "
                "table, " + ", ".join(sorted(STORE_OPTIONS))
            )
        if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in str(path):
            raise StoreOpenError(f"the path of a store is a str or a Path, not {path!r}")
        if not isinstance(durability, str) or durability not in DURABILITY:
            raise StoreOpenError(
                f"durability is one of {', '.join(DURABILITY)}, not {durability!r:.80}"
            )
        self.path = os.fspath(path)
        self._readonly = readonly
        engine = LmdbEngine.open(
            self.path, readonly=readonly, create=create, table=table, durability=durability
        )
        self._files = engine
        super().__init__(engine, name=self.path, **options)

    def destroy(self, *, yes_im_sure: bool = False) -> None:
        """Close the store and delete its files, and the directory where nothing else is in it.

        Does nothing without `yes_im_sure=True`. Other stores that are open on it, in this process
        or another one, go on with what was there, and it is gone when they are closed.
        """
        if yes_im_sure:
            self.close()
            remove_files(self._files.path)
