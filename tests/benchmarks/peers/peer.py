"""What each peer can be asked for, each in its own usual way."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from users import User


class Peer(Protocol):
    """Records in a file. What a read gives is what the peer gives its users: objects or dicts."""

    name: str
    has_indexes: bool
    """Whether equality is answered by an index. If not, by a loop over all records."""
    largest: int
    """The most records for which a measurement takes an acceptable time."""

    def __init__(self, path: Path) -> None:
        """Opens a new file in the directory `path`."""

    def add_many(self, users: Sequence[User]) -> None:
        """All of them or no user, on the disk when it returns."""

    def get(self, key: str) -> object: ...

    def in_city(self, city: str) -> Iterable[object]: ...

    def lowest_scores(self, count: int) -> Iterable[object]:
        """The first `count` in the order of the scores."""

    def older_than(self, age: int) -> Iterable[object]:
        """Those with a higher age, which no peer has an index of."""

    def close(self) -> None: ...
