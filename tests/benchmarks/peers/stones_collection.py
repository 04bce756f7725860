"""A collection of stones with three indexes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from collection_ground import new_store, open_collection
from users import INDEXES, User


class Peer:
    name = "stones"
    has_indexes = True
    largest = 10_000_000

    def __init__(self, path: Path) -> None:
        self.store = new_store(path / "store")
        self.users = open_collection(self.store, INDEXES)

    def add_many(self, users: Sequence[User]) -> None:
        self.users.add_many(users)

    def get(self, key: str) -> User:
        return self.users[key]

    def in_city(self, city: str) -> Iterator[User]:
        return iter(self.users.find("$[?(@.address.city == {city})]", city=city))

    def lowest_scores(self, count: int) -> Iterator[User]:
        return iter(self.users.find().order_by("score").limit(count))

    def older_than(self, age: int) -> Iterator[User]:
        return iter(self.users.find("$[?(@.age > {age})]", age=age))

    def close(self) -> None:
        self.store.close()
