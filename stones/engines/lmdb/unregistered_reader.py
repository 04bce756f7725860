"""Read transactions where LMDB's table of readers cannot be written.

A reader enters the number of its snapshot in lock.mdb, and writers do not reuse the pages of that
snapshot. A process that may not write lock.mdb reads without that entry. Then only the last two
snapshots are sure to be whole: LMDB never writes over a page that the last transaction, or the
transaction before it, can see. So a snapshot is intact until the third transaction after it begins.
Each step of a read checks that before and afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lmdb

from stones.engine import Space, Transaction
from stones.errors import StorageError

from .transaction import LmdbTransaction


class SnapshotOverwrittenError(StorageError):
    """The snapshot that was being read has been written over, or may have been."""


class UnregisteredTransaction(LmdbTransaction):
    """A read transaction that writers do not know of. It may raise SnapshotOverwrittenError."""

    __slots__ = ()

    # Entry by entry, through `_walk` and `get`.
    pages = Transaction.pages
    get_many = Transaction.get_many

    def get(self, space: Space, key: bytes) -> bytes | None:
        with self._intact():
            return super().get(space, key)

    def count(self, space: Space) -> int:
        with self._intact():
            return super().count(space)

    def check(self) -> None:
        """Raise SnapshotOverwrittenError where writers may have reused pages of this snapshot."""
        try:
            overtaken = self.environment.info()["last_txnid"] > self.raw.id() + 1
        except lmdb.Error as error:
            raise self._failed(error) from error
        if overtaken:
            raise SnapshotOverwrittenError(
                f"others write to {self._file.path!r}, and this process may not write its "
                "lock.mdb, the list of readers: its snapshot was overwritten. Read again, or give "
                "this process the right to write that file"
            )

    @contextmanager
    def _intact(self) -> Iterator[None]:
        """A step of a read. Raises if the snapshot was overwritten before the step or during it."""
        self.check()
        try:
            yield
        finally:
            self.check()  # also after an error, which an overwritten page may have caused

    def _walk(
        self, space: Space, start: bytes, stop: bytes | None, reverse: bool, values: bool
    ) -> Iterator[Any]:
        with self._intact():
            entries = super()._walk(space, start, stop, reverse, values)
        return self._checked(entries)

    def _checked(self, entries: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self._intact():
                entry = next(entries, None)
            if entry is None:
                return
            yield entry
