"""`compact`: gives the free space of a store on LMDB back to the disk."""

import os

from stones.engines.lmdb import compaction
from stones.engines.lmdb.compaction import CompactReport
from stones.stores.existing import required_lmdb_path


def compact(place: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> CompactReport:
    """Make the file of the LMDB store at `place` as small as that of a new store with its entries.

    No program may have the store open, nor this one. A program that opens the store now waits for
    the end. `compact` works on databases of stones 0.3 too, and on any other LMDB file.

    The disk needs room for the new file beside the old one. The store is whole at any moment,
    whatever happens: if the process is killed, or the disk is full, it is as before. Then the
    directory `.compacting` may be left beside the data file; the next `compact` removes it. The
    permissions and the owner of the file stay. It takes about a second for a million small entries,
    and constant memory, plus twice the size of the largest value.

    Programs that may not write lock.mdb cannot be seen. They go on reading the old file.

    Raises StoreOpenError if the store is open somewhere, which names the process if it is known, or
    if there is no store. Raises StorageError if the files cannot be written, and where the file
    system has no locks. Raises UnsupportedError for a store that is not on LMDB.

    >>> from stones import LmdbStore, compact
    >>> with LmdbStore('large-db') as store:
    ...     store['large'] = 'x' * 1_000_000
    ...     del store['large']
    >>> report = compact('large-db')
    >>> report.before > 1_000_000, report.after < 50_000
    (True, True)
    """
    path = required_lmdb_path(
        place,
        "compact makes an LMDB file smaller",
        "its engine reuses free space, and gives it back by means of its own, such as VACUUM",
    )
    return compaction.compact(path)
