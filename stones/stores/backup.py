"""A backup: a copy of a whole store at one moment, as an LMDB file in a new directory."""

import os
from collections.abc import Callable
from functools import partial

from stones.engine import Engine, Space, Transaction
from stones.errors import UnsupportedError

_TOLD = 1000
"""`progress` is called after so many entries."""


def write_backup(
    engine: Engine,
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    compact: bool = True,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Write a copy of one moment into the directory `path`, as an LMDB file.

    When this returns, the copy is on the disk. It is there whole or not at all. It is as small as a
    new store with the same entries. `compact=False` copies an LMDB file as it is, gaps and all,
    which takes less of the processor. `progress` is called with the entries so far and all of them,
    now and then; not for an LMDB file, which LMDB copies in one call.

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
            engine.read(lambda source: target.write(partial(_copy_entries, source, progress)))
        finally:
            target.close()


def _copy_entries(
    source: Transaction, progress: Callable[[int, int], object] | None, target: Transaction
) -> None:
    total = 0 if progress is None else sum(map(source.count, Space))
    done = 0
    for space in Space:
        for key, value in source.scan(space):
            target.put(space, key, value)
            done += 1
            if progress is not None and done % _TOLD == 0:
                progress(min(done, total), total)
    for name, number in source.sums():
        target.add(name, number)
    if progress is not None:
        progress(total, total)
