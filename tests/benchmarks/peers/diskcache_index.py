"""diskcache: pickles in SQLite, by key."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from diskcache import Index
from users import User, dump

from .without_indexes import WithoutIndexes


class Peer(WithoutIndexes):
    name = "diskcache"

    def __init__(self, path: Path) -> None:
        self.index = Index(str(path / "diskcache"))

    def add_many(self, users: Sequence[User]) -> None:
        with self.index.transact():
            for user in users:
                self.index[user.id] = dump(user)

    def get(self, key: str) -> Any:
        return self.index[key]

    def values(self) -> Iterable[dict[str, Any]]:
        return self.index.values()

    def close(self) -> None:
        self.index.cache.close()
