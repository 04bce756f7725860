"""LMDB environments: opening one in a directory, telling whether two are the same, and fork.

What needs care with an environment, and is taken care of here:

- The map. A large range of addresses is reserved at opening, which costs nothing on a 64-bit system
  (the file stays as small as its pages); where it is refused, a smaller one is tried, which then
  grows with the file (`stones.engines.lmdb.growth`).
- The table of readers. LMDB leaves its file full of holes, and a disk without room for one of them
  ends the process (SIGBUS) at the next read. Its room is taken when it is made.
- POSIX locks belong to a process and a file, so opening a file twice in a process would break
  them. `identity` tells a file by device and inode, whatever path leads to it.
- After fork() a child must neither use, nor close, nor collect the environments of its parent: that
  would free the parent's slots in the table of readers. It opens the file anew.
"""

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import lmdb

from stones.engines.lmdb.file.truncation import check_not_truncated
from stones.errors import StoreFullError, StoreOpenError

from .directory import MAKING, can_lock, identity, sweep, sync
from .errors import NO_ROOM

LARGEST_MAP = 1 << 40
SMALLEST_MAP = 1 << 26
MAX_READERS = 1024
"""Read transactions at a time, over all processes. LMDB has 126; a slot costs 64 bytes."""

DURABILITY: Mapping[str, Mapping[str, bool]] = {
    "full": {},
    "lazy": {"metasync": False},
    "none": {"sync": False},
}
"""How writes reach the disk, strictest first, and what that is to LMDB: MDB_NOMETASYNC, MDB_NOSYNC.

docs/explanation/durability.md has what each can lose, and why."""

# A head and as many slots, each a line of the processor's cache: what LMDB makes on Linux.
_LOCK_FILE = 3 * 64 + (MAX_READERS - 1) * 64


def open_environment(
    path: str, *, readonly: bool, databases: int, durability: str = "full"
) -> lmdb.Environment:
    """The environment in the directory `path`, made where there is none.

    Its map is the largest that the system grants: LARGEST_MAP, or else what leaves room for others.
    Raises StoreOpenError, StoreFullError where the disk has no room for a new one.
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
        raise StoreOpenError(f"cannot open the store {path!r}: {error}") from error


def _mapped(path: str, **options: Any) -> lmdb.Environment:
    """An environment with the largest map that is granted. Raises MemoryError where none is."""
    size = LARGEST_MAP
    while True:
        try:
            return _open(path, map_size=size, **options)
        except (lmdb.MemoryError, MemoryError):
            if size <= SMALLEST_MAP:
                raise
            size //= 2


def _no_addresses(path: str, error: Exception) -> StoreOpenError:
    return StoreOpenError(f"no address space to map {path!r}: {error}; allow more with `ulimit -v`")


def _allocate(path: str) -> None:
    """Take the room of a table of readers, where it is new or has holes. Raises OSError."""
    if not hasattr(os, "posix_fallocate"):
        return
    with suppress(FileNotFoundError):
        found = os.stat(path)
        # One of another size was made by another program, which may have it open now.
        if found.st_size not in (0, _LOCK_FILE) or found.st_blocks * 512 >= _LOCK_FILE:
            return
    # Whoever closes a file gives up the locks that this process has on it: none has it open yet.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, _LOCK_FILE)
    finally:
        os.close(descriptor)


def _make(path: str) -> None:
    """Make an empty data file, which is there whole or not at all, whenever the power fails.

    LMDB writes the first pages of a file without waiting for the disk, and refuses a file that
    has only some of them.
    """
    os.makedirs(path, exist_ok=True)
    with TemporaryDirectory(prefix=MAKING, dir=path) as scratch:
        environment = lmdb.open(scratch, map_size=SMALLEST_MAP, lock=False)
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

    py-lmdb keeps a list of the open files, so that none is opened twice in a process, and the child
    has inherited it. But the child is another process: it gets other keys in that list.
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


def begin(environment: lmdb.Environment, *, write: bool) -> "lmdb.Transaction[bytes]":
    """A transaction of LMDB's. If the table of readers is full, it first clears the places of
    readers that were killed. Raises lmdb.Error."""
    try:
        return environment.begin(write=write)
    except lmdb.ReadersFullError:
        if not environment.reader_check():
            raise
    return environment.begin(write=write)


def note_closed(environment: lmdb.Environment, identity: tuple[int, int]) -> None:
    """Remember an environment that was closed, as long as there are transactions in it."""
    _closed_but_in_use[identity] = environment


def closed_but_in_use(path: str) -> lmdb.Environment | None:
    """The environment at `path` that was closed and is still in use, by iterators mostly."""
    return _closed_but_in_use.get(identity(path) or (0, 0))


_closed_but_in_use: WeakValueDictionary[tuple[int, int], lmdb.Environment] = WeakValueDictionary()


def after_fork() -> None:
    """In a forked child: the files that are open are the parent's."""
    global _forked, _listing  # the thread that held it may not be in the child
    _forked, _listing = True, Lock()
    for environment in _closed_but_in_use.values():
        keep_for_parent(environment)
    _closed_but_in_use.clear()


def keep_for_parent(environment: lmdb.Environment) -> None:
    """See to it that an inherited environment is never collected, not even at exit."""
    from ctypes import py_object, pythonapi  # a forked child is the only one who needs it

    pythonapi.Py_IncRef(py_object(environment))


def durability_of(environment: lmdb.Environment) -> str:
    """How writes in an open environment reach the disk."""
    flags = environment.flags()
    if not flags["sync"]:
        return "none"
    return "full" if flags["metasync"] else "lazy"
