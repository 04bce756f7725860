"""The engine on disk: LMDB, one file a store, many readers and one writer, crash-proof.

`stones.engines.lmdb.open_file` has the file, and what needs care with it. All stores of a process
on the same file share one engine.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import lmdb

from stones.engine import MAX_KEY_SIZE, Space, Supports, Transaction
from stones.engines.group_commit import GroupCommit
from stones.engines.stones03 import Stones03Engine
from stones.errors import ReadOnlyError, StorageError, StoreFullError, StoreOpenError

from . import environment
from .databases import SPACES, check_alone, move_values
from .directory import check_vacant
from .environment import DURABILITY, begin
from .errors import translated
from .file_copy import copy_compact, copy_pages
from .growth import PATIENCE, Gate
from .open_file import OpenFile
from .repacking import repack_file, tables_of_store
from .sharing import SharedEngines
from .transaction import ENDED, MAX_VALUE_SIZE, LmdbTransaction
from .unregistered_reader import SnapshotOverwrittenError, UnregisteredTransaction
from .writer_lock import WriterLock

T = TypeVar("T")

READER_CHECK = 1000
"""After so many write transactions, the places of readers that were killed are cleared."""

_TRIES = 10
"""How often to begin while other processes write more than is mapped here."""


class LmdbEngine(Stones03Engine):
    """The LMDB file in a directory, shared by all that open it in this process."""

    supports = Supports(
        processes=True,
        snapshots=True,
        savepoints=True,
        durability=tuple(DURABILITY),
        max_key_size=MAX_KEY_SIZE,
        max_value_size=MAX_VALUE_SIZE,
    )

    @classmethod
    def open(
        cls,
        path: str,
        *,
        readonly: bool = False,
        create: bool = True,
        new: bool = False,
        table: bytes | None = None,
        durability: str = "full",
    ) -> "LmdbEngine":
        """The engine for the directory `path`. Call `close` on it as often as this.

        `create=False` refuses a path where there is no store, `new` a path where there is anything.
        `table` is the named table that a database of stones 0.3 has its values in.
        Raises StoreOpenError.
        """
        if new:
            check_vacant(path)
        make = partial(
            cls, path, readonly=readonly, create=create, table=table, durability=durability
        )
        engine = _engines.open(path, make)
        file = engine._file
        if not file.is_connected():  # inherited through fork(), and not used since
            file.readonly = file.readonly and readonly
            file.durability = min(file.durability, durability, key=_strictness)
        if file.readonly and not readonly:
            engine.close()
            raise StoreOpenError(
                f"{path!r} is open read-only in this process: close that before you write to it"
            )
        if not readonly and _strictness(file.durability) > _strictness(durability):
            engine.close()
            raise StoreOpenError(
                f"{path!r} is open with durability={file.durability!r} in this process, which "
                f"is less than {durability!r}: close it first, or open it in the same way"
            )
        return engine

    def __init__(
        self,
        path: str,
        *,
        readonly: bool,
        create: bool,
        table: bytes | None,
        durability: str = "full",
    ) -> None:
        self.users = 0
        """How many have opened it and not closed it."""
        self.closed = False
        self._start()
        self._file = OpenFile(
            path, readonly=readonly, create=create, table=table, durability=durability
        )

    def _start(self) -> None:
        """Make the parts that each process has for itself."""
        self._group_commit = GroupCommit(self._begin_write, super().write)
        self._lock = WriterLock()
        self._writes = 0

    @property
    def path(self) -> str:
        """The directory, as an absolute path."""
        return self._file.path

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the data file."""
        return self._file.identity

    @property
    def legacy(self) -> bool:
        return self._file.legacy

    # -- transactions --------------------------------------------------------------------------

    def begin(self, *, write: bool = False) -> LmdbTransaction:
        if not write:
            return self._begin_reading()
        self._check_writable()
        txn = None
        lock = self._lock
        try:
            lock.acquire()
            txn = self._begin_writing()
            txn.holds_lock = True
        except BaseException:  # an interrupt comes anywhere, and must not leave the lock taken
            if txn is not None:
                txn.raw = ENDED
            while lock.is_mine():
                lock.release()
            raise
        return txn

    def _begin_write(self) -> LmdbTransaction:
        # A function of Python, not a partial(). After a call of C, Python lets an interrupt in,
        # which would lose the transaction on its way to a variable.
        return self.begin(write=True)

    def _begin_writing(self) -> LmdbTransaction:
        file = self._file
        env = file.environment()  # in a forked child, this decides whether there is a gate
        gate = file.gate
        # A reader that was killed keeps old pages in use until a process clears its place.
        self._writes += 1
        if self._writes % READER_CHECK == 0:
            env.reader_check()
        if gate is None:
            return self._begin_in(env, write=True)
        gate.make_room()
        return self._begin_mapped(partial(self._begin_anew, write=True), gate)

    def _begin_reading(self) -> LmdbTransaction:
        file = self._file
        env = file.environment()  # in a forked child, this decides whether there is a gate
        gate = file.gate
        if gate is None:
            return self._begin_in(env, write=False)
        return self._begin_mapped(partial(gate.read, partial(self._begin_anew, write=False)), gate)

    def _begin_mapped(self, begin: Callable[[], LmdbTransaction], gate: Gate) -> LmdbTransaction:
        """Begin, once this process has mapped all that other processes have written."""
        for _ in range(_TRIES):
            with suppress(lmdb.MapResizedError):
                return begin()
            # Not within gate.read(): a writer has this lock when it comes to the gate.
            if self._lock.acquire(timeout=PATIENCE):
                try:
                    gate.take_over()
                finally:
                    self._lock.release()
        raise StorageError(f"other processes make {self.path!r} grow too fast to be mapped here")

    def _begin_anew(self, *, write: bool) -> LmdbTransaction:
        # The gate may have mapped the file anew, in another environment.
        return self._begin_in(self._file.environment(), write=write)

    def _begin_in(self, env: lmdb.Environment, *, write: bool) -> LmdbTransaction:
        file = self._file
        kind = UnregisteredTransaction if file.unregistered else LmdbTransaction
        made = kind(file, env, file.databases, self._lock if write else None)
        try:
            # LMDB's transaction goes straight into ours. In a variable of a frame, or an argument,
            # the traceback of an interrupt would keep it open, and LMDB's lock taken.
            made.raw = begin(env, write=write)
            if file.legacy and made.raw.get(SPACES[Space.META], db=file.main) is not None:
                # Another process has migrated the database of stones 0.3 since it was opened here.
                made.raw = ENDED
                file.has_spaces_now(env)
                made.raw = begin(env, write=write)
                made.databases = file.databases
        except lmdb.Error as error:
            if isinstance(error, lmdb.MapResizedError) and file.gate is not None:
                raise
            raise file.translated(error) from error
        return made

    def _check_writable(self) -> None:
        if self._file.readonly:
            raise ReadOnlyError(f"the store {self.path!r} was opened read-only")
        lock = self._lock
        if lock.left_by_another_thread is not None or lock.is_mine():
            lock.check_free()

    # -- reading and writing -------------------------------------------------------------------

    def get(self, space: Space, key: bytes) -> bytes | None:
        file = self._file
        begin = file.plain_begin
        if begin is None:
            return super().get(space, key)
        try:
            # No `with`, no object of ours: a sixth of the whole read.
            txn = begin(file.databases[space])
            value = txn.get(key)
            txn.abort()
        except lmdb.ReadersFullError:
            return super().get(space, key)
        except lmdb.Error as error:
            raise file.translated(error) from error
        return value

    def read(self, look: Callable[[Transaction], T]) -> T:
        for _ in range(_TRIES if self._file.unregistered else 0):
            with suppress(SnapshotOverwrittenError):
                return super().read(look)
        return super().read(look)

    def write(self, change: Callable[[Transaction], T]) -> T:
        self._check_writable()
        while True:
            try:
                return self._group_commit.write(change)
            except StoreFullError:
                if not self._has_grown():
                    raise

    def _has_grown(self) -> bool:
        """Whether there is more room now, after a change that found too little."""
        gate = self._file.gate
        if gate is None or not gate.too_small:
            return False
        self._lock.acquire()
        try:
            return gate.make_room()
        finally:
            self._lock.release()

    def sync(self) -> None:
        file = self._file
        if file.readonly:
            raise ReadOnlyError(f"the store {self.path!r} was opened read-only: it writes nothing")
        try:
            file.environment().sync(True)
        except lmdb.Error as error:
            raise file.translated(error) from error

    # -- the file as a whole -------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Figures of the file.

        `path` and `durability`; in bytes, `file_size`, `used_size` (the part of the file that is
        not free) and `map_size` (the addresses reserved for it); `readers`, the places that read
        transactions have taken in the table of readers.
        """
        file = self._file
        try:
            env = file.environment()
            readers = env.readers().count("\n") - 1  # before this becomes one more of them
            map_size = env.info()["map_size"]
            txn = self._begin_reading()
            try:
                databases = [db for db in (file.main, *file.databases) if db is not None]
                trees = [txn.raw.stat(db) for db in databases]
            finally:
                txn.abort()
        except lmdb.Error as error:
            raise file.translated(error) from error
        return {
            "path": self.path,
            "durability": file.durability,
            "map_size": map_size,
            "file_size": file.size(),
            "used_size": sum(map(_bytes_of, trees)) + 2 * trees[0]["psize"],
            "readers": max(readers, 0),
        }

    def copy_to(self, directory: str, *, compact: bool = True) -> None:
        """Write the data file of a copy into `directory`, which is there and empty.

        The copy is of one moment. Others read and write while it is made. With `compact=False` it
        has each page of this file where it is, gaps and all, which takes less of the processor.
        Raises StorageError; then the file may be there in part. Does not wait for the disk.
        """
        file = self._file
        file.environment()  # raises where it is closed
        if compact and not file.unregistered:
            tables_of = partial(tables_of_store, file)
            copy_compact(directory, file.path, file.identity, self.begin, tables_of)
            return
        copy_pages(directory, file.path, file.identity, self.begin)
        # Where writers do not know of this reader, a copy of the pages is checked as a whole.
        if compact:
            repack_file(directory, partial(translated, path=directory))

    def adopt(self, prefix: bytes, finish: Callable[[Transaction], None]) -> None:
        file = self._file
        check_alone(file.environment(), file.path, file.table)
        txn = self.begin(write=True)
        try:
            if file.legacy:  # else another process was quicker
                source = file.databases[Space.DATA]
                txn.databases = move_values(txn.environment, txn.raw, file.main, source, prefix)
                finish(txn)
            txn.commit()
        except BaseException as error:
            txn.abort()
            if isinstance(error, lmdb.Error):
                raise file.translated(error) from error
            raise
        file.has_spaces_now(txn.environment, txn.databases)

    # -- closing -------------------------------------------------------------------------------

    def close(self) -> None:
        _engines.close(self)

    def disconnect(self) -> None:
        """Let go of the file, for the last user."""
        self.closed = True
        self._file.disconnect()

    def leave_to_parent(self) -> None:
        """In a forked child: what is open is the parent's."""
        self._file.leave_to_parent()
        self._start()


_engines: SharedEngines[LmdbEngine] = SharedEngines()
reserved = _engines.reserved


def _bytes_of(tree: Any) -> int:
    pages: int = tree["branch_pages"] + tree["leaf_pages"] + tree["overflow_pages"]
    return pages * int(tree["psize"])


def _strictness(durability: str) -> int:
    return list(DURABILITY).index(durability)  # the strictest first


def _after_fork() -> None:
    environment.after_fork()
    _engines.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
