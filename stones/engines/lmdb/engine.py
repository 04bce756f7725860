"""The engine on disk: LMDB, one file a store, many readers and one writer, crash-proof.

`stones.engines.lmdb.open_file` has the file, and what needs care with it. All stores of a process
on the same file share one engine.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import lmdb

from stones.engine import MAX_KEY_SIZE, Space, Supports, Transaction, parse_sum
from stones.engines.compared_states import ComparedStates, KeySpan
from stones.engines.group_commit import GroupCommit
from stones.engines.sharing import SharedEngines
from stones.engines.stones03 import Stones03Engine
from stones.errors import (
    ReadOnlyError,
    StoreFullError,
    StoreOpenError,
)

from . import environment, process_lock
from .batches import MAX_VALUE_SIZE
from .begins import Begins
from .changed_spans import changed_spans
from .databases import check_alone, move_values
from .directory import check_vacant, identity
from .environment import DURABILITY
from .errors import translated
from .file_copy import copy_compact, copy_pages
from .open_file import OpenFile
from .place import Place
from .repacking import repack_file, tables_of_store
from .transaction import LmdbTransaction
from .unregistered_reader import SnapshotOverwrittenError

T = TypeVar("T")

_TRIES = 10
"""How often to begin while other processes write more than is mapped here."""


class LmdbEngine(Stones03Engine, ComparedStates):
    """The LMDB file in a directory, shared by all that open it in this process."""

    supports = Supports(
        processes=True,
        snapshots=True,
        savepoints=True,
        timeouts=True,
        counts=True,
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
        timeout: float | None = None,
    ) -> "LmdbEngine":
        """The engine for the directory `path`. Call `close` on it as often as this.

        `create=False` refuses a path where there is no store, `new` a path where there is anything.
        `table` is the named table that a database of stones 0.3 has its values in. Where a store
        has to be made, this waits at most `timeout` seconds for other writers.
        Raises StoreOpenError, LockTimeoutError.
        """
        if new:
            check_vacant(path)
        make = partial(
            cls,
            path,
            readonly=readonly,
            create=create,
            table=table,
            durability=durability,
            timeout=timeout,
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
        timeout: float | None = None,
    ) -> None:
        self.users = 0
        """How many have opened it and not closed it."""
        self.closed = False
        self._file = OpenFile(
            path,
            readonly=readonly,
            create=create,
            table=table,
            durability=durability,
            timeout=timeout,
        )
        self._start()

    def _start(self) -> None:
        """Make the parts that each process has for itself."""
        self._begins = Begins(self._file)
        self._group_commit = GroupCommit(self._begins.writing, self._write_alone, self._begins.late)

    @property
    def path(self) -> str:
        """The directory, as an absolute path."""
        return self._file.path

    @property
    def place(self) -> Place:
        """Its path, and the files there when it was opened."""
        return self._file.place

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the data file."""
        return self._file.place.identity

    @property
    def legacy(self) -> bool:
        return self._file.legacy

    # -- transactions --------------------------------------------------------------------------

    def begin(self, *, write: bool = False, timeout: float | None = None) -> LmdbTransaction:
        # Functions of Python, not a partial(). After a call of C, Python lets an interrupt in,
        # which would lose the transaction on its way to a variable.
        return self._begins.writing(timeout) if write else self._begins.reading()

    # -- reading and writing -------------------------------------------------------------------

    def get(self, space: Space, key: bytes) -> bytes | None:
        file = self._file
        begin = file.plain_begin
        if begin is None:
            return super().get(space, key)
        txn = None
        try:
            # No `with`, no object of ours: a sixth of the whole read.
            txn = begin(file.databases[space])  # type: ignore[index]  # open if there is a begin
            value = txn.get(key)
            txn.abort()
        except lmdb.ReadersFullError:
            return super().get(space, key)
        except lmdb.Error as error:
            begin = txn = None  # the traceback of the error would keep the file open
            raise file.translated(error) from error
        return value

    def changed_spans(
        self, old: Transaction, new: Transaction, space: Space
    ) -> Iterator[KeySpan] | None:
        # Where lock.mdb cannot be written, the pages of a state may be overwritten.
        if type(old) is not LmdbTransaction or type(new) is not LmdbTransaction:
            return None
        spans = None if self.legacy else changed_spans(self._file, old, new, space)
        return None if spans is None else iter(spans)

    def sum(self, key: bytes) -> int:
        return parse_sum(key, self.get(Space.META, key))

    def read(self, look: Callable[[Transaction], T]) -> T:
        for _ in range(_TRIES if self._file.unregistered else 0):
            with suppress(SnapshotOverwrittenError):
                return super().read(look)
        return super().read(look)

    def write(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        self._begins.check_writable()
        while True:
            try:
                return self._group_commit.write(change, timeout)
            except StoreFullError:
                if not self._begins.has_grown(timeout):
                    raise

    def transact(self, change: Callable[[Transaction], T], *, timeout: float | None = None) -> T:
        self._begins.check_writable()
        while True:
            try:
                return self._write_alone(change, timeout=timeout)
            except StoreFullError:
                if not self._begins.has_grown(timeout):
                    raise

    def _write_alone(
        self, change: Callable[[Transaction], T], /, *, timeout: float | None = None
    ) -> T:
        """What `change` returns, committed in a transaction of its own, after `check_writable`."""
        txn = self._begins.writing_checked(timeout)
        try:
            result = change(txn)
            txn.commit()
        except BaseException:  # also an interrupt just before the commit begins
            txn.abort()
            raise
        return result

    def sync(self) -> None:
        file = self._file
        if file.readonly:
            raise ReadOnlyError(f"the store {self.path!r} was opened read-only: it writes nothing")
        file.place.check()
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
            # Counted before this becomes one more of them.
            readers = file.environment().readers().count("\n") - 1
            map_size = file.environment().info()["map_size"]
            txn = self._begins.reading()
            try:
                used_size = txn.used_size()
            finally:
                txn.abort()
        except lmdb.Error as error:
            raise file.translated(error) from error
        return {
            "path": self.path,
            "durability": file.durability,
            "map_size": map_size,
            "file_size": file.size(),
            "used_size": used_size,
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
        identity = file.place.identity
        if compact and not file.unregistered and file.databases is not None:
            tables_of = partial(tables_of_store, file)
            copy_compact(directory, file.path, identity, self.begin, tables_of)
            return
        copy_pages(directory, file.path, identity, self.begin)
        # Where writers do not know of this reader, a copy of the pages is checked as a whole.
        if compact:
            repack_file(directory, partial(translated, path=directory))

    def adopt(
        self, prefix: bytes, finish: Callable[[Transaction], None], timeout: float | None = None
    ) -> None:
        file = self._file
        check_alone(file.environment(), file.path, file.table)
        txn = self.begin(write=True, timeout=timeout)
        adopted = None
        try:
            if file.legacy:  # else another process was quicker
                source = txn.databases[Space.DATA]
                adopted = move_values(txn.environment, txn.raw, file.main, source, prefix)
                txn.databases = adopted
                finish(txn)
            txn.commit()
        except BaseException as error:
            txn.abort()
            if isinstance(error, lmdb.Error):
                raise file.translated(error) from error
            raise
        if adopted is not None:
            file.has_spaces_now(adopted)

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


_engines: SharedEngines[LmdbEngine] = SharedEngines(identity)
reserved = _engines.reserved


def _strictness(durability: str) -> int:
    return list(DURABILITY).index(durability)  # the strictest first


def _after_fork() -> None:
    environment.after_fork()
    process_lock.after_fork()
    _engines.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
