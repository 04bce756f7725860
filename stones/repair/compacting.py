"""`compact`: gives the free space of a store back to the disk."""

import os

from stones.engines.lmdb import compaction
from stones.engines.lmdb.compaction import CompactReport
from stones.errors import UnsupportedError
from stones.stores.existing import lmdb_path, shown_place, shown_url
from stones.stores.schemes import path_in, scheme_of
from stones.stores.store import Store


def compact(place: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> CompactReport:
    """Make the files of a store as small as those of a new store with its entries.

    `place` is the path of a store on LMDB, or the URL of one on LMDB, SQLite or LevelDB. SQLite
    does it while programs use the store: their writes wait. What follows is of LMDB.

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
    system has no locks. Raises UnsupportedError for a store of another kind.

    >>> from stones import LmdbStore, compact
    >>> with LmdbStore('large-db') as store:
    ...     store['large'] = 'x' * 1_000_000
    ...     del store['large']
    >>> report = compact('large-db')
    >>> report.before > 1_000_000, report.after < 50_000
    (True, True)
    """
    path = lmdb_path(place)
    if path is not None:
        return compaction.compact(path)
    url = place.database.place if isinstance(place, Store) else str(place)
    scheme = scheme_of(url)
    if scheme == "sqlite":
        from stones.engines.sqlite.compaction import compact as compact_file
    elif scheme == "leveldb":
        from stones.engines.leveldb.compaction import compact as compact_file
    else:
        instead = _INSTEAD.get(scheme, "see the documentation of its engine")
        raise UnsupportedError(f"{shown_place(place)} cannot be compacted: {instead}")
    before, after = compact_file(os.path.abspath(path_in(url)))
    return CompactReport(shown_url(url), before, after)


_ANEW = "each commit writes its file anew, so it has no free space"
_SERVER = "its server keeps the entries"
_INSTEAD = {
    "": "it is in memory",
    "memory": "it is in memory",
    "json": _ANEW,
    "dbm": _ANEW,
    **dict.fromkeys(("redis", "rediss", "valkey", "valkeys", "unix"), f"{_SERVER} in memory"),
    **dict.fromkeys(
        ("postgres", "postgresql"),
        f"{_SERVER}, and reuses free space; VACUUM FULL gives it back to the disk",
    ),
}
"""Why there is nothing to compact, or what else does it, by the scheme of the URL."""
