"""The SQL of a store: its tables, and the statements on them. Only keys and values are parameters.

Each space is a table of its own without row numbers: a B-tree by key. The number of entries of each
table is a row of `stones_counts`, since SQLite would have to read a whole table to count it.
"""

from collections.abc import Sequence
from functools import cache
from itertools import repeat

from stones.engine import Space

APPLICATION_ID = 0x53746E73
"""Marks the file in its header as a store of stones: the letters Stns."""
LAYOUT = 1
"""The version of the tables, in `user_version` of the header."""

TABLES = tuple(f"stones_{space.name.lower()}" for space in Space)
"""The table of each space."""
COUNTS = "stones_counts"

CREATE = (
    *(
        f"CREATE TABLE {table} (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID"
        for table in TABLES
    ),
    f"CREATE TABLE {COUNTS} (space INTEGER PRIMARY KEY NOT NULL, entries INTEGER NOT NULL)",
    *(f"INSERT INTO {COUNTS} VALUES ({space}, 0)" for space in map(int, Space)),
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {LAYOUT}",
)

GET = tuple(f"SELECT value FROM {table} WHERE key = ?" for table in TABLES)
ADD = tuple(f"INSERT INTO {table} VALUES (?, ?) ON CONFLICT (key) DO NOTHING" for table in TABLES)
SET = tuple(f"UPDATE {table} SET value = ? WHERE key = ?" for table in TABLES)
PUT = tuple(
    f"INSERT INTO {table} VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    for table in TABLES
)
DELETE = tuple(f"DELETE FROM {table} WHERE key = ?" for table in TABLES)
LAST_KEY = tuple(f"SELECT max(key) FROM {table}" for table in TABLES)
READ_COUNTS = f"SELECT entries FROM {COUNTS} ORDER BY space"
ADD_COUNT = f"UPDATE {COUNTS} SET entries = entries + ? WHERE space = ?"
COUNT_AGAIN = tuple(
    f"UPDATE {COUNTS} SET entries = (SELECT count(*) FROM {table}) WHERE space = {number}"
    for number, table in enumerate(TABLES)
)

BATCH = 1000
"""How many keys one statement takes."""
_SIZES = (10, 100, BATCH)


@cache
def between(space: Space, columns: str, has_start: bool, has_stop: bool, reverse: bool) -> str:
    """Selects the entries between two keys, in key order. Its parameters are the bounds."""
    bounds = [bound for bound, there in (("key >= ?", has_start), ("key < ?", has_stop)) if there]
    where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
    order = " DESC" if reverse else ""
    return f"SELECT {columns} FROM {TABLES[space]}{where} ORDER BY key{order}"


@cache
def delete_between(space: Space, has_stop: bool) -> str:
    """Deletes the entries between two keys. Its parameters are the bounds."""
    return f"DELETE FROM {TABLES[space]} WHERE key >= ?{' AND key < ?' if has_stop else ''}"


def among(space: Space, columns: str, keys: Sequence[bytes]) -> tuple[str, list[bytes]]:
    """Selects the entries with some keys, at least 1 and at most BATCH of them.

    The statement has one of a few sizes, so that SQLite has it prepared. The last key fills it up.
    """
    size = next(size for size in _SIZES if size >= len(keys))
    return _among(space, columns, size), [*keys, *repeat(keys[-1], size - len(keys))]


@cache
def _among(space: Space, columns: str, size: int) -> str:
    return f"SELECT {columns} FROM {TABLES[space]} WHERE key IN ({', '.join('?' * size)})"
