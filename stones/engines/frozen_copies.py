"""What an engine without snapshots may offer in their place: a copy of the store on its server."""

from abc import abstractmethod
from contextlib import AbstractContextManager

from stones.engine import Engine, Transaction


class FrozenCopies(Engine):
    """An engine that can make a copy of the whole store at once, where the store is."""

    @abstractmethod
    def frozen(self) -> AbstractContextManager[Transaction]:
        """A read transaction on a copy of the store as it is now. The block removes the copy.

        It takes as much room as the store. Writers wait only while the copy is made. If the program
        is killed, the copy goes by itself after a while. Raises StorageError if the copy is lost.
        """
