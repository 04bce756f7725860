"""ObjectBox: an entity with a field a property, the address flattened, the tags as one text."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from objectbox import Bool, Entity, Float64, Id, Index, Int64, Store, String, Unique
from users import User, row

STORE_SIZE_IN_KB = 64 << 20


@Entity()
class Row:
    id = Id(assignable=True)
    email = String(unique=Unique())
    name = String()
    age = Int64()
    score = Float64()  # it has no indexes of floats
    active = Bool()
    street = String()
    city = String(index=Index())
    country = String()
    zip = String()
    tags = String()


class Peer:
    name = "ObjectBox"
    has_indexes = True
    largest = 1_000_000

    def __init__(self, path: Path) -> None:
        self.store = Store(directory=str(path / "objectbox"), max_db_size_in_kb=STORE_SIZE_IN_KB)
        self.box = self.store.box(Row)

    def add_many(self, users: Sequence[User]) -> None:
        self.box.put([Row(**properties(user)) for user in users])

    def get(self, key: str) -> Any:
        return self.box.get(number(key))

    def in_city(self, city: str) -> Iterable[Any]:
        return self.box.query(Row.city.equals(city)).build().find()

    def lowest_scores(self, count: int) -> Iterable[Any]:
        return self.box.query().order(Row.score).build().limit(count).find()

    def older_than(self, age: int) -> Iterable[Any]:
        return self.box.query(Row.age.greater_than(age)).build().find()

    def close(self) -> None:
        self.store.close()


def number(key: str) -> int:
    """The number in a key, from 1 on: ObjectBox has only such keys."""
    return int(key[1:]) + 1


def properties(user: User) -> dict[str, Any]:
    return row(user) | {"id": number(user.id), "tags": ",".join(user.tags)}
