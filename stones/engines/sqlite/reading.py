"""The half of a transaction that reads: values by their keys, and scans in key order."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn
from weakref import ref

from stones.engine import Page, Space, Transaction

from . import statements
from .connections import Link
from .rows import Rows
from .statements import BATCH, GET, LAST_KEY

_MANY = 100
"""After so many scans, those that nobody reads any more are forgotten."""
_FEW = 4
"""So many keys are read one by one."""


class Reading(Transaction):
    """Reads on the connection `_link`. `SqliteTransaction` gives it its values."""

    __slots__ = ("__weakref__", "_link", "_run", "_scans")

    _link: Link
    _run: Callable[..., sqlite3.Cursor]
    _scans: list[ref[Rows]]

    def _check(self) -> None:
        """Raise the error that says why the transaction cannot be used any more."""
        raise NotImplementedError

    def _fail(self, error: sqlite3.Error) -> NoReturn:
        """Raise the error of stones for an error of SQLite."""
        raise NotImplementedError

    def get(self, space: Space, key: bytes) -> bytes | None:
        try:
            row = self._run(GET[space], (key,)).fetchone()
        except sqlite3.Error as error:
            self._fail(error)
        return None if row is None else row[0]

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        if len(keys) <= _FEW:
            self._check()
            return [self.get(space, key) for key in keys]
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), BATCH):
            query, wanted = statements.among(space, "key, value", keys[start : start + BATCH])
            try:
                found.update(self._run(query, wanted).fetchall())
            except sqlite3.Error as error:
                self._fail(error)
        return list(map(found.get, keys))

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._rows(space, "key, value", start, stop, reverse).entries()

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        rows = self._rows(space, "key", start, stop, reverse)
        return (key for (key,) in rows.entries())

    def pages(
        self,
        space: Space,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys: bool = True,
        values: bool = True,
    ) -> Iterator[Page]:
        columns = "key, value" if keys and values else "key" if keys else "value"
        return self._rows(space, columns, start, stop, reverse).pages(keys, values)

    def pragma(self, name: str) -> int:
        """A figure of SQLite about the file."""
        try:
            return int(self._run(f"PRAGMA {name}").fetchone()[0])
        except sqlite3.Error as error:
            self._fail(error)

    def _rows(
        self, space: Space, columns: str, start: bytes, stop: bytes | None, reverse: bool
    ) -> Rows:
        """The rows of a scan, as this transaction sees them now."""
        self._check()
        bounds = [bound for bound in (start or None, stop) if bound is not None]
        query = statements.between(space, columns, bool(start), stop is not None, reverse)
        try:
            rows = Rows(self._link.connection.execute(query, bounds), self._fail)
        except sqlite3.Error as error:
            self._fail(error)
        if len(self._scans) >= _MANY:
            self._scans = [scan for scan in self._scans if scan() is not None]
        self._scans.append(ref(rows))
        return rows

    def _there(self, space: Space, keys: list[bytes]) -> int:
        """How many of the keys are there. At most BATCH keys."""
        (last,) = self._run(LAST_KEY[space]).fetchone()
        if last is None or min(keys) > last:  # a table that is filled in key order
            return 0
        query, wanted = statements.among(space, "count(*)", keys)
        return int(self._run(query, wanted).fetchone()[0])
