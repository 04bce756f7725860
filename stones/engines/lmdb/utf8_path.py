"""Paths that are not UTF-8, for py-lmdb, which takes only paths in UTF-8."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from stones.errors import StoreOpenError


@contextmanager
def utf8_path(path: str) -> Iterator[str]:
    """A path in UTF-8 that leads to the directory `path` until the block ends.

    It is `path` itself if that is UTF-8. If not, Linux has a second path: it numbers the open files
    of a process. LMDB opens its files once, and does not look at the path later.

    Raises StoreOpenError if there is no such path, OSError if there is no such directory.
    """
    if _is_utf8(path):
        yield path
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        numbered = f"/proc/self/fd/{descriptor}"
        if not os.path.isdir(numbered):
            raise StoreOpenError(
                f"the path {path!r} is not UTF-8, and LMDB cannot open it on this system: rename it"
            )
        yield numbered
    finally:
        os.close(descriptor)


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:  # the surrogates of os.fsdecode
        return False
    return True
