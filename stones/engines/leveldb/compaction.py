"""Gives the room of removed and replaced entries back to the disk."""

import os
from contextlib import suppress

from .open_database import BEHIND, OpenDatabase


def compact(path: str) -> tuple[int, int]:
    """Write the files at `path` anew, without what was removed. Their bytes before and after.

    No program may have the store open, nor this one. Raises StoreOpenError, StorageError.
    """
    opened = OpenDatabase(path, create=False)
    try:
        before = _size(path)
        # With both ends: without them, LevelDB leaves the newest files as they are.
        opened.use(opened.raw.compact_range, start=b"", stop=BEHIND)
    finally:
        opened.close()
    OpenDatabase(path, create=False).close()  # an opening removes the files that are not in use
    return before, _size(path)


def _size(path: str) -> int:
    size = 0
    for name in os.listdir(path):
        with suppress(FileNotFoundError):  # LevelDB has removed it just now
            size += os.path.getsize(os.path.join(path, name))
    return size
