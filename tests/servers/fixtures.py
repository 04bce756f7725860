"""The fixtures that give tests a PostgreSQL: one server for all, and a place of its own for each.

`STONES_POSTGRES_URL` names a server to use in place of one that the tests start: the whole suite
then runs on that server, which may be another that speaks the protocol of PostgreSQL.
"""

import os
from collections.abc import Iterator
from itertools import count

import psycopg
import pytest
from attrs import frozen
from psycopg import sql

from .postgres import PostgresServer


@frozen
class PostgresPlace:
    """A server, and a name for a table that nobody else uses. Its tables go when the test ends."""

    url: str
    table: str

    def other(self, name: str) -> str:
        """Another table for the same test."""
        return f"{self.table}{name}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server that the tests of a session share, for tests that need more than its URL."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> str:
    """The URL of the server that the tests of a session share."""
    if given := os.environ.get("STONES_POSTGRES_URL"):
        return given
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[PostgresPlace]:
    """An empty place on the server of the session."""
    # No name is the beginning of another one, also not where several processes share a server.
    place = PostgresPlace(postgres_url, f"test_{os.getpid()}_{next(_numbers)}_")
    yield place
    drop_tables(postgres_url, place.table)


_numbers = count(1)


def drop_tables(url: str, beginning: str) -> None:
    """Drop all tables whose names have this beginning, even while a transaction holds them."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = current_schema() AND relkind IN ('r', 'p')"
            " AND left(relname, %s) = %s",
            [len(beginning), beginning],
        ).fetchall()
        if not found:
            return
        # What a test has left open would keep its tables locked for ever.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE pid <> pg_backend_pid()"
            " AND relation = ANY(SELECT oid FROM pg_class WHERE left(relname, %s) = %s)",
            [len(beginning), beginning],
        )
        names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in found)
        connection.execute(sql.SQL("DROP TABLE {}").format(names))
