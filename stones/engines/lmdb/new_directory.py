"""A directory that is there whole, and on the disk, or not there at all: backups and the like."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock

from stones.errors import StorageError, StoreOpenError

from .directory import check_vacant, sync


@contextmanager
def new_directory(path: str) -> Iterator[str]:
    """A directory to fill, which is at `path` when the block has ended, and has been synced.

    It is made beside `path`, as PATH.partial, and moved there. If the block raises, it is removed;
    if the process ends in it, PATH.partial is left behind, and the next attempt replaces it.

    Raises StoreOpenError where there is anything at `path` but an empty directory, or where another
    attempt is under way; StorageError where it cannot be written.
    """
    check_vacant(path)
    place = os.path.abspath(path)
    partial = place + ".partial"
    try:
        descriptor = _claimed(partial)
        try:
            others = set(os.listdir(partial)) - {"data.mdb", "lock.mdb"}
            if others:
                raise StoreOpenError(
                    f"{partial!r}, where {path!r} is to be made, has files of others in it, "
                    f"{min(others)!r} for one: move it away"
                )
            for name in os.listdir(partial):
                os.unlink(os.path.join(partial, name))
            try:
                yield partial
                with suppress(FileNotFoundError):  # of those who had the copy open
                    os.unlink(os.path.join(partial, "lock.mdb"))
                for name in os.listdir(partial):
                    sync(os.path.join(partial, name))
                os.fsync(descriptor)
                os.rename(partial, place)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        finally:
            os.close(descriptor)
        sync(os.path.dirname(place))
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"cannot write {path!r}: {error}") from error


def _claimed(partial: str) -> int:
    """A descriptor of the directory `partial`, which nobody else fills as long as it is open."""
    while True:
        with suppress(FileExistsError):
            os.mkdir(partial)
        descriptor = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
            if os.path.exists(partial) and os.path.samestat(os.stat(partial), os.fstat(descriptor)):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise StoreOpenError(
                f"{partial!r} is being written by another process: wait until it has ended"
            ) from error
        os.close(descriptor)  # it has been moved to its place meanwhile
