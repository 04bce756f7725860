"""A LevelDB database that is open: `OpenDatabase`.

plyvel lets a thread close a database while another thread reads from it, which crashes the
process. So each call has a reference to one object, `OpenDatabase.get`, as long as it lasts.
`close` lets go of that object. When nobody has a reference to it any more, the last thread that
leaves a call closes the database. Python counts the references anyway, so this costs a reader
nothing. Most calls go through `use`. Snapshots and iterators are held here, and so they do not end
outside of `use` either.
"""

import os
import shutil
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, ParamSpec, TypeVar
from weakref import ref

import plyvel

from stones.errors import StorageError, StoreClosedError, StoreOpenError

from .place import full_error, log_files, opened, text_of

P = ParamSpec("P")
T = TypeVar("T")

MARK = b"\xffstones"
"""The key whose value says that stones made the database, and in which layout."""
LAYOUT = b"1"
BEHIND = b"\xff\xff"
"""A key behind all others."""


class OpenDatabase:
    """An open database, safe to close at any time and in any thread.

    Raises StoreOpenError if there is no database of stones at `path`, or none can be made there.
    """

    def __init__(self, path: str, *, create: bool) -> None:
        self.path = path
        self.closed = False
        self._forked = False
        self._held: set[Any] = set()  # snapshots and iterators
        self._failed: plyvel.Error | None = None  # of the last write, if it has failed
        self.raw = opened(path, create=create)
        self.get: Callable[[bytes], bytes | None] = self.raw.get
        """Reads a value. A caller has it in a variable during the call, and lets go of it then.

        Once the database is closed it raises StoreClosedError.
        """
        self._in_use = ref(self.get)
        self._when_unused: list[object] = []
        self._to_close = [self.raw]
        try:
            self._check_mark(create)
            found = os.stat(os.path.join(path, "LOCK"))
        except BaseException:
            self.close()
            raise
        self.identity = (found.st_dev, found.st_ino)

    def use(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a call into the database. Raises StoreClosedError, StorageError."""
        try:
            inside: object = self.get  # before the look at `closed`, which `close` changes first
            if self.closed:
                raise self.gone()
            return call(*args, **kwargs)
        except plyvel.Error as error:
            raise self.translated(error) from error
        finally:
            # An error that somebody keeps has this frame in its traceback.
            inside = None  # noqa: F841  # the reference is what it is for

    def write(self, batch: Any) -> None:
        """Write a batch. Call it by `use`, in one thread at a time."""
        if self._failed is not None:
            self._leave_log(self._failed)
        try:
            batch.write()
        except plyvel.Error as error:
            self._failed = error
            raise

    def check(self) -> None:
        """Raise StoreClosedError if the database is closed."""
        if self.closed:
            raise self.gone()

    def hold(self, make: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """A new snapshot or iterator. Give it to `let_go`."""
        held = self.use(make, *args, **kwargs)
        self._held.add(held)
        return held

    def let_go(self, held: Any) -> None:
        """End a snapshot or an iterator."""
        if not self.closed:
            try:
                self.use(held.close)
            except StoreClosedError:  # closed in this moment, with all that it held
                return
            self._held.discard(held)

    def is_open(self) -> bool:
        """Whether its files are still in use: a closed database is, until no thread is in it."""
        return bool(self._to_close)

    def close(self) -> None:
        """Let go of the database, or leave that to the threads that are inside of a call.

        No circle of references may lead to a plyvel database: plyvel prints an error when the
        garbage collector frees it.
        """
        self.closed = True
        self.get = _refusal(self.gone())
        inside = self._in_use()
        if inside is not None:  # another thread is in a call: it closes the database when it leaves
            self._when_unused.append(ref(inside, lambda _: self._close_unused()))
            del inside
        self._close_unused()

    def wait_closed(self, seconds: float = 10) -> None:
        """Wait until the last thread has left a closed database. Raises StoreOpenError."""
        until = monotonic() + seconds
        while self.is_open():
            if monotonic() > until:
                raise StoreOpenError(f"{self.path!r} is being closed by another thread: try again")
            sleep(0.001)

    def leave_to_parent(self) -> None:
        """In a forked child: never touch it again, not even to free its memory.

        LevelDB's own threads are not in the child, and files that are half written are shared with
        the parent.
        """
        import ctypes  # in the child only: it takes a while to load

        for kept in (self.raw, self._held, self._to_close):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
        self._forked = self.closed = True
        self.get = _refusal(self.gone())

    def _close_unused(self) -> None:
        """Close the database, unless it was closed or a call lasts."""
        if self._forked or self._in_use() is not None:
            return
        try:
            raw = self._to_close.pop()  # for one thread only
        except IndexError:
            return
        self._held.clear()
        self._when_unused.clear()
        raw.close()

    def _leave_log(self, failed: plyvel.Error) -> None:
        """Begin a new log after a write has failed, or raise its error once more.

        The log may end with half a record. LevelDB would write what follows behind that, and would
        not find it when it opens the database again.
        """
        before = log_files(self.path)
        room = 2 * sum(before.values())  # for a table with what is in the log
        if shutil.disk_usage(self.path).free > room:
            self.raw.compact_range(start=BEHIND, stop=BEHIND)
        if log_files(self.path).keys() <= before.keys():
            raise self.translated(failed)
        self._failed = None

    def _check_mark(self, create: bool) -> None:
        try:
            mark = self.raw.get(MARK)
            with self.raw.iterator() as iterator:
                empty = next(iterator, None) is None
        except plyvel.Error as error:
            raise StoreOpenError(
                f"cannot read the LevelDB database {self.path!r}: {text_of(error)}"
            ) from error
        if mark is None and empty and create:
            self.raw.put(MARK, LAYOUT, sync=True)
        elif mark is None and empty:
            raise StoreOpenError(f"there is no store at {self.path!r}")
        elif mark is None:
            raise StoreOpenError(
                f"{self.path!r} is a LevelDB database of another program: nothing was changed in it"
            )
        elif mark != LAYOUT:
            raise StoreOpenError(
                f"the store {self.path!r} has the layout {mark!r:.40}: a newer version of stones "
                "has written it"
            )

    def gone(self) -> StoreClosedError:
        """The error for a use of a closed database."""
        if self._forked:
            return StoreClosedError(
                f"the store {self.path!r} was opened before fork(): LevelDB serves one process, "
                "which is the parent. Start processes with the method 'spawn', or take LMDB"
            )
        return StoreClosedError(f"the store {self.path!r} is closed")

    def translated(self, error: plyvel.Error) -> StorageError:
        """The error of stones for an error of LevelDB."""
        text = text_of(error)
        if full := full_error(self.path, text):
            return full
        if isinstance(error, plyvel.CorruptionError):
            return StorageError(f"the LevelDB database {self.path!r} is damaged: {text}")
        return StorageError(f"LevelDB failed on {self.path!r}: {text}")


def _refusal(error: StoreClosedError) -> Callable[[bytes], bytes | None]:
    """What `get` of a closed database is. It does not refer to the database: see `close`."""

    def refuse(_: bytes) -> bytes | None:
        raise StoreClosedError(*error.args)

    return refuse
