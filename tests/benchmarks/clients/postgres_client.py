"""psycopg: a table of keys and values, with prepared statements."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from ground import SERIALIZER
from servers.postgres import PostgresServer

from stones import PostgresStore, Store

from .client import Client, Entry

PUT = "INSERT INTO raw VALUES (%b, %b) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


@contextmanager
def sides(folder: Path) -> Iterator[tuple[Client, Store]]:
    with PostgresServer(speed={}) as server, connected(server.url()) as pair:
        pair[0].folder, pair[0].port = server.folder, server.port
        yield pair


@contextmanager
def connected(url: str, table: str = "stones") -> Iterator[tuple["PostgresClient", Store]]:
    """A client, and a store in a table of this name, on the server at `url`."""
    with (
        psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection,
        PostgresStore(url, table=table, serialize=SERIALIZER) as store,
    ):
        yield PostgresClient(connection, url), store


class PostgresClient(Client):
    in_this_process = False
    folder: Path
    """Where the socket of the server is."""
    port: int

    def __init__(self, connection: "psycopg.Connection[Any]", url: str) -> None:
        self.connection = connection
        self.url = url
        connection.execute("DROP TABLE IF EXISTS raw")
        connection.execute("CREATE TABLE raw (key bytea PRIMARY KEY, value bytea NOT NULL)")

    def select(self, statement: str, *values: object) -> Any:
        return self.connection.execute(statement, values, binary=True)  # type: ignore[call-overload]

    def get(self, key: bytes) -> bytes:
        return self.select("SELECT value FROM raw WHERE key = %b", key).fetchone()[0]

    def put(self, key: bytes, value: bytes) -> None:
        self.connection.execute(PUT, (key, value))

    def add(self, key: bytes, value: bytes) -> None:
        self.connection.execute("INSERT INTO raw VALUES (%b, %b)", (key, value))

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        found = dict(self.select("SELECT key, value FROM raw WHERE key = ANY(%b)", list(keys)))
        return [found[key] for key in keys]

    def items(self) -> Iterable[Entry]:
        return self.select("SELECT key, value FROM raw ORDER BY key")

    def update(self, entries: Sequence[Entry]) -> None:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(PUT, entries)

    def copy(self, entries: Sequence[Entry]) -> None:
        """What is fastest for new entries."""
        with (
            self.connection.cursor() as cursor,
            cursor.copy("COPY raw FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(["bytea", "bytea"])
            for entry in entries:
                copy.write_row(entry)

    def clear(self) -> None:
        self.connection.execute("TRUNCATE raw")
