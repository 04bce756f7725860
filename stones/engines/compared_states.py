"""What an engine offers that can tell where two of its states differ, without reading all."""

from abc import abstractmethod
from collections.abc import Iterator

from stones.engine import Engine, Space, Transaction

KeySpan = tuple[bytes, bytes | None]
"""The keys from the first on, before the second; None for the end."""


class ComparedStates(Engine):
    """An engine whose states share what has not changed from one to the next."""

    @abstractmethod
    def changed_spans(
        self, old: Transaction, new: Transaction, space: Space
    ) -> Iterator[KeySpan] | None:
        """The spans of keys in which two states may differ, in order. None if it cannot tell.

        Outside of them the states are equal. `old` is a read transaction that is open. Nothing was
        written in `new`.
        """
