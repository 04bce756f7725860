"""Read transactions where LMDB's table of readers cannot be written.

A reader enters its instant in lock.mdb, and writers leave the pages of that instant alone. Who may
not write that file reads without: then only the last two states are sure to be whole. For LMDB
never writes over a page that the last transaction, or the one before, can see; so an instant is
intact until the third transaction after it begins. That is looked at before and after each step.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lmdb

from stones.engine import Space
from stones.errors import StorageError

from .transaction import LmdbTransaction


class SnapshotOverwrittenError(StorageError):
    """What was being read has been written over, or may have been."""


class UnregisteredTransaction(LmdbTransaction):
    """A read transaction that writers do not know of. Any of its methods may be overtaken."""

    __slots__ = ()

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
                f"{self._file.path!r} is being written, and this process may not write its "
                "lock.mdb, where readers are listed: what it reads does not stay. Read again, or "
                "give it the right to write that file"
            )

    @contextmanager
    def _intact(self) -> Iterator[None]:
        """A step: what is read in it was not written over before, nor while it was read."""
        self.check()
        try:
            yield
        finally:
            self.check()  # an error too may come from that

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
