"""ZODB: persistent objects in BTrees, and BTrees as indexes, kept by hand."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import transaction
import ZODB
from BTrees.OOBTree import OOBTree, TreeSet
from persistent import Persistent
from users import User as Record
from users import dump


class User(Persistent):
    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)


class Peer:
    name = "ZODB"
    has_indexes = True
    largest = 300_000

    def __init__(self, path: Path) -> None:
        self.db = ZODB.DB(str(path / "users.fs"))
        self.connection = self.db.open()
        root = self.connection.root()
        self.users = root["users"] = OOBTree()
        self.keys_of_city = root["keys_of_city"] = OOBTree()
        self.scores = root["scores"] = TreeSet()

    def add_many(self, users: Sequence[Record]) -> None:
        for record in users:
            self.users[record.id] = User(dump(record))
            self.keys_of_city.setdefault(record.address.city, TreeSet()).add(record.id)
            self.scores.add((record.score, record.id))
        transaction.commit()

    # Each read begins a transaction, as those of the others do: else it would see old objects only.

    def get(self, key: str) -> User:
        transaction.begin()
        return self.loaded(key)

    def in_city(self, city: str) -> Iterator[User]:
        transaction.begin()
        return map(self.loaded, self.keys_of_city[city])

    def lowest_scores(self, count: int) -> Iterator[User]:
        transaction.begin()
        return (self.loaded(key) for _, key in islice(self.scores, count))

    def older_than(self, age: int) -> Iterator[User]:
        transaction.begin()
        return (user for user in self.users.values() if user.age > age)

    def loaded(self, key: str) -> User:
        user = self.users[key]
        user._p_activate()  # a ghost reads its fields when one is used
        return user

    def close(self) -> None:
        transaction.abort()
        self.connection.close()
        self.db.close()
