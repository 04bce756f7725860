"""Whether a write has failed because there is no room, where the client of an engine does not say.

LMDB and SQLite tell of an error of input and output, whatever has cut a write short.
"""

import os
from resource import RLIM_INFINITY, RLIMIT_FSIZE, getrlimit

_LITTLE = 1 << 20
"""Bytes. A disk with less is full."""


def is_full(path: str) -> bool:
    """Whether the disk has no room, or the process may not make the file at `path` larger."""
    largest = getrlimit(RLIMIT_FSIZE)[0]
    if largest != RLIM_INFINITY and os.path.getsize(path) >= largest // 2:
        return True
    disk = os.statvfs(os.path.dirname(path) or ".")
    return disk.f_bavail * disk.f_frsize < _LITTLE
