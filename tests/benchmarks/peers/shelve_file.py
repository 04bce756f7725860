"""shelve of the standard library: pickles in the best dbm that this Python has."""

import shelve
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from users import User, dump

from .without_indexes import WithoutIndexes


class Peer(WithoutIndexes):
    def __init__(self, path: Path) -> None:
        self.shelf = shelve.open(str(path / "shelf"))  # noqa: SIM115  # until close()
        self.name = f"shelve ({type(self.shelf.dict).__module__})"

    def add_many(self, users: Sequence[User]) -> None:
        for user in users:
            self.shelf[user.id] = dump(user)
        self.shelf.sync()

    def get(self, key: str) -> Any:
        return self.shelf[key]

    def values(self) -> Iterable[dict[str, Any]]:
        return self.shelf.values()

    def close(self) -> None:
        self.shelf.close()
