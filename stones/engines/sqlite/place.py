"""The place of a store: a file, and two more beside it while the store is open.

SQLite keeps the last commits in PATH-wal, and what the processes share in PATH-shm. The last
program that closes the store removes both.

A file that is open can be removed or replaced, and writes to it still succeed. Nobody would find
them again. So each commit looks first. No file is opened here: closing it would give up the locks
that SQLite has on it, which belong to the process.
"""

import os
from contextlib import suppress
from stat import S_ISDIR, S_ISREG
from time import time_ns

from stones.engines.lmdb.directory import open_error
from stones.errors import StorageError, StoreOpenError

_COARSE = 3_000_000_000
"""Nanoseconds. The clocks of file systems are finer than this."""
_BESIDE = ("-wal", "-shm")


def identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a file, the same for every path to it; None if there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_place(path: str, *, create: bool) -> None:
    """Raise StoreOpenError if no store can be at `path`.

    With `create=False`, also if there is nothing yet.
    """
    if os.path.basename(path) == ":memory:":
        raise StoreOpenError(
            "a SqliteStore is a file: for a store in memory, use MemoryStore or stone('memory:'); "
            "for a file with that name, write ./:memory:/ with another name"
        )
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        kind = None
    except OSError as error:
        raise open_error(path, error) from error
    if kind is None:
        if os.path.islink(path):
            raise StoreOpenError(f"{path!r} is a link that leads nowhere: name a file")
        if not create:
            raise StoreOpenError(f"there is no store at {path!r}")
        if not os.path.isdir(os.path.dirname(path)):
            raise StoreOpenError(
                f"cannot make the store {path!r}: the directory above it is not there"
            )
    elif S_ISDIR(kind):
        raise StoreOpenError(f"{path!r} is a directory: the store of a SqliteStore is a file")
    elif not S_ISREG(kind):
        raise StoreOpenError(f"{path!r} is no plain file: the store of a SqliteStore is a file")


class Place:
    """The files of a store as they were when it was opened. `path` is absolute.

    Threads may share it.
    """

    __slots__ = ("_beside", "_directory", "_file", "_paths_beside", "_unchanged", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = identity(path)
        real = os.path.realpath(path)  # SQLite follows links
        self._paths_beside = tuple(real + suffix for suffix in _BESIDE)
        self._beside: tuple[tuple[int, int] | None, ...] | None = None
        self._directory = os.path.dirname(path)
        self._unchanged: tuple[int, int, int] | None = None

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the file."""
        return self._file or (0, 0)

    @property
    def log_path(self) -> str:
        """The file with the last commits."""
        return self._paths_beside[0]

    @property
    def shared_path(self) -> str:
        """The file with what the processes share."""
        return self._paths_beside[1]

    def connected(self) -> None:
        """A connection has been opened: from now on the files beside the file stay the same."""
        if self._beside is None:
            self._beside = self._look_beside()

    def disconnected(self) -> None:
        """The last connection has been closed, which may have removed the files."""
        self._beside = self._unchanged = None

    def check(self) -> None:
        """Raise StorageError if the paths lead to other files now, or to none."""
        # The time of the last change of a directory changes when a name in it is added or removed.
        # So one look at the directory mostly saves the looks at three files.
        try:
            now = os.stat(self._directory)
        except OSError:
            self.check_file()
            return
        if (now.st_ctime_ns, now.st_ino, now.st_dev) != self._unchanged:
            self._check_files()
            # Two changes may have the same time, if they come shortly after each other. Where a
            # link leads, the time of the directory does not tell.
            if (
                time_ns() - now.st_ctime_ns > _COARSE
                and self._paths_beside[0] == f"{self.path}-wal"
            ):
                self._unchanged = now.st_ctime_ns, now.st_ino, now.st_dev

    def check_file(self, consequence: str = "nothing was written") -> None:
        """Raise StorageError if the path leads to another file now, or to none."""
        if identity(self.path) != self._file:
            raise StorageError(
                f"{consequence}: the file of the store {self.path!r} was removed, moved or "
                "replaced while the store was open; put it back at that path, or close the store "
                "and open it where it is now"
            )

    def remove(self) -> None:
        """Delete the files of the store.

        A file that was put in their place stays. Raises StorageError if another store is there now,
        or if a file cannot be removed.
        """
        found = identity(self.path)
        if found not in (None, self._file):
            raise StorageError(
                f"nothing was deleted: another file is at {self.path!r} since this store was "
                "opened; open that one and destroy it, if it is meant"
            )
        if found is None:
            return
        # The file comes last. With the commits of another file beside it, a new store would be
        # damaged.
        for path in (*self._paths_beside, self.path):
            try:
                with suppress(FileNotFoundError):
                    os.unlink(path)
            except OSError as error:
                raise StorageError(f"cannot remove {path!r}: {error}") from error

    def sync(self) -> None:
        """Wait until the file and its log are on the disk. A connection has them open."""
        waiting = {identity(self.path), identity(self.log_path)}
        try:
            for name in os.listdir("/dev/fd"):
                descriptor = int(name)
                with suppress(OSError):  # a descriptor that was closed meanwhile
                    found = os.fstat(descriptor)
                    if (found.st_dev, found.st_ino) not in waiting:
                        continue
                    waiting.discard((found.st_dev, found.st_ino))
                    os.fsync(descriptor)
            directory = os.open(os.path.dirname(self.log_path), os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise StorageError(f"cannot wait for the disk with {self.path!r}: {error}") from error

    def _check_files(self) -> None:
        self.check_file()
        if self._beside is not None and self._look_beside() != self._beside:
            raise StorageError(
                f"nothing was written: {self.path + '-wal'!r} or {self.path + '-shm'!r} was "
                "removed or replaced while the store was open, so its commits would be lost; close "
                "the store in every program, then open it again"
            )

    def _look_beside(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(map(identity, self._paths_beside))
