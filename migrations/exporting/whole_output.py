"""Where an export is written: a file that is there whole or not at all, or an open file."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from tempfile import mkstemp
from typing import Any, BinaryIO

from stones.engines.whole_file.replaced import NO_ROOM, keep_rights, sync_folder
from stones.errors import StorageError, StoreFullError, ValueTypeError
from stones.formats.messages import show_value

Write = Callable[[bytes], object]
_BUFFER = 1 << 20
"""So many bytes are written to the file at once. Linux takes half the time for each then."""


@contextmanager
def output(path_or_file: Any) -> Iterator[Write]:
    """What writes to a path or to an open binary file.

    A new file is written beside the path, and gets its name when the block ends. If the block
    raises, it is removed, and the file that was at the path stays. Raises StorageError where it
    cannot be written, ValueTypeError for what is neither a path nor a binary file.
    """
    if not isinstance(path_or_file, str | os.PathLike):
        yield _writer_of(path_or_file)
        return
    path = os.path.realpath(os.fsdecode(path_or_file))
    try:
        earlier = os.stat(path) if os.path.exists(path) else None
        if earlier is not None and stat.S_ISDIR(earlier.st_mode):
            raise IsADirectoryError(f"{path!r} is a directory")
        if earlier is not None and not stat.S_ISREG(earlier.st_mode):  # a device or a pipe
            with open(path, "wb") as file:
                yield file.write
            return
        with _beside(path, earlier) as file:
            yield file.write
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        kind = StoreFullError if error.errno in NO_ROOM else StorageError
        folder = os.path.dirname(path)
        # Not the error itself: it names the file beside the path.
        reason = error.strerror if os.path.isdir(folder) else f"there is no folder {folder!r}"
        raise kind(
            f"{path!r} cannot be written: {reason or error}; no part of it was written"
        ) from error


@contextmanager
def _beside(path: str, earlier: os.stat_result | None) -> Iterator[BinaryIO]:
    folder, name = os.path.split(path)
    descriptor, beside = mkstemp(prefix=f".{name[:100]}.", suffix=".part", dir=folder)
    try:
        with open(descriptor, "wb", buffering=_BUFFER) as file:
            yield file
            file.flush()
            if earlier is not None:
                keep_rights(beside, earlier)
            elif os.name != "nt":
                os.chmod(beside, 0o666 & ~_umask())
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_folder(folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _umask() -> int:
    """The rights that new files do not get."""
    now = os.umask(0o077)
    os.umask(now)
    return now


def _writer_of(file: Any) -> Write:
    write = getattr(file, "write", None)
    if write is None:
        raise ValueTypeError(
            f"export_to() takes a path or an open binary file, not {show_value(file)}"
        )
    try:
        write(b"")
    except TypeError as error:
        raise ValueTypeError(
            f"export_to() takes a binary file, not {show_value(file)}: open it with mode 'wb'"
        ) from error

    def write_all(data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = write(view)
            # An unbuffered file may take a part of it. Other objects return anything.
            view = view[written:] if type(written) is int and written > 0 else view[len(view) :]

    return write_all
