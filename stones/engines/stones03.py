"""What an engine offers whose place may hold a database of stones 0.3.

Such a database has values without metadata and without format bytes. It can be read as it is, and
a migration turns it into a store of this version.
"""

from abc import abstractmethod
from collections.abc import Callable

from stones.engine import Engine, Transaction


class Stones03Engine(Engine):
    """An engine that may find a database of stones 0.3 in its place."""

    @property
    @abstractmethod
    def legacy(self) -> bool:
        """Whether a database of stones 0.3 is there.

        Its values are in `Space.DATA`; the other spaces are empty and cannot be written.
        """

    @abstractmethod
    def adopt(
        self, prefix: bytes, finish: Callable[[Transaction], None], timeout: float | None = None
    ) -> None:
        """Turn the database of stones 0.3 into a store of this version, in one transaction.

        Each value gets `prefix` in front. `finish` writes the metadata in that transaction; it is
        not called if another process has adopted the database first. `timeout` is as in `begin`.
        """
