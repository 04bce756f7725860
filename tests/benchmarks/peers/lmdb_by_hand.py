"""py-lmdb and msgpack with three indexes kept by hand: the floor."""

from collections.abc import Iterator
from pathlib import Path

from by_hand import ByHand
from users import User, load


class Peer(ByHand):
    name = "py-lmdb and msgpack by hand"
    largest = 10_000_000

    def __init__(self, path: Path) -> None:
        super().__init__(path / "lmdb", has_indexes=True)

    def older_than(self, age: int) -> Iterator[User]:
        return map(load, self.matches(lambda user: user["age"] > age))

    def close(self) -> None:
        self.env.close()
