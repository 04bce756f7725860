"""What each client is asked for, as a program would do it that uses the client alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

Entry = tuple[bytes, bytes]


class Client(ABC):
    """Bytes by bytes, in a table or a file of their own. Each write is durable when it returns."""

    in_this_process = True
    """Whether the engine works in this process. If not, its answers have to be waited for."""

    @abstractmethod
    def get(self, key: bytes) -> bytes: ...

    @abstractmethod
    def put(self, key: bytes, value: bytes) -> None: ...

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        """The values, in the order of the keys, all of which are there."""

    @abstractmethod
    def items(self) -> Iterable[Entry]:
        """All entries, in the order of their keys."""

    @abstractmethod
    def update(self, entries: Sequence[Entry]) -> None:
        """All of them or no entry."""
