"""The sqlite3 module of the standard library: JSON in text, indexes of expressions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlite import LOADS, Sqlite
from users import INDEXES

loads = LOADS[-1]  # orjson where it is installed


class Peer(Sqlite):
    name = "sqlite3 and JSON"
    has_indexes = True
    largest = 10_000_000

    def __init__(self, path: Path) -> None:
        super().__init__(path / "users.sqlite", INDEXES)

    def get(self, key: str) -> dict[str, Any]:
        return loads(self.execute("select value from users where id = ?", key)[0][0])

    def in_city(self, city: str) -> Iterator[dict[str, Any]]:
        return self.selected("where json_extract(value, '$.address.city') = ? order by id", city)

    def lowest_scores(self, count: int) -> Iterator[dict[str, Any]]:
        return self.selected("order by json_extract(value, '$.score'), id limit ?", count)

    def older_than(self, age: int) -> Iterator[dict[str, Any]]:
        return self.selected("where json_extract(value, '$.age') > ? order by id", age)

    def selected(self, rest: str, *values: object) -> Iterator[dict[str, Any]]:
        for (text,) in self.connection.execute(f"select value from users {rest}", values):
            yield loads(text)

    def close(self) -> None:
        self.connection.close()
