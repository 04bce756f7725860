"""A directory that is there whole and on the disk, or not at all: for backups and the like."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock

from stones.errors import StorageError, StoreOpenError

from .directory import check_vacant, sync
from .repacking import LOOSE


@contextmanager
def new_directory(path: str) -> Iterator[str]:
    """A directory to fill. When the block has ended, it is at `path` and on the disk.

    It is made beside `path`, as PATH.partial, and then moved. If the block raises, PATH.partial is
    removed. If the process ends in the block, PATH.partial stays, and the next attempt replaces it.

    Raises StoreOpenError if there is anything at `path` but an empty directory, or if another
    attempt is under way. Raises StorageError if the directory cannot be written.
    """
    check_vacant(path)
    place = os.path.abspath(path)
    partial = place + ".partial"
    try:
        descriptor = _claimed(partial)
        try:
            others = set(os.listdir(partial)) - {"data.mdb", "lock.mdb", LOOSE}
            if others:
                raise StoreOpenError(
                    f"{partial!r}, where {path!r} is to be made, has other files in it, for "
                    f"instance {min(others)!r}: move it away"
                )
            for name in os.listdir(partial):
                os.unlink(os.path.join(partial, name))
            try:
                yield partial
                with suppress(FileNotFoundError):  # LMDB made it when the copy was opened
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
    """A descriptor of the directory `partial`. While it is open, no other process fills that."""
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
                f"{partial!r} is being written by another process: wait until that has ended"
            ) from error
        os.close(descriptor)  # another process has just moved its directory to its place
