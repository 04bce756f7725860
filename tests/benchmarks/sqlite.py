"""The same records in SQLite, as JSON: in text by the standard library, in JSONB by apsw.

JSONB needs SQLite 3.45, which the standard library may not have. apsw brings its own.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from users import UNIQUE, User, dump

try:
    import orjson
except ImportError:
    orjson = None
try:
    import apsw
except ImportError:
    apsw = None

Loads = Callable[[str], dict[str, Any]]

LOADS: list[Loads] = [json.loads] + ([orjson.loads] if orjson else [])
"""Whichever is faster counts."""


def by_json(user: User) -> str:
    return json.dumps(dump(user))


def by_orjson(user: User) -> str:
    return orjson.dumps(dump(user)).decode()


DUMPS = by_orjson if orjson else by_json
"""The faster one."""


class Sqlite:
    """A table of keys and JSON. `indexes` are paths inside it."""

    def __init__(self, file: Path, indexes: Iterable[str] = (), *, is_binary: bool = False) -> None:
        connect: Any = apsw.Connection if is_binary else connected
        self.connection = connect(str(file))
        self.stored, self.read = ("jsonb(?)", "json(value)") if is_binary else ("?", "value")
        # What makes it fastest here: no second journal, and all of the file in its cache.
        self.execute("pragma journal_mode = wal")
        self.execute("pragma cache_size = -400000")
        self.execute("create table users (id text primary key, value) without rowid")
        for path in indexes:
            self.create_index(path)

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, values).fetchall()

    def add_many(self, users: Iterable[User], dumps: Callable[[User], str] = DUMPS) -> None:
        self.execute("begin")
        self.connection.cursor().executemany(
            f"insert into users values (?, {self.stored})",
            ((user.id, dumps(user)) for user in users),
        )
        self.execute("commit")

    def clear(self) -> None:
        self.execute("delete from users")

    def create_index(self, path: str) -> None:
        unique = "unique" if path == UNIQUE else ""
        self.execute(f"create {unique} index \"{path}\" on users (json_extract(value, '$.{path}'))")

    def drop_index(self, path: str) -> None:
        self.execute(f'drop index if exists "{path}"')

    def count(self, where: str) -> int:
        return self.execute(f"select count(*) from users where {where}")[0][0]

    def dicts(self, where: str, loads: Loads) -> Iterator[dict[str, Any]]:
        select = f"select {self.read} from users where {where}"
        for (text,) in self.connection.execute(select):
            yield loads(text)


def connected(file: str) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None)


def missing_packages() -> list[str]:
    """What the comparison lacks: a faster JSON, and JSONB."""
    return [name for name, module in (("orjson", orjson), ("apsw", apsw)) if module is None]
