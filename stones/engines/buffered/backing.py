"""What lies below a buffered transaction: `Backing`, and the `Changes` that it takes over.

An engine that cannot change its storage step by step writes one `Backing`. `buffered` builds the
whole `Transaction` of the contract above it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from stones.engine import Page, Space


class Changes(NamedTuple):
    """What a transaction has changed, and what it expects."""

    writes: tuple[Sequence[tuple[bytes, bytes | None]], ...]
    """For each space the new values in key order. None removes the key."""
    added: Mapping[bytes, int]
    """What is added to each sum."""
    dropped: frozenset[bytes]
    """The sums that become 0 before anything is added to them."""
    expected: Mapping[tuple[Space, bytes], bytes | None]
    """The values that keys must have below before the writes. None: the key is not there."""

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(any(self.writes) or self.added or self.dropped or self.expected)


class Backing(ABC):
    """A transaction of the storage, without what the buffered transaction has not sent yet.

    Each method may raise StoreClosedError, or TransactionError after a fork. `commit` is called
    once, at the end. `abort` may be called again, also after a commit. Only a backing with `room`
    is called with `flush`, `roll_back` and `delete_range`.
    """

    room: int | None = None
    """The bytes that the buffer may hold before it is sent by `flush`; None for no limit.

    An entry counts as ENTRY_BYTES more than its key and its value.
    """
    keeps_sums: bool = False
    """Sums have a place of their own: `sum` and `sums`, and `Changes.added` and `dropped`.

    Otherwise they are entries of `Space.META`.
    """
    max_value_size: int | None = None
    """The largest value, in bytes."""

    @abstractmethod
    def check(self) -> None:
        """Raise StoreClosedError or TransactionError if the transaction cannot be used any more."""

    @abstractmethod
    def get(self, space: Space, key: bytes) -> bytes | None:
        """The value of `key`, or None."""

    def get_many(self, space: Space, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The value of each key, or None, in the order of `keys`."""
        return [self.get(space, key) for key in keys]

    def has_many(self, space: Space, keys: Sequence[bytes]) -> Sequence[bool]:
        """Whether each key is there, in the order of `keys`."""
        return [value is not None for value in self.get_many(space, keys)]

    @abstractmethod
    def pages(
        self,
        space: Space,
        start: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        keys: bool,
        values: bool,
    ) -> Iterator[Page]:
        """The entries in the bounds, as `Transaction.pages` gives them."""

    @abstractmethod
    def count(self, space: Space) -> int:
        """The number of keys."""

    def sum(self, key: bytes) -> int:
        """The sum `key`, where the backing keeps sums."""
        raise NotImplementedError

    def sums(self) -> Iterator[tuple[bytes, int]]:
        """The sums in the order of their keys, where the backing keeps sums."""
        return iter(())

    @abstractmethod
    def commit(self, changes: Changes) -> None:
        """End the transaction, and keep its changes: all, or after an error no change.

        Raises UnexpectedError if something is not as it is expected.
        """

    @abstractmethod
    def abort(self) -> None:
        """End the transaction without a change."""

    def flush(self, steps: Sequence[tuple[int | None, Changes]]) -> None:
        """Send changes before the commit. Reads see them from then on.

        Each step is a savepoint to begin, or None, and the changes to send after that.
        """
        raise NotImplementedError

    def roll_back(self, savepoint: int) -> None:
        """Undo all that was sent since this savepoint began, and forget the savepoint."""
        raise NotImplementedError

    def delete_range(self, space: Space, start: bytes, stop: bytes | None) -> None:
        """Remove the keys with start <= key < stop at once. All changes were flushed before."""
        raise NotImplementedError
