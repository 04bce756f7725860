"""A reader of a database that counts what is read. `explain(run=True)` runs a query on it."""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import define

from stones.engine import Page, Space, Transaction
from stones.stores.database_reader import DATA, DatabaseReader
from stones.stores.read_only import ForwardingReader, ReadOnlyTransaction


@define
class Tally:
    """How much was read of a database."""

    entries: int = 0
    """Entries of indexes, and keys of records that were read alone."""
    records: int = 0
    """Records with their values."""
    size: int = 0
    """The bytes of all keys and values."""

    def add(self, space: Space, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Note entries that were read. One of the two may be empty."""
        if space is Space.META:
            return
        self.size += sum(map(len, keys)) + sum(map(len, values))
        if space is DATA and values:
            self.records += len(values)
        else:
            self.entries += len(keys)


class MeasuredReader(ForwardingReader):
    """Reads what another reader reads, and counts it."""

    def __init__(self, reader: DatabaseReader, tally: Tally) -> None:
        super().__init__(reader, lambda txn: _MeasuredTransaction(txn, tally))


class _MeasuredTransaction(ReadOnlyTransaction):
    __slots__ = ("_tally",)
    reason = "what explain() runs is only read"

    def __init__(self, txn: Transaction, tally: Tally) -> None:
        super().__init__(txn)
        self._tally = tally

    def get(self, space: Space, key: bytes) -> bytes | None:
        found = super().get(space, key)
        if found is not None:
            self._tally.add(space, (key,), (found,))
        return found

    def get_many(self, space: Space, keys: Sequence[bytes]) -> list[bytes | None]:
        found = super().get_many(space, keys)
        self._tally.add(space, (), [value for value in found if value is not None])
        return found

    def scan(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for key, value in super().scan(space, start, stop, reverse=reverse):
            self._tally.add(space, (key,), (value,))
            yield key, value

    def keys(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[bytes]:
        for key in super().keys(space, start, stop, reverse=reverse):
            self._tally.add(space, (key,), ())
            yield key

    def pages(
        self, space: Space, start: bytes = b"", stop: bytes | None = None, **options: Any
    ) -> Iterator[Page]:
        for page in super().pages(space, start, stop, **options):
            self._tally.add(space, *page)
            yield page
