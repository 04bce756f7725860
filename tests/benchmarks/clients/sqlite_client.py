"""The sqlite3 module of the standard library."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from ground import SERIALIZER

from stones import SqliteStore, Store

from .client import Client, Entry


@contextmanager
def sides(folder: Path) -> Iterator[tuple[Client, Store]]:
    with (
        closing(sqlite3.connect(folder / "raw.db", isolation_level=None)) as connection,
        SqliteStore(folder / "store.db", serialize=SERIALIZER) as store,
    ):
        yield SqliteClient(connection), store


class SqliteClient(Client):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("PRAGMA synchronous = full")
        connection.execute("CREATE TABLE entries (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID")

    def get(self, key: bytes) -> bytes:
        return self.connection.execute("SELECT v FROM entries WHERE k = ?", (key,)).fetchone()[0]

    def put(self, key: bytes, value: bytes) -> None:
        self.connection.execute("REPLACE INTO entries VALUES (?, ?)", (key, value))

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        places = ", ".join("?" * len(keys))
        rows = self.connection.execute(f"SELECT k, v FROM entries WHERE k IN ({places})", keys)
        found = dict(rows)
        return [found[key] for key in keys]

    def items(self) -> Iterable[Entry]:
        return self.connection.execute("SELECT k, v FROM entries ORDER BY k")

    def update(self, entries: Sequence[Entry]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("REPLACE INTO entries VALUES (?, ?)", entries)
        self.connection.execute("COMMIT")
