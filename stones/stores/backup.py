"""A backup: a copy of a whole store at one moment, as an LMDB file in a new directory."""

import os
from functools import partial

from stones.engine import Engine, Space, Transaction
from stones.errors import UnsupportedError


def write_backup(
    engine: Engine,
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    compact: bool = True,
) -> None:
    """Write a copy of one moment into the directory `path`, as an LMDB file.

    When this returns, the copy is on the disk. It is there whole or not at all. It is as small as a
    new store with the same entries. `compact=False` copies an LMDB file as it is, gaps and all,
    which takes less of the processor.

    Raises StoreOpenError where there is something at `path`, StorageError where it cannot be
    written, StoreClosedError for a closed engine, UnsupportedError where LMDB is not installed.
    """
    # LMDB's client loads only now: a store in memory may never need it.
    try:
        from stones.engines.lmdb.directory import path_of
        from stones.engines.lmdb.engine import LmdbEngine
        from stones.engines.lmdb.new_directory import new_directory
    except ImportError as error:
        raise UnsupportedError(
            f"a backup is a store on LMDB, and lmdb cannot be imported ({error}): install lmdb, or "
            "open another store and update() it with this one"
        ) from error

    engine.begin().abort()  # a closed engine says so before a directory is made
    with new_directory(path_of(path)) as partial_copy:
        if isinstance(engine, LmdbEngine):
            engine.copy_to(partial_copy, compact=compact)
            return
        target = LmdbEngine.open(partial_copy, new=True)
        try:
            engine.read(lambda source: target.write(partial(_copy_entries, source)))
        finally:
            target.close()


def _copy_entries(source: Transaction, target: Transaction) -> None:
    for space in Space:
        for key, value in source.scan(space):
            target.put(space, key, value)
    for name, number in source.sums():
        target.add(name, number)
