"""sqlitedict: pickles in SQLite, by key, through a thread of its own."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlitedict import SqliteDict
from users import User, dump

from .without_indexes import WithoutIndexes


class Peer(WithoutIndexes):
    name = "sqlitedict"

    def __init__(self, path: Path) -> None:
        self.table = SqliteDict(str(path / "users.sqlite"))

    def add_many(self, users: Sequence[User]) -> None:
        self.table.update((user.id, dump(user)) for user in users)
        self.table.commit(blocking=True)

    def get(self, key: str) -> Any:
        return self.table[key]

    def values(self) -> Iterable[dict[str, Any]]:
        return self.table.values()

    def close(self) -> None:
        self.table.close()
