"""TinyDB: JSON in a file, all of it in memory. It has no indexes."""

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from pathlib import Path
from typing import Any

from tinydb import TinyDB, where
from tinydb.middlewares import CachingMiddleware
from tinydb.storages import JSONStorage
from tinydb.table import Document
from users import User, dump


class Peer:
    name = "TinyDB"
    has_indexes = False
    largest = 100_000

    def __init__(self, path: Path) -> None:
        # Without this middleware, each read would read all of the file.
        self.db = TinyDB(path / "users.json", storage=CachingMiddleware(JSONStorage))
        self.users = self.db.table("users", cache_size=0)

    def add_many(self, users: Sequence[User]) -> None:
        self.users.insert_multiple(Document(dump(user), number(user.id)) for user in users)
        self.db.storage.flush()

    def get(self, key: str) -> Any:
        return self.users.get(doc_id=number(key))

    def in_city(self, city: str) -> Iterable[Any]:
        return self.users.search(where("address")["city"] == city)

    def lowest_scores(self, count: int) -> Iterable[Any]:
        return nsmallest(count, self.users, key=lambda user: user["score"])

    def older_than(self, age: int) -> Iterable[Any]:
        return self.users.search(where("age") > age)

    def close(self) -> None:
        self.db.close()


def number(key: str) -> int:
    """The number in a key: TinyDB finds only numbers without a loop."""
    return int(key[1:])
