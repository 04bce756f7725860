"""LMDB environments: opening one in a directory, closing it late, and fork.

An environment needs care in four ways:

- The map. Opening reserves a large range of addresses, which costs nothing on a 64-bit system: the
  file stays as small as its pages. If the system refuses that, a smaller map is tried, which then
  grows with the file (`stones.engines.lmdb.growth`).
- The table of readers. LMDB leaves its file full of holes. If the disk has no room for one of them,
  the next read ends the process (SIGBUS). So the room is taken when the file is made.
- POSIX locks belong to a process and a file. If a process opened a file twice, closing one of the
  two would give up the locks of both. So an environment that was closed, and is still in use by
  open transactions, is used again by whoever opens the file.
- After fork(), a child must neither use, nor close, nor collect the environments of its parent:
  that would free the parent's slots in the table of readers. The child opens the file anew.
"""

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import lmdb

from stones.engines.lmdb.file.truncation import check_not_truncated
from stones.errors import StoreFullError, StoreOpenError

from .directory import MAKING, can_lock, identity, open_error, sweep, sync
from .errors import NO_ROOM
from .place import Place
from .sole_use import opened
from .utf8_path import utf8_path

LARGEST_MAP = 1 << 40
"""The map that is tried first, in bytes. A map of this size need not grow."""
SMALLEST_MAP = 1 << 26
"""The map that is tried last, in bytes."""
MAX_READERS = 1024
"""Read transactions at a time, over all processes. LMDB has 126 of its own; a slot is 64 bytes."""

DURABILITY: Mapping[str, Mapping[str, bool]] = {
    "full": {},
    "lazy": {"metasync": False},
    "none": {"sync": False},
}
"""How writes reach the disk, strictest first, and the options of LMDB for it.

They are MDB_NOMETASYNC and MDB_NOSYNC. docs/explanation/durability.md says what each can lose.
"""

# A head and the slots, each as long as a line of the processor's cache: as LMDB on Linux.
_LOCK_FILE = 3 * 64 + (MAX_READERS - 1) * 64


def open_environment(
    path: str, *, readonly: bool, databases: int, durability: str = "full"
) -> lmdb.Environment:
    """The environment in the directory `path`. If there is no data file, it is made.

    Its map is the largest that the system grants, up to LARGEST_MAP.
    Raises StoreOpenError, and StoreFullError if the disk has no room for a new file.
    """
    try:
        if not readonly:
            sweep(path)
            if identity(path) is None:
                _make(path)
        check_not_truncated(path)
        lock = can_lock(path) if readonly else True
        if lock:
            _allocate(os.path.join(path, "lock.mdb"))
        environment = _mapped(
            path,
            readonly=readonly,
            lock=lock,
            max_dbs=databases,
            max_readers=MAX_READERS,
            max_spare_txns=1,
            **DURABILITY[durability],
        )
        if not readonly:
            environment.reader_check()  # readers that were killed would keep old pages in use
        return environment
    except (lmdb.MemoryError, MemoryError) as error:
        raise _no_addresses(path, error) from error
    except lmdb.InvalidError as error:
        raise StoreOpenError(
            f"the data.mdb in {path!r} is there, but is not an LMDB file: move it away"
        ) from error
    except StoreOpenError:
        raise
    except (lmdb.Error, OSError) as error:
        code = error.code if isinstance(error, lmdb.Error) else error.errno
        if code == errno.ENOMEM:
            raise _no_addresses(path, error) from error
        if code in NO_ROOM:
            raise StoreFullError(f"no room to open the store {path!r}: {error}") from error
        raise open_error(path, error) from error


def _mapped(path: str, **options: Any) -> lmdb.Environment:
    """An environment with the largest map that is granted. Raises MemoryError if there is none."""
    size = LARGEST_MAP
    while True:
        try:
            with utf8_path(path) as place:
                return opened(path, partial(_open, place, map_size=size, **options))
        except (lmdb.MemoryError, MemoryError):
            if size <= SMALLEST_MAP:
                raise
            size //= 2


def _no_addresses(path: str, error: Exception) -> StoreOpenError:
    return StoreOpenError(f"no address space to map {path!r}: {error}; allow more with `ulimit -v`")


def _allocate(path: str) -> None:
    """Take the room of the table of readers on disk, if it is new or has holes. Raises OSError."""
    if not hasattr(os, "posix_fallocate"):
        return
    with suppress(FileNotFoundError):
        found = os.stat(path)
        # A file of another size was made by another program, which may have it open now.
        if found.st_size not in (0, _LOCK_FILE) or found.st_blocks * 512 >= _LOCK_FILE:
            return
    # Closing a file gives up all locks that this process has on it: it has none open yet.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, _LOCK_FILE)
    finally:
        os.close(descriptor)


def _make(path: str) -> None:
    """Make an empty data file. It is there whole or not at all, whenever the power fails.

    LMDB writes the first pages of a file without waiting for the disk, and refuses a file that has
    only some of these pages.
    """
    from tempfile import TemporaryDirectory  # only who makes a store waits for it

    os.makedirs(path, exist_ok=True)
    with TemporaryDirectory(prefix=MAKING, dir=path) as scratch:
        with utf8_path(scratch) as place:
            environment = lmdb.open(place, map_size=SMALLEST_MAP, lock=False)
        with environment.begin(write=True) as txn:
            txn.put(b"made", b"")
            txn.delete(b"made")
        environment.sync(True)
        environment.close()
        with suppress(FileExistsError):  # another process was quicker
            os.link(os.path.join(scratch, "data.mdb"), os.path.join(path, "data.mdb"))
    sync(path)
    sync(os.path.dirname(os.path.abspath(path)))


def _open(path: str, **options: Any) -> lmdb.Environment:
    """`lmdb.open`, also in a forked child whose parent has the same file open.

    py-lmdb keeps a list of the open files, so that no file is opened twice in a process. A forked
    child inherits that list, although it is another process. So it uses other keys in the list.
    """
    if not _forked:
        return lmdb.open(path, **options)
    identities: Any = import_module("lmdb._envid")
    with _listing:
        plain = identities.env_keys
        identities.env_keys = lambda *args: tuple((os.getpid(), *key) for key in plain(*args))
        try:
            return lmdb.open(path, **options)
        finally:
            identities.env_keys = plain


_forked = False
_listing = Lock()


def note_closed(environment: lmdb.Environment, place: Place) -> None:
    """Remember an environment that was closed, as long as there are transactions in it."""
    _closed_but_in_use[place.identity] = environment
    _places[environment] = place


def closed_but_in_use(path: str) -> lmdb.Environment | None:
    """The environment at `path` that was closed and is still in use, by iterators mostly."""
    return _closed_but_in_use.get(identity(path) or (0, 0))


def place_of(environment: lmdb.Environment) -> Place:
    """The place of an environment that was closed and is still in use."""
    return _places[environment]


_places: WeakKeyDictionary[lmdb.Environment, Place] = WeakKeyDictionary()
_closed_but_in_use: WeakValueDictionary[tuple[int, int], lmdb.Environment] = WeakValueDictionary()


def after_fork() -> None:
    """In a forked child: the files that are open are the parent's."""
    global _forked, _listing  # the thread that held it may not be in the child
    _forked, _listing = True, Lock()
    for environment in _closed_but_in_use.values():
        keep_for_parent(environment)
    _closed_but_in_use.clear()


def keep_for_parent(environment: lmdb.Environment) -> None:
    """Keep an inherited environment from being collected, even when the process exits."""
    from ctypes import py_object, pythonapi  # only a forked child needs these

    pythonapi.Py_IncRef(py_object(environment))


def durability_of(environment: lmdb.Environment) -> str:
    """How writes in an open environment reach the disk."""
    flags = environment.flags()
    if not flags["sync"]:
        return "none"
    return "full" if flags["metasync"] else "lazy"
