"""What differs between PostgreSQL and other servers of its protocol: a few strings each.

PostgreSQL is tested. The dialects of CockroachDB and YugabyteDB are made for these servers by their
documentation. Nobody has run stones on them yet.
"""

from typing import LiteralString

from attrs import frozen


@frozen(kw_only=True)
class Dialect:
    """What a server understands. Each string is a part of a statement, or is empty."""

    name: str
    """The name of the server, for messages."""
    marks: str
    """A part of what `SELECT version()` says."""
    primary_key: LiteralString = "PRIMARY KEY (key)"
    """The primary key of a table, in the order of its keys."""
    storage: LiteralString = ""
    """Changes a table so that its large values are not compressed."""
    lock_shared: LiteralString = ""
    """Waits until nobody writes alone. Empty: the server has no lock that can be trusted."""
    lock_alone: LiteralString = ""
    """Waits until nobody else writes."""
    lock_at_once: LiteralString = ""
    """The shared lock, or an error if it is not free."""
    setting: LiteralString = ""
    """A setting of each transaction, after SET or SET LOCAL."""
    max_value_size: int
    """The largest value, in bytes."""


POSTGRES = Dialect(
    name="PostgreSQL",
    marks="PostgreSQL",
    storage="ALTER TABLE {table} ALTER value SET STORAGE EXTERNAL",
    # Of an empty table of its own: a lock of the data would be in the way of autovacuum. It takes
    # no snapshot, so what follows sees all that was committed before.
    lock_shared="LOCK TABLE {lock} IN ROW EXCLUSIVE MODE",
    lock_alone="LOCK TABLE {lock} IN EXCLUSIVE MODE",
    lock_at_once="LOCK TABLE {lock} IN ROW EXCLUSIVE MODE NOWAIT",
    # A table of one page would be read, and locked, as a whole: each writer would be in conflict.
    setting="enable_seqscan = off",
    # A message and a row have room for 1 GB less one byte: the key and the headers are in it too.
    max_value_size=(1 << 30) - (1 << 16),
)
COCKROACH = Dialect(
    name="CockroachDB",
    marks="CockroachDB",
    max_value_size=4 << 20,  # a message may have 16 MB, and large rows are slow there
)
YUGABYTE = Dialect(
    name="YugabyteDB",
    marks="-YB-",
    primary_key="PRIMARY KEY (key ASC)",  # otherwise the keys are hashed, and have no order
    max_value_size=32 << 20,
)


def dialect_of(version: str) -> Dialect:
    """The dialect of a server, by what it says of its version.

    >>> dialect_of('PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64-pc-linux-gnu').name
    'YugabyteDB'
    >>> dialect_of('PostgreSQL 18.1 on x86_64-pc-linux-gnu').name
    'PostgreSQL'
    """
    return next((d for d in (COCKROACH, YUGABYTE) if d.marks in version), POSTGRES)
