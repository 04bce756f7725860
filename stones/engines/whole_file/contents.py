"""The files that hold all entries of a store: what a `WholeFileEngine` asks of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from attrs import frozen

from stones.engines.sorted_map import SortedMap

Signature = tuple[tuple[int, int, int], ...]
"""How files are told from later ones: the inode, time in nanoseconds and size of each."""
Spaces = tuple[SortedMap, ...]
"""The entries of each space."""


@frozen
class Contents:
    """What files hold."""

    spaces: Spaces
    foreign: bool = False
    """Whether another program has made the files, so that only `Space.DATA` can be written."""
    signature: Signature | None = None
    """That of the one file that was read as a whole, whatever its path leads to by now."""


class WholeFile(ABC):
    """The files that hold all entries of a store."""

    path: str
    """An absolute path, for messages too."""

    @abstractmethod
    def look(self) -> Signature | None:
        """How the files are told from later ones. None if there are none. Raises OSError."""

    @abstractmethod
    def read(self) -> Contents:
        """All entries. Raises StorageError for files that cannot be read, OSError."""

    @abstractmethod
    def write(self, contents: Contents, durable: bool) -> Callable[[], None]:
        """Write new files beside the old ones. Returns what puts them in their place.

        That is called at once, under the lock of the writers. Raises StoneError, OSError; then
        nothing has changed.
        """

    @abstractmethod
    def finish(self) -> None:
        """Under the lock of the writers: finish what a killed process has left. Raises OSError."""

    @abstractmethod
    def names(self) -> list[str]:
        """The paths of the files that are there, the lock file not among them."""

    @abstractmethod
    def lock_path(self) -> str:
        """The path of the lock file."""
