"""An engine whose entries are all in memory, and in a file that each commit writes anew.

A commit writes a new file beside the old one, and renames it. So the file is there whole at any
moment, in the state of the last commit. It costs O(n) a commit: it is for stores of some MB.

Each transaction looks whether the file is another one than was read, by its inode, time and size.
Then another process has committed, or somebody has edited the file, and it is read again. A
transaction that is open keeps what it saw. `FileLock` lets one writer at a time in, over all
processes. A `WholeFile` says how the entries become files, and back.
"""

import os
from collections.abc import Callable, Mapping
from threading import Lock, RLock, get_ident
from time import monotonic, sleep, time_ns
from typing import Any, TypeVar

from attrs import frozen

from stones.engine import Space, Supports, Transaction
from stones.engines.group_commit import GroupCommit
from stones.engines.memory import MemoryEngine, MemoryTransaction
from stones.engines.nested_write import nested_write
from stones.engines.sorted_map import SortedMap
from stones.errors import (
    ConflictError,
    LockTimeoutError,
    ReadOnlyError,
    StoneError,
    StorageError,
    StoreClosedError,
    StoreFullError,
    StoreOpenError,
    TransactionError,
    UnknownOutcomeError,
)

from .contents import Contents, Signature, Spaces, WholeFile
from .lock import FileLock
from .replaced import sync_files, sync_folder, write_error

T = TypeVar("T")


@frozen
class _State:
    """The contents of files as they were read, or written."""

    contents: Contents
    signature: Signature | None
    settled: bool
    """Whether later files will surely have another signature."""


class WholeFileEngine(MemoryEngine):
    """Ordered bytes in memory and in files. Any number of threads and processes may share them.

    `first` are the entries of `Space.META` in new files. `durability` is 'full', which waits until
    the files and their names are on the disk, 'lazy', which waits for the files, or 'none'.
    `timeout` is the longest time in seconds to wait for another process that makes the files.
    Raises StoreOpenError if the files cannot be read or made.
    """

    packs_values = False
    supports = Supports(
        processes=True,
        snapshots=True,
        savepoints=True,
        timeouts=True,
        counts=True,
        durability=("full", "lazy", "none"),
    )

    def __init__(
        self,
        files: WholeFile,
        *,
        first: Mapping[bytes, bytes] | None = None,
        readonly: bool = False,
        create: bool = True,
        durability: str = "full",
        timeout: float | None = None,
    ) -> None:
        super().__init__()
        self._trees = ()  # the entries are in the state; None says that the engine is closed
        self.files = files
        self._first = dict(first or {})
        self._readonly = readonly
        self._durability = durability
        self._lock = FileLock(files.lock_path)
        self._committing = RLock()
        self._loading = Lock()
        self._group = GroupCommit(self._begin_write, self._alone, self._late)
        self._state = _State(Contents(tuple(SortedMap() for _ in Space)), None, settled=False)
        self._base = self._state  # what the write transaction of now has begun with
        try:
            self._open(create and not readonly, timeout)
        except BaseException as error:
            self.close()
            told = isinstance(error, StoreOpenError | StoreFullError | TimeoutError)
            if isinstance(error, OSError) and not told:
                text = error if isinstance(error, StorageError) else f"{files.path!r}: {error}"
                raise StoreOpenError(f"cannot open the store: {text}") from error
            raise

    @property
    def path(self) -> str:
        """The path of the store, as an absolute path."""
        return self.files.path

    def begin(self, *, write: bool = False, timeout: float | None = None) -> MemoryTransaction:
        if not write:
            return MemoryTransaction(self, self._opened(), writable=False)
        return self._begin_write(timeout)

    def get(self, space: Space, key: bytes) -> bytes | None:
        return self._opened()[space].get(key)

    def write(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        self._check_may_write()
        return _again(lambda: self._group.write(change, timeout))

    def transact(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        return _again(lambda: self._alone(change, timeout=timeout))

    def sync(self) -> None:
        self._opened()
        try:
            sync_files(self.files.names())
        except OSError as error:
            raise StorageError(f"{self.path!r} cannot be brought to the disk: {error}") from error

    def stats(self) -> dict[str, Any]:
        self._opened()
        return {"size": sum(size for _, _, size in self._state.signature or ())}

    def close(self) -> None:
        super().close()
        with self._committing:
            self._lock.release()

    def remove(self) -> None:
        """Delete the files of a closed engine, if nobody has written them since it last did.

        Raises StorageError if others have taken their place.
        """
        try:
            if not self._lock.acquire(_REMOVAL):
                raise self._late(_REMOVAL)
            now = self.files.look()
            if now is not None and now != self._state.signature:
                raise StorageError(
                    f"{self.path!r} was changed by another program since it was read: nothing was "
                    "deleted; open it again and look"
                )
            lock = self.files.lock_path()
            for name in [*self.files.names(), lock]:
                os.unlink(name)
        except OSError as error:
            if isinstance(error, StoneError):
                raise
            raise StorageError(f"{self.path!r} cannot be deleted: {error}") from error
        finally:
            self._lock.release()

    # -- the contents --------------------------------------------------------------------------

    def _open(self, create: bool, timeout: float | None) -> None:
        if self._find() is None:
            if not create:
                raise StoreOpenError(f"there is no store at {self.path!r}")
            self._make(timeout)
        self._read()

    def _make(self, timeout: float | None) -> None:
        self._lock_files(timeout, timeout)
        try:
            if self._find() is None:  # else another process was quicker
                spaces = tuple(SortedMap() for _ in Space)
                for key, value in self._first.items():
                    spaces[Space.META].put(key, value)
                self._write_files(Contents(spaces))
        finally:
            self._lock.release()

    def _opened(self) -> Spaces:
        return self._current().contents.spaces

    def _current(self) -> _State:
        """The state of now. Reads the files again if they are others than those read."""
        if self._trees is None:
            raise StoreClosedError("the store is closed")
        state = self._state
        if state.settled and self._look() == state.signature:
            return state
        return self._read()

    def _look(self) -> Signature | None:
        found = self._find()
        # Whoever reads goes on with what was there, as long as no other file takes its place.
        return self._state.signature if found is None else found

    def _find(self) -> Signature | None:
        try:
            return self.files.look()
        except OSError as error:
            raise StorageError(f"{self.path!r} cannot be read: {error}") from error

    def _read(self) -> _State:
        """Read the files, and remember what they hold."""
        with self._loading:
            until = monotonic() + PATIENCE
            while True:
                before = self._look()
                if before == self._state.signature and self._state.settled:
                    return self._state
                began = time_ns()
                contents, error = self._contents()
                if contents is not None and contents.signature is not None:
                    before = contents.signature  # others may replace the file all the time
                if isinstance(error, FileNotFoundError) and self._state.signature is not None:
                    return self._state
                age = min((abs(began - time) for _, time, _ in before or ()), default=0)
                settled = age > _SETTLED
                is_whole = contents is not None and contents.signature is not None
                if contents is not None and before and (is_whole or before == self._find()):
                    self._state = _State(contents, before, settled)
                    return self._state
                # Somebody may be writing the file at this moment, and not by renaming.
                is_old = age > PATIENCE * 1e9 and before == self._look()
                if is_old or monotonic() > until:
                    if isinstance(error, StorageError):
                        raise error
                    reason = error or "it is changed all the time"
                    raise StorageError(f"{self.path!r} cannot be read: {reason}") from error
                sleep(_PAUSE)

    def _contents(self) -> tuple[Contents | None, OSError | None]:
        """What the files hold, or why they cannot be read."""
        try:
            return self.files.read(), None
        except OSError as error:  # a StorageError is one too
            return None, error

    # -- writing -------------------------------------------------------------------------------

    def _check_may_write(self) -> None:
        if self._writer == get_ident():
            raise nested_write()
        if self._readonly:
            raise ReadOnlyError(f"the store {self.path!r} was opened read-only")

    def _begin_write(self, timeout: float | None) -> MemoryTransaction:
        self._check_may_write()
        until = None if timeout is None else monotonic() + timeout
        if not self._writing.acquire(timeout=-1 if timeout is None else timeout):
            raise self._late(timeout or 0)
        self._writer = get_ident()
        try:
            if self._trees is None:
                raise StoreClosedError("the store is closed")
            self._check_is_there()  # a lock file is not made where there is no store
            self._lock_files(timeout, None if until is None else max(until - monotonic(), 0))
            self._check_is_there()
            self._base = self._current()
            return MemoryTransaction(self, self._base.contents.spaces, writable=True)
        except BaseException:
            self._release(self._writing)
            raise

    def _alone(self, change: Callable[[Transaction], T], /, *, timeout: float | None = None) -> T:
        return super().transact(change, timeout=timeout)

    def _lock_files(self, timeout: float | None, left: float | None) -> None:
        """Take the lock of all processes, and finish what a killed one has left."""
        try:
            locked = self._lock.acquire(left)
            if locked:
                self.files.finish()
        except OSError as error:
            raise write_error(self.path, error) from error
        if not locked:
            raise self._late(timeout or 0)

    def _check_is_there(self) -> None:
        until = monotonic() + PATIENCE
        while self._find() is None:
            # An editor may have renamed the file, and be about to write another one.
            if monotonic() > until:
                raise StorageError(
                    f"{self.path!r} was removed or renamed while it was open: nothing was written; "
                    "put it back, or open the store again"
                )
            sleep(_PAUSE)

    def _late(self, timeout: float) -> LockTimeoutError:
        return LockTimeoutError(
            f"nothing was written: {self._lock.holder()} has had the write lock of {self.path!r} "
            f"for more than {timeout:g} s; wait until its transaction has ended, or open the store "
            "with a longer timeout="
        )

    def _publish(self, trees: Spaces, lock: Any) -> None:
        if lock is not self._writing:
            raise TransactionError("the transaction was begun before fork(): it is the parent's")
        try:
            with self._committing:
                if self._trees is None:
                    raise StoreClosedError("the store is closed")
                base = self._base
                if not all(map(SortedMap.is_same_as, trees, base.contents.spaces)):
                    if self._find() != base.signature:
                        raise ConflictError(
                            f"{self.path!r} was changed by another program during the transaction: "
                            "nothing was written; run it again"
                        )
                    foreign = self._is_foreign(base.contents.foreign)
                    self._write_files(Contents(trees, foreign))
        finally:
            self._release(lock)

    def _write_files(self, contents: Contents) -> None:
        try:
            switch = self.files.write(contents, self._durability != "none")
        except StorageError:
            raise
        except OSError as error:
            raise write_error(self.path, error) from error
        with self._loading:
            try:
                switch()
            except OSError as error:
                raise write_error(self.path, error) from error
            # The time of the files is one that no other files have had.
            self._state = _State(contents, self.files.look(), settled=True)
        if self._durability == "full":
            try:
                sync_folder(os.path.dirname(self.files.lock_path()))
            except OSError as error:
                raise UnknownOutcomeError(
                    f"{self.path!r} has what was written, but nobody can tell whether a power cut "
                    f"would undo it: {error}"
                ) from error

    def _is_foreign(self, foreign: bool) -> bool:
        """Whether files that were `foreign` before a transaction are so after it."""
        return foreign

    def _release(self, lock: Any) -> None:
        if lock is self._writing:
            self._base = self._state
            self._lock.release()
        super()._release(lock)

    def _after_fork(self) -> None:
        super()._after_fork()
        self._lock.leave_to_parent()
        self._committing, self._loading = RLock(), Lock()
        self._group = GroupCommit(self._begin_write, self._alone, self._late)


def _again(change: Callable[[], T]) -> T:
    """The result of `change`. It runs again if another program has changed the file meanwhile."""
    for _ in range(_TRIES):
        try:
            return change()
        except ConflictError:
            continue
    return change()


_TRIES = 5
_REMOVAL = 60.0
"""Seconds to wait for another writer before the files are deleted."""
PATIENCE = 1.0
"""Seconds to wait for the end of a file that somebody is writing."""
_PAUSE = 0.02
"""Seconds between two looks at such a file."""
_SETTLED = 50_000_000
"""Nanoseconds after which a change of a file gives it another time, on every file system."""
